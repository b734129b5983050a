#include "client/cli.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "config/values.h"
#include "text/codec.h"

#define OPTIONS_MAX 32

/* Width of the column with an option and its argument in the help text. */
#define HELP_COLUMN 25

static const struct cli_option_spec help_option = {'h', "help", NULL, "print this help"};

/* --- Messages --- */

static void cli_print_error(const char *format, va_list arguments)
{
	char *text, *escaped;

	if (vasprintf(&text, format, arguments) < 0)
		abort();
	escaped = diagnostics_escape(text);
	fprintf(stderr, "udprelay: %s\n", escaped);
	free(escaped);
	free(text);
}

void cli_error(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cli_print_error(format, arguments);
	va_end(arguments);
}

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	cli_print_error(format, arguments);
	va_end(arguments);
	fprintf(stderr, "for example: udprelay %s %s\nTry `udprelay %s --help`.\n", command->name, command->example,
		command->name);
	return EX_USAGE;
}

static const struct cli_option_spec *cli_find_option(const struct cli_command *command, int letter)
{
	const struct cli_option_spec *option = command->options;

	while (option->letter != letter)
		option++;
	return option;
}

bool cli_value_error(const struct cli_command *command, int letter, const char *value, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	cli_usage_error(command, "--%s: `%s` is not valid: %s", cli_find_option(command, letter)->name, value, text);
	free(text);
	return false;
}

int cli_check_charsets(const struct cli_command *command, const char *option, const char *list)
{
	char *copy = xcheck(strdup(list)), *cursor = copy, *name;
	int status = 0;

	while (!status && (name = value_next_item(&cursor))) {
		if (!strcasecmp(name, "hex"))
			continue;
		if (!codec_is_known(name))
			status = cli_usage_error(command, "--%s: unknown charset `%s`: write one such as utf-8 or gbk",
						 option, name);
		else if (!codec_is_installed(name))
			status = cli_usage_error(command, "--%s: this system cannot convert `%s`: " CODEC_INSTALL_HINT,
						 option, name);
	}
	free(copy);
	return status;
}

/* --- Help --- */

static int cli_display_width(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += (*text & 0xc0) != 0x80;
	return columns;
}

/* The help text of an option may have several lines. */
static void cli_print_option(const struct cli_option_spec *option)
{
	char head[64];
	const char *line = option->help;
	int size = option->letter < CLI_LONG_ONLY ? snprintf(head, sizeof(head), "  -%c, ", option->letter)
						  : snprintf(head, sizeof(head), "      ");

	snprintf(head + size, sizeof(head) - (size_t)size, "--%s%s%s", option->name, option->argument ? " " : "",
		 option->argument ? option->argument : "");
	printf("%s%*s", head, cli_display_width(head) < HELP_COLUMN ? HELP_COLUMN - cli_display_width(head) : 1, "");
	for (const char *end; (end = strchr(line, '\n')); line = end + 1)
		printf("%.*s\n%*s", (int)(end - line), line, HELP_COLUMN, "");
	printf("%s\n", line);
}

static void cli_print_help(const struct cli_command *command)
{
	printf("Usage: udprelay %s [OPTION …] %s\n%s\n", command->name, command->operands, command->purpose);
	for (const struct cli_option_spec *option = command->options; option->letter; option++)
		cli_print_option(option);
	cli_print_option(&help_option);
	printf("\nFor example: udprelay %s %s\n", command->name, command->example);
}

/* --- Options --- */

/* The tables for getopt_long(3). */
struct getopt_tables {
	char short_options[2 * OPTIONS_MAX + 2];
	struct option long_options[OPTIONS_MAX + 1];
};

static void getopt_tables_add(struct getopt_tables *tables, unsigned i, const struct cli_option_spec *option)
{
	char *end = tables->short_options + strlen(tables->short_options);

	tables->long_options[i] = (struct option){.name = option->name,
						  .has_arg = option->argument ? required_argument : no_argument,
						  .val = option->letter};
	if (option->letter >= CLI_LONG_ONLY)
		return;
	*end++ = (char)option->letter;
	if (option->argument)
		*end = ':';
}

static void getopt_tables_init(struct getopt_tables *tables, const struct cli_command *command)
{
	unsigned count = 0;

	*tables = (struct getopt_tables){0};
	for (const struct cli_option_spec *option = command->options; option->letter; option++) {
		if (count == OPTIONS_MAX - 1)
			abort();
		getopt_tables_add(tables, count++, option);
	}
	getopt_tables_add(tables, count, &help_option);
}

int cli_parse_options(const struct cli_command *command, int argc, char **argv, cli_option_handler handle, void *data)
{
	struct getopt_tables tables;
	char *name, *original_name = argv[0];
	int letter, status = -1;

	if (asprintf(&name, "udprelay %s", command->name) < 0)
		abort();
	getopt_tables_init(&tables, command);
	argv[0] = name; /* getopt_long(3) prints it in its error messages */
	while (status < 0 &&
	       (letter = getopt_long(argc, argv, tables.short_options, tables.long_options, NULL)) != -1) {
		if (letter == 'h') {
			cli_print_help(command);
			status = 0;
		} else if (letter == '?') {
			fprintf(stderr, "Try `%s --help`.\n", name);
			status = EX_USAGE;
		} else if (!handle(data, letter, optarg)) {
			status = EX_USAGE;
		}
	}
	argv[0] = original_name;
	free(name);
	return status;
}

/* --- Values --- */

bool cli_parse_number(const struct cli_command *command, int letter, const char *value, uint64_t min, uint64_t max,
		      uint64_t *result)
{
	return value_number(value, min, max, result) ||
	       cli_value_error(command, letter, value, "write a number from %" PRIu64 " to %" PRIu64, min, max);
}

/* Accepts digits with at most one decimal point. Unlike strtod(3), it accepts no sign, exponent, infinity or hex
 * number. */
static bool cli_is_decimal(const char *text)
{
	size_t whole = strspn(text, "0123456789");
	size_t point = text[whole] == '.';
	size_t part = strspn(text + whole + point, "0123456789");

	return whole + part > 0 && !text[whole + point + part];
}

bool cli_parse_seconds(const struct cli_command *command, int letter, const char *value, double min, double max,
		       uint64_t *result_ns)
{
	double seconds = cli_is_decimal(value) ? strtod(value, NULL) : -1;

	if (seconds < min || seconds > max)
		return cli_value_error(command, letter, value, "write seconds, from %g to %g", min, max);
	*result_ns = (uint64_t)(seconds * 1e9 + 0.5);
	return true;
}

#include "client/cli.h"

#include <ctype.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "config/values.h"

#define OPTIONS_MAX 32

/* Columns that an option and its value take in help. */
#define HELP_COLUMN 25

static const struct option_spec help_option = {'h', "help", NULL, "print this help"};

/* --- Telling --- */

static void tell(const char *format, va_list arguments)
{
	char *text, *shown;

	if (vasprintf(&text, format, arguments) < 0)
		abort();
	shown = diagnostics_escape(text);
	fprintf(stderr, "udprelay: %s\n", shown);
	free(shown);
	free(text);
}

void command_tell(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell(format, arguments);
	va_end(arguments);
}

int command_wrong(const struct command *command, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	tell(format, arguments);
	va_end(arguments);
	fprintf(stderr, "for example: udprelay %s %s\nTry `udprelay %s --help`.\n", command->name, command->example,
		command->name);
	return EX_USAGE;
}

static const struct option_spec *find_option(const struct command *command, int letter)
{
	const struct option_spec *option = command->options;

	while (option->letter != letter)
		option++;
	return option;
}

bool command_wrong_value(const struct command *command, int letter, const char *value, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	command_wrong(command, "--%s: `%s` is wrong: %s", find_option(command, letter)->name, value, text);
	free(text);
	return false;
}

/* --- Help --- */

static int width(const char *text)
{
	int columns = 0;

	for (; *text; text++)
		columns += (*text & 0xc0) != 0x80;
	return columns;
}

/* The help of an option may have several lines. */
static void print_option(const struct option_spec *option)
{
	char head[64];
	const char *line = option->help;
	int size = option->letter < OPTION_WORDS ? snprintf(head, sizeof(head), "  -%c, ", option->letter)
						 : snprintf(head, sizeof(head), "      ");

	snprintf(head + size, sizeof(head) - (size_t)size, "--%s%s%s", option->name, option->argument ? " " : "",
		 option->argument ? option->argument : "");
	printf("%s%*s", head, width(head) < HELP_COLUMN ? HELP_COLUMN - width(head) : 1, "");
	for (const char *end; (end = strchr(line, '\n')); line = end + 1)
		printf("%.*s\n%*s", (int)(end - line), line, HELP_COLUMN, "");
	printf("%s\n", line);
}

static void print_help(const struct command *command)
{
	printf("Usage: udprelay %s [OPTION …] %s\n%s\n", command->name, command->operands, command->purpose);
	for (const struct option_spec *option = command->options; option->letter; option++)
		print_option(option);
	print_option(&help_option);
	printf("\nFor example: udprelay %s %s\n", command->name, command->example);
}

/* --- Options --- */

/* The tables that getopt_long(3) takes. */
struct getopt_tables {
	char letters[2 * OPTIONS_MAX + 2];
	struct option words[OPTIONS_MAX + 1];
};

static void add_option(struct getopt_tables *tables, unsigned i, const struct option_spec *option)
{
	char *end = tables->letters + strlen(tables->letters);

	tables->words[i] = (struct option){.name = option->name,
					   .has_arg = option->argument ? required_argument : no_argument,
					   .val = option->letter};
	if (option->letter >= OPTION_WORDS)
		return;
	*end++ = (char)option->letter;
	if (option->argument)
		*end = ':';
}

static void fill_tables(struct getopt_tables *tables, const struct command *command)
{
	unsigned count = 0;

	*tables = (struct getopt_tables){0};
	for (const struct option_spec *option = command->options; option->letter; option++) {
		if (count == OPTIONS_MAX - 1)
			abort();
		add_option(tables, count++, option);
	}
	add_option(tables, count, &help_option);
}

int command_parse(const struct command *command, int argc, char **argv, command_taker take, void *data)
{
	struct getopt_tables tables;
	char *name, *said = argv[0];
	int letter, status = -1;

	if (asprintf(&name, "udprelay %s", command->name) < 0)
		abort();
	fill_tables(&tables, command);
	argv[0] = name; /* getopt_long(3) tells it */
	while (status < 0 && (letter = getopt_long(argc, argv, tables.letters, tables.words, NULL)) != -1) {
		if (letter == 'h') {
			print_help(command);
			status = 0;
		} else if (letter == '?') {
			fprintf(stderr, "Try `%s --help`.\n", name);
			status = EX_USAGE;
		} else if (!take(data, letter, optarg)) {
			status = EX_USAGE;
		}
	}
	argv[0] = said;
	free(name);
	return status;
}

/* --- Values --- */

bool command_number(const struct command *command, int letter, const char *value, uint64_t min, uint64_t max,
		    uint64_t *result)
{
	return value_number(value, min, max, result) ||
	       command_wrong_value(command, letter, value, "write a number from %" PRIu64 " to %" PRIu64, min, max);
}

/* Digits and at most one point: no sign, exponent, infinity. */
static bool is_decimal(const char *text)
{
	size_t whole = strspn(text, "0123456789");
	size_t point = text[whole] == '.';
	size_t part = strspn(text + whole + point, "0123456789");

	return whole + part > 0 && !text[whole + point + part];
}

bool command_seconds(const struct command *command, int letter, const char *value, double min, double max,
		     uint64_t *result_ns)
{
	double seconds = is_decimal(value) ? strtod(value, NULL) : -1;

	if (seconds < min || seconds > max)
		return command_wrong_value(command, letter, value, "write seconds, from %g to %g", min, max);
	*result_ns = (uint64_t)(seconds * 1e9 + 0.5);
	return true;
}

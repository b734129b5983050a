/* The command line of udprelay: its commands, their options and help texts, and error messages.
 *
 * Each command is a constant table (struct cli_command). cli_parse_options() builds the tables for getopt_long(3)
 * from it, and prints the help text from the same data. Errors of the command line are printed at once and end in
 * exit status EX_USAGE. */
#ifndef UDPRELAYD_CLIENT_CLI_H
#define UDPRELAYD_CLIENT_CLI_H

#include <stdbool.h>
#include <stdint.h>

/* The first letter value for options without a letter. */
#define CLI_LONG_ONLY 256

struct cli_option_spec {
	int letter; /* a character, or a number from CLI_LONG_ONLY on for an option without a letter; 0 ends a table */
	const char *name; /* the long name */
	const char *argument; /* name of the argument in the help text; NULL: the option has no argument */
	const char *help;
};

struct cli_command {
	const char *name;
	const char *operands; /* as in the help text */
	const char *purpose; /* one or more lines, each with its line end */
	const struct cli_option_spec *options; /* without -h, which every command has */
	const char *example; /* a correct command line, which is printed after an error */
	int (*run)(int argc, char **argv); /* argv[0] is the name of the command; returns the exit status */
};

extern const struct cli_command send_command;
extern const struct cli_command listen_command;
extern const struct cli_command ping_command;
extern const struct cli_command load_command;

/* Handles one option. value is NULL if the option has no argument. Returns whether the value is valid; if not, the
 * handler has printed an error message. */
typedef bool (*cli_option_handler)(void *data, int letter, const char *value);

/* Calls handle for each option in order. Returns -1 if the command can run; then optind is the index of the first
 * operand. Otherwise returns the exit status: 0 after printing the help text, EX_USAGE after an error message. */
int cli_parse_options(const struct cli_command *command, int argc, char **argv, cli_option_handler handle, void *data);

/* Prints an error message, the example of the command, and a hint to --help. Returns EX_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Does the same for an invalid option value: "--NAME: `VALUE` is wrong: MESSAGE". The message says which values are
 * valid. Returns false, so that an option handler can return the result. */
bool cli_value_error(const struct cli_command *command, int letter, const char *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Checks the names of charsets in a comma-separated list. Returns 0, or EX_USAGE after an error message about the
 * option. */
int cli_check_charsets(const struct cli_command *command, const char *option, const char *list);

/* Parses a decimal number from min to max. Prints an error message and returns false if the value is invalid. */
bool cli_parse_number(const struct cli_command *command, int letter, const char *value, uint64_t min, uint64_t max,
		      uint64_t *result);

/* Parses seconds from min to max, with or without a decimal point; the result is in nanoseconds. Prints an error
 * message and returns false if the value is invalid. */
bool cli_parse_seconds(const struct cli_command *command, int letter, const char *value, double min, double max,
		       uint64_t *result_ns);

/* Prints "udprelay: MESSAGE" on standard error as one line. Characters of the message that are not printable are
 * escaped. */
void cli_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

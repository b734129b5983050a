/* The commands of udprelay: their options, their help, and what is told of a wrong command line. */
#ifndef UDPRELAYD_CLIENT_CLI_H
#define UDPRELAYD_CLIENT_CLI_H

#include <stdbool.h>
#include <stdint.h>

/* Of an option that has no letter, the first. */
#define OPTION_WORDS 256

struct option_spec {
	int letter; /* or a number from OPTION_WORDS on; 0 ends a table */
	const char *name; /* the long one */
	const char *argument; /* what help calls its value; NULL: it has none */
	const char *help;
};

struct command {
	const char *name;
	const char *operands; /* as help shows them */
	const char *purpose; /* one or more lines, each ended */
	const struct option_spec *options; /* -h is everybody's and is not in it */
	const char *example; /* of a good command line, for those who are told of a wrong one */
	int (*run)(int argc, char **argv); /* argv[0] is the command; returns the exit status */
};

extern const struct command command_send;
extern const struct command command_listen;
extern const struct command command_ping;
extern const struct command command_load;

/* Takes one option with its value, or NULL. Returns whether it is good; if not, it has told why. */
typedef bool (*command_taker)(void *data, int letter, const char *value);

/* Gives every option to take, in order. Returns -1 to go on, where optind is the first operand, or the exit status to
 * leave with: help was asked for, or something is wrong and has been told. */
int command_parse(const struct command *command, int argc, char **argv, command_taker take, void *data);

/* Tells what is wrong with the command line, and an example. Returns EX_USAGE. */
int command_wrong(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for a value that an option cannot have: "-c: `VALUE` is wrong: WHAT WOULD BE RIGHT". Returns false, for
 * takers. */
bool command_wrong_value(const struct command *command, int letter, const char *value, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* The value as a number from min to max; tells what is wrong otherwise. */
bool command_number(const struct command *command, int letter, const char *value, uint64_t min, uint64_t max,
		    uint64_t *result);

/* The value as seconds, with a decimal point or without, from min to max; the result is in nanoseconds. */
bool command_seconds(const struct command *command, int letter, const char *value, double min, double max,
		     uint64_t *result_ns);

/* "udprelay: MESSAGE" on standard error, one line, escaped where it quotes. */
void command_tell(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif

/* The command line of `udprelay load`. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_OPTIONS_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_OPTIONS_H

#include <stdbool.h>

#include "client/cli.h"
#include "client/load/load_plan.h"

struct load_options {
	struct load_plan plan;
	int family; /* AF_INET or AF_INET6 after -4 or -6, else AF_UNSPEC */
	bool target_on_stdin; /* the target is a line of standard input */
	bool hold, json, quiet, target_is_own;
};

/* The options of load_command. */
extern const struct cli_option_spec load_option_specs[];

/* Parses the command line with all options and, unless it comes from standard input, the target. Fills *options.
 * Returns -1 to continue, or the exit status after an error message. */
int load_options_parse(struct load_options *options, const struct cli_command *command, int argc, char **argv);

/* Parses the target, a line of standard input. text is modified. Returns as load_options_parse() does. */
int load_options_parse_target(struct load_options *options, const struct cli_command *command, char *text);

#endif

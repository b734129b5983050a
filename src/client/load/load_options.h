/* The command line of `udprelay load`. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_OPTIONS_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_OPTIONS_H

#include <stdbool.h>

#include "client/cli.h"
#include "client/load/load_plan.h"

struct load_options {
	struct load_plan plan;
	int family; /* AF_INET or AF_INET6 where no other will do, else AF_UNSPEC */
	bool target_later; /* it is read from standard input */
	bool hold, json, quiet, own;
};

/* For command_load. */
extern const struct option_spec load_option_specs[];

/* Takes all of the command line, and the target unless it comes later. Returns -1 to go on, or the exit status to leave
 * with, after telling why. */
int load_options_take(struct load_options *options, const struct command *command, int argc, char **argv);

/* Takes the target that came later, a line of standard input. Returns as load_options_take(). */
int load_options_aim(struct load_options *options, const struct command *command, char *text);

#endif

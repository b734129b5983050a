/* The daemon from start to exit, in a terminal or under systemd. */
#ifndef UDPRELAYD_DAEMON_DAEMON_H
#define UDPRELAYD_DAEMON_DAEMON_H

#include "config/config.h"

/* Keeps SIGHUP, SIGUSR1 and SIGUSR2 pending until daemon_run() is ready for them. By default they would end the program.
 * Call it before the configuration is read. */
void daemon_hold_signals(void);

/* Serves until a signal ends the daemon. The log goes to standard error. Takes ownership of config. name is the name of
 * the program in messages that cannot go to the log. Returns the exit status. Calls _exit(2) instead if a thread is
 * blocked. */
int daemon_run(struct config *config, const char *name);

#endif

/* The daemon's whole life in a terminal or under systemd. */
#ifndef UDPRELAYD_DAEMON_DAEMON_H
#define UDPRELAYD_DAEMON_DAEMON_H

#include "config/config.h"

/* Serves until it is asked to end, with the log on standard error. Takes over config. who begins what cannot be said in
 * the log. Returns the exit status, or leaves by itself where something is stuck. */
int daemon_run(struct config *config, const char *who);

#endif

/* The daemon as a whole: start, signals, end. */
#ifndef UDPRELAYD_DAEMON_SERVER_H
#define UDPRELAYD_DAEMON_SERVER_H

#include <stdbool.h>

#include "base/log.h"
#include "config/config.h"

/* Binds, starts the workers and serves until SIGTERM or SIGINT; SIGHUP loads the configuration again, SIGUSR1 writes
 * the counters to log, SIGUSR2 reopens the datagram log. Takes over config. Returns 0 where it ended as asked, or 1
 * with the reason told to log.
 *
 * *clean becomes false if a thread could not be ended: the writer of a datagram log, or a name look-up. Then end the
 * process with _exit(2), because exit(3) would run destructors of libraries that such a thread is using. */
int server_run(struct config *config, struct log *log, bool *clean);

#endif

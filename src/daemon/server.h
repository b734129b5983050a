/* The server: the main loop of the daemon from start to shutdown, with signals, reload, HTTP and the watchdog. It owns
 * the active and the retired generations. An error during the start, or after a reload has stopped the old workers,
 * ends the server; any other failed reload leaves the active generation unchanged. */
#ifndef UDPRELAYD_DAEMON_SERVER_H
#define UDPRELAYD_DAEMON_SERVER_H

#include <stdbool.h>

#include "base/log.h"
#include "config/config.h"

/* Binds the sockets, starts the workers and serves until SIGTERM or SIGINT. SIGHUP reloads the configuration, SIGUSR1
 * writes the counters to log, SIGUSR2 reopens the datagram log. Takes ownership of config. Returns 0 after a requested
 * end, or 1 after logging the reason.
 *
 * Sets *clean to false if a thread cannot be ended: a log writer that is blocked, or a name look-up. The caller must
 * then leave with _exit(2), because exit(3) runs destructors of libraries that such a thread uses. */
int server_run(struct config *config, struct log *log, bool *clean);

#endif

/* The number of relay sessions that this process and this host can hold. */
#ifndef UDPRELAYD_DAEMON_SESSION_CAPACITY_H
#define UDPRELAYD_DAEMON_SESSION_CAPACITY_H

#include <stdint.h>

#include "base/log.h"
#include "config/config.h"

/* Raises the descriptor limit (RLIMIT_NOFILE, getrlimit(2)) to the maximum that the sessions of all relays and
 * everything else with this number of workers may need. Logs a warning with the missing number if that is not
 * permitted, and another if the host has fewer local ports (ip_local_port_range, ip(7)) than sessions. Returns the
 * number of sessions for which there are descriptors. */
uint64_t session_capacity_reserve(const struct config *config, unsigned workers, struct log *log);

#endif

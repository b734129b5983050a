/* How many sessions this process and this host have room for. */
#ifndef UDPRELAYD_DAEMON_SESSION_CAPACITY_H
#define UDPRELAYD_DAEMON_SESSION_CAPACITY_H

#include <stdint.h>

#include "base/log.h"
#include "config/config.h"

/* Raises the limit of descriptors (RLIMIT_NOFILE, getrlimit(2)) to what the sessions of all relays may need at most,
 * with everything else that is open on so many workers. Tells log by how much it falls short where that is not
 * permitted, and where the host has fewer local ports (ip_local_port_range, ip(7)). Returns for how many sessions there
 * are descriptors.
 */
uint64_t session_capacity_reserve(const struct config *config, unsigned workers, struct log *log);

#endif

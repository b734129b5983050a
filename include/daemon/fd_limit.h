/* How many sessions this process and this host have room for. */
#ifndef UDPRELAYD_DAEMON_FD_LIMIT_H
#define UDPRELAYD_DAEMON_FD_LIMIT_H

#include <stdint.h>

#include "base/log.h"
#include "config/config.h"

/* Raises the limit of descriptors (RLIMIT_NOFILE, getrlimit(2)) to so many, as far as that is permitted. Returns how
 * many this process may open. */
uint64_t capacity_raise(uint64_t needed);

/* Raises the limit of descriptors (RLIMIT_NOFILE, getrlimit(2)) to what the sessions of all relays may need at most,
 * with everything else that is open on so many workers. Tells log by how much it falls short where that is not
 * permitted, and where the host has fewer local ports (ip_local_port_range, ip(7)). Returns for how many sessions there
 * are descriptors.
 */
uint64_t capacity_provide(const struct config *config, unsigned workers, struct log *log);

#endif

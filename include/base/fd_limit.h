/* The limit of open file descriptors of this process. */
#ifndef UDPRELAYD_BASE_FD_LIMIT_H
#define UDPRELAYD_BASE_FD_LIMIT_H

#include <stdint.h>

/* Raises the soft limit (RLIMIT_NOFILE, getrlimit(2)) to needed, or as far as the process is permitted. Never lowers
 * it. Returns the new limit: the number of descriptors that the process may open. */
uint64_t fd_limit_raise(uint64_t needed);

#endif

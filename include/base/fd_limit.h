/* The limit of open descriptors of this process. */
#ifndef UDPRELAYD_BASE_FD_LIMIT_H
#define UDPRELAYD_BASE_FD_LIMIT_H

#include <stdint.h>

/* Raises the limit (RLIMIT_NOFILE, getrlimit(2)) to needed, or as far as the process is permitted. Returns the number
 * of descriptors that this process may open. */
uint64_t fd_limit_raise(uint64_t needed);

#endif

/* The system call filter (seccomp(2)): the daemon may use only the calls that it needs to relay datagrams. Without
 * libseccomp at build time, the functions do nothing. */
#ifndef UDPRELAYD_DAEMON_SECCOMP_H
#define UDPRELAYD_DAEMON_SECCOMP_H

#include <stdbool.h>

#include "base/log.h"

/* Returns true if the program was built with libseccomp. */
bool seccomp_is_built_in(void);

/* Installs the filter for all current and future threads. A call that only an attacker would make (execve, ptrace,
 * mount …) kills the process. A forbidden call fails with EPERM. Any other call fails with ENOSYS, as on an older
 * kernel, so that libraries fall back to another call.
 *
 * Does nothing if the process already has a filter, such as one from systemd. Logs a warning on failure. */
void seccomp_install(struct log *log);

#endif

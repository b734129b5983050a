/* What the kernel does for this process from the start on: the calls of a daemon that moves datagrams, and no others
 * (seccomp(2)). It does nothing where the program was built without libseccomp. */
#ifndef UDPRELAYD_DAEMON_SECCOMP_H
#define UDPRELAYD_DAEMON_SECCOMP_H

#include <stdbool.h>

#include "base/log.h"

/* Whether the feature is built in. */
bool seccomp_is_built_in(void);

/* Filters the system calls of all threads, now and later, unless a filter is there already, such as systemd's. What
 * only an intruder would call (execve, ptrace, mount …) ends the process; what is forbidden gets EPERM; and what is
 * not known ENOSYS, as on an older kernel, so that libraries find another way. log is told where it fails. */
void seccomp_install(struct log *log);

#endif

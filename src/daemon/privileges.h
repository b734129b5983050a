/* The rights of root, for as short a time as they are needed. */
#ifndef UDPRELAYD_DAEMON_PRIVILEGES_H
#define UDPRELAYD_DAEMON_PRIVILEGES_H

#include "base/log.h"
#include "config/config.h"

/* Nothing that this process executes has more rights than it has itself (PR_SET_NO_NEW_PRIVS, prctl(2)). It holds for
 * the calling thread and for those that it starts: so it is called before there are any. Returns 0 or a negative errno.
 */
int privileges_forbid_gain(void);

/* As root, tells log which files others could change: the configuration, the datagram log, and their directories. */
void privileges_check_files(const struct config *config, struct log *log);

/* As root, becomes the user and the group of the configuration for good, in all threads: without supplementary groups,
 * without capabilities. Where none is configured, log is told what to write. Without root, the user is to be the one
 * that runs the program already. Returns 0, or a negative errno after telling why; the process may then be anybody's,
 * and is to end. */
int privileges_drop(const struct config *config, struct log *log);

#endif

/* Drops the privileges of root as early as possible. All functions must run before the first worker is created. */
#ifndef UDPRELAYD_DAEMON_PRIVILEGES_H
#define UDPRELAYD_DAEMON_PRIVILEGES_H

#include "base/log.h"
#include "config/config.h"

/* Ensures that no program executed by this process gains privileges (PR_SET_NO_NEW_PRIVS, prctl(2)). This applies to
 * the calling thread and to threads created later, so call it before the first thread is created. Returns 0 or a
 * negative errno. */
int privileges_forbid_gain(void);

/* As root, logs a warning for each file that other users could change: the configuration, the datagram log, and their
 * directories. */
void privileges_check_files(const struct config *config, struct log *log);

/* After privileges_drop(), logs a warning if the configured user cannot read the configuration again. */
void privileges_check_reload(const struct config *config, struct log *log);

/* As root, changes to the configured user and group permanently, in all threads, without supplementary groups and
 * without capabilities. If no user is configured, logs a warning that names the key. Without root, the process must
 * already run as the configured user and group. Returns 0, or a negative errno after logging the reason. After an error
 * the IDs of the process are undefined, and the process must exit. */
int privileges_drop(const struct config *config, struct log *log);

#endif

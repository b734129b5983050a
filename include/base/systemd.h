/* What systemd is told (sd_notify(3)). All of it does nothing where the program was not started by systemd, or was
 * built without libsystemd. */
#ifndef UDPRELAYD_BASE_SYSTEMD_H
#define UDPRELAYD_BASE_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/* Whether the feature is built in. */
bool systemd_built_in(void);

/* status is one line for `systemctl status`. */
void systemd_notify_ready(const char *status);
void systemd_notify_stopping(void);

/* In how many milliseconds it wants to hear of us again and again (WatchdogSec=), or 0; and the word. */
uint64_t systemd_watchdog_ms(void);
void systemd_notify_watchdog(void);

/* What it passed at the start: how many descriptors, from *first on, each close-on-exec, and a name for each, which are
 * the caller's to free. The environment forgets them. */
int systemd_listen_fds(int *first, char ***names);

/* Leaves a copy of the socket in the file descriptor store, where the next run finds it; and takes it out. */
void systemd_store_add(const char *name, int fd);
void systemd_store_remove(const char *name);

/* The configuration is being loaded again, until systemd_notify_ready(). */
void systemd_notify_reloading(void);

#endif

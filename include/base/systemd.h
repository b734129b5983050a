/* Messages to systemd and sockets from it (sd_notify(3), sd_listen_fds(3)). The functions do nothing if systemd did not
 * start the program, or if the program was built without libsystemd. */
#ifndef UDPRELAYD_BASE_SYSTEMD_H
#define UDPRELAYD_BASE_SYSTEMD_H

#include <stdbool.h>
#include <stdint.h>

/* Returns true if the program was built with libsystemd. */
bool systemd_is_built_in(void);

/* Returns true if systemd started the process and waits for its messages (Type=notify). */
bool systemd_is_manager(void);

/* Reports the end of the start, or of a reload. status is one line for `systemctl status`. */
void systemd_notify_ready(const char *status);

/* Reports the start of a reload, which ends with systemd_notify_ready(). */
void systemd_notify_reloading(void);

void systemd_notify_stopping(void);

/* Returns the time in milliseconds within which systemd expects the next watchdog message (WatchdogSec=), or 0 if the
 * watchdog is off. */
uint64_t systemd_watchdog_ms(void);

/* Sends a watchdog message. */
void systemd_notify_watchdog(void);

/* Finds the descriptors that systemd passed at the start. Call it before the program opens anything: a descriptor that
 * the environment announces and that is not open would later be one of our own. Unsets the environment variables of
 * sd_listen_fds(3). */
void systemd_claim_fds(void);

/* Returns the number of claimed descriptors, or a negative errno if not all announced descriptors are open; then none is
 * used. They are consecutive from *first on and have FD_CLOEXEC set. *names has the name of each one and ends with NULL,
 * or is NULL if there are none; the caller frees the names and the array. A second call returns 0. */
int systemd_listen_fds(int *first, char ***names);

/* Puts a copy of the descriptor into the file descriptor store, from which systemd passes it to the next start. Returns
 * whether the message was sent. systemd may still discard the descriptor if its store is full
 * (FileDescriptorStoreMax=). */
bool systemd_store_add(const char *name, int fd);

/* Removes all descriptors of this name from the store. */
void systemd_store_remove(const char *name);

#endif

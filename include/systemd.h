/* What systemd is told (sd_notify(3)). All of it does nothing where the program was not started by systemd, or was
 * built without libsystemd. */
#ifndef UDPRELAYD_SYSTEMD_H
#define UDPRELAYD_SYSTEMD_H

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

/* The configuration is being loaded again, until systemd_notify_ready(). */
void systemd_notify_reloading(void);

#endif

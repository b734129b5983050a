/* Reports when an address is added to or removed from an interface of the host (rtnetlink(7)). The server owns the only
 * monitor. Without netlink, an address that is added after the start or the last reload is not recognised as our own.
 */
#ifndef UDPRELAYD_DAEMON_INTERFACE_MONITOR_H
#define UDPRELAYD_DAEMON_INTERFACE_MONITOR_H

#include <uv.h>

#include "base/log.h"

typedef void interface_monitor_changed(void *data);

struct interface_monitor {
	uv_poll_t poll;
	int fd; /* netlink socket; -1: none */
	interface_monitor_changed *on_change;
	void *data;
};

/* Starts the monitor and calls on_change once, for changes that happened before the start. The monitor does not keep
 * the loop running, and the handle is closed with the loop. Logs a warning on failure, but not if the system has no
 * netlink; on_change is then not called again. */
void interface_monitor_start(struct interface_monitor *monitor, uv_loop_t *loop, interface_monitor_changed *on_change,
			     void *data, struct log *log);

/* Closes the socket. Call this after the loop has ended. */
void interface_monitor_finish(struct interface_monitor *monitor);

#endif

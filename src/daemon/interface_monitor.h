/* Tells when addresses come to the interfaces of the host, or leave them. */
#ifndef UDPRELAYD_DAEMON_INTERFACE_MONITOR_H
#define UDPRELAYD_DAEMON_INTERFACE_MONITOR_H

#include <uv.h>

#include "base/log.h"

typedef void interface_monitor_changed(void *data);

struct interface_monitor {
	uv_poll_t poll;
	int fd; /* -1: nobody tells */
	interface_monitor_changed *changed;
	void *data;
};

/* Does not keep the loop running; its end closes the handle. Where there is no netlink, nothing is ever told; other
 * reasons for that are told to the log. What came before is told at once. */
void interface_monitor_start(struct interface_monitor *interfaces, uv_loop_t *loop, interface_monitor_changed *changed,
			     void *data, struct log *log);

/* After the end of the loop. */
void interface_monitor_finish(struct interface_monitor *interfaces);

#endif

/* Logs when the kernel drops datagrams of a listener because its receive buffer is full. The server owns the only
 * monitor. */
#ifndef UDPRELAYD_DAEMON_DROP_MONITOR_H
#define UDPRELAYD_DAEMON_DROP_MONITOR_H

#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "net/listen_sockets.h"

/* The drops of one listener. */
struct drop_watch {
	uint64_t known; /* at the last check, or when the monitor began */
	struct log_counter log;
};

struct drop_monitor {
	uv_timer_t timer;
	struct log *log;
	const struct config *config;
	const struct listen_sockets *sockets;
	struct drop_watch *watches; /* by index of the listener; NULL: no memory, nothing is logged */
};

/* The monitor does not keep the loop running, and the handle is closed with the loop. */
void drop_monitor_start(struct drop_monitor *monitor, uv_loop_t *loop, struct log *log);

/* Watches the listeners of this configuration, which must outlive the monitor or the next call. */
void drop_monitor_watch(struct drop_monitor *monitor, const struct config *config,
			const struct listen_sockets *sockets);

/* Checks the listeners once. The timer calls it every second. */
void drop_monitor_check(struct drop_monitor *monitor, uint64_t now_ms);

/* Call this after the loop has ended. */
void drop_monitor_finish(struct drop_monitor *monitor);

#endif

#include "daemon/drop_monitor.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/clock.h"

#define CHECK_INTERVAL_MS 1000

static void check_listener(struct drop_monitor *monitor, size_t i, uint64_t now_ms)
{
	struct drop_watch *watch = &monitor->watches[i];
	uint64_t drops = listen_sockets_kernel_drops(monitor->sockets, i), seconds;
	uint64_t due = log_counter_add(&watch->log, drops - watch->known, now_ms, &seconds);

	watch->known = drops;
	if (due)
		log_warning(monitor->log,
			    "listener %s: the kernel dropped %" PRIu64
			    " datagrams, because the receive buffer was full: raise receive_buffer and "
			    "net.core.rmem_max, or workers",
			    monitor->config->listeners[i].name, due);
}

void drop_monitor_check(struct drop_monitor *monitor, uint64_t now_ms)
{
	for (size_t i = 0; monitor->watches && i < monitor->config->listener_count; i++)
		check_listener(monitor, i, now_ms);
}

static void on_timer(uv_timer_t *timer)
{
	drop_monitor_check(timer->data, clock_monotonic_ms());
}

void drop_monitor_start(struct drop_monitor *monitor, uv_loop_t *loop, struct log *log)
{
	monitor->log = log;
	uv_timer_init(loop, &monitor->timer);
	monitor->timer.data = monitor;
	uv_timer_start(&monitor->timer, on_timer, CHECK_INTERVAL_MS, CHECK_INTERVAL_MS);
	uv_unref((uv_handle_t *)&monitor->timer);
}

void drop_monitor_watch(struct drop_monitor *monitor, const struct config *config, const struct listen_sockets *sockets)
{
	free(monitor->watches);
	monitor->config = config;
	monitor->sockets = sockets;
	monitor->watches = calloc(config->listener_count, sizeof(*monitor->watches));
	for (size_t i = 0; monitor->watches && i < config->listener_count; i++)
		monitor->watches[i].known = listen_sockets_kernel_drops(sockets, i);
}

void drop_monitor_finish(struct drop_monitor *monitor)
{
	free(monitor->watches);
}

#include "admin/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- Sums --- */

/* '*:PORT' has one or two sockets, every other address one; worker 0 has all of them. */
static bool is_bound(const struct status_source *view, const struct listener_config *config)
{
	size_t sockets = 0;

	for (size_t i = 0; i < view->sockets->count; i++) {
		const struct listen_socket *socket = &view->sockets->items[i];

		sockets += socket->config == config && socket->worker == 0;
	}
	return sockets >= config->bind_count;
}

static void collect_relay(struct status_listener *listener, const struct status_source *view)
{
	size_t index = listener->config->index;

	for (unsigned i = 0; i < view->worker_count; i++)
		relay_counters_add(&listener->relay, worker_relay_counters(view->workers[i], index));
	uint64_t ended = counter_get(&listener->relay.ended), started = counter_get(&listener->relay.started);

	listener->answers_dropped = drops_total(listener->relay.dropped);
	listener->sessions = started > ended ? started - ended : 0;
	listener->sessions_max = view->shared[index].quota.max;
}

static void collect_listener(struct status_listener *listener, const struct status_source *view,
			     const struct listener_config *config)
{
	listener->config = config;
	listener->bound = is_bound(view, config);
	for (unsigned i = 0; i < view->worker_count; i++)
		listener_counters_add(&listener->counters, worker_listener_counters(view->workers[i], config->index));
	listener->kernel_dropped = listen_sockets_kernel_drops(view->sockets, config->index);
	listener->dropped = drops_total(listener->counters.dropped);
	if (action_traits(config->action)->has_sessions)
		collect_relay(listener, view);
}

static void collect_peer(struct status_peer *peer, const struct status *status, const struct peer_config *config)
{
	const struct status_source *view = status->view;

	peer->config = config;
	for (unsigned i = 0; i < view->worker_count; i++)
		peer_counters_add(&peer->counters, worker_peer_counters(view->workers[i], config->index));
	peer->dropped = drops_total(peer->counters.dropped);
	if (status->snapshot)
		peer->targets = &status->snapshot->peers[config->index];
}

static void collect_workers(struct status *status)
{
	const struct status_source *view = status->view;

	for (unsigned i = 0; i < view->worker_count; i++) {
		uint64_t heartbeat_ms = worker_heartbeat_ms(view->workers[i]);

		status->stalled_ms[i] = status->now_ms > heartbeat_ms ? status->now_ms - heartbeat_ms : 0;
		receive_counters_add(&status->receives, worker_receive_counters(view->workers[i]));
	}
}

static void collect_datagram_log(struct status *status)
{
	const struct datagram_log *dlog = status->view->datagram_log;

	status->datagram_log.on = dlog != NULL;
	if (!dlog)
		return;
	status->datagram_log.written = datagram_log_written(dlog);
	status->datagram_log.dropped = datagram_log_dropped(dlog);
	status->datagram_log.waiting = datagram_log_waiting(dlog);
}

static bool make_room(struct status *status, const struct status_source *view)
{
	status->listener_count = view->config->listener_count;
	status->peer_count = view->config->peer_count;
	status->worker_count = view->worker_count;
	status->listeners = calloc(status->listener_count + 1, sizeof(*status->listeners));
	status->peers = calloc(status->peer_count + 1, sizeof(*status->peers));
	status->stalled_ms = calloc(status->worker_count + 1, sizeof(*status->stalled_ms));
	return status->listeners && status->peers && status->stalled_ms;
}

struct status *status_collect(const struct status_source *view)
{
	struct status *status = calloc(1, sizeof(*status));

	if (!status || !make_room(status, view)) {
		status_destroy(status);
		return NULL;
	}
	status->view = view;
	status->generation = view->generation;
	status->now_ms = clock_monotonic_ms();
	status->snapshot = view->peers ? peers_now(view->peers) : NULL;
	for (size_t i = 0; i < status->listener_count; i++)
		collect_listener(&status->listeners[i], view, &view->config->listeners[i]);
	for (size_t i = 0; i < status->peer_count; i++)
		collect_peer(&status->peers[i], status, &view->config->peers[i]);
	collect_workers(status);
	collect_datagram_log(status);
	return status;
}

void status_destroy(struct status *status)
{
	if (!status)
		return;
	endpoints_snapshot_put(status->snapshot);
	free(status->listeners);
	free(status->peers);
	free(status->stalled_ms);
	free(status);
}

/* --- Judgement --- */

static void tell_fault(void (*tell)(const char *fault, void *data), void *data, const char *fault)
{
	if (tell)
		tell(fault, data);
}

size_t status_health_problems(const struct status *status, void (*tell)(const char *fault, void *data), void *data)
{
	char fault[128];
	size_t faults = 0;

	for (size_t i = 0; i < status->listener_count; i++) {
		if (status->listeners[i].bound)
			continue;
		snprintf(fault, sizeof(fault), "listener %s: not bound", status->listeners[i].config->name);
		tell_fault(tell, data, fault);
		faults++;
	}
	for (unsigned i = 0; i < status->worker_count; i++) {
		if (status->stalled_ms[i] <= STATUS_STALL_MS)
			continue;
		snprintf(fault, sizeof(fault), "worker %u: stands still since %" PRIu64 " ms", i,
			 status->stalled_ms[i]);
		tell_fault(tell, data, fault);
		faults++;
	}
	return faults;
}

double status_rate(const struct status *before, const struct status *now, uint64_t earlier, uint64_t later)
{
	if (!before || before->now_ms >= now->now_ms || later < earlier)
		return 0;
	return (double)(later - earlier) * 1000 / (double)(now->now_ms - before->now_ms);
}

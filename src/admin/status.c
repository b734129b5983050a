#include "admin/status.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"

/* --- Collect --- */

/* "*:PORT" has one or two sockets, any other address has one. Worker 0 has a socket for each address. */
static bool listener_is_bound(const struct status_source *source, const struct listener_config *config)
{
	size_t sockets = 0;

	for (size_t i = 0; i < source->sockets->count; i++) {
		const struct listen_socket *socket = &source->sockets->items[i];

		sockets += socket->config == config && socket->worker == 0;
	}
	return sockets >= config->bind_count;
}

static void collect_relay(struct status_listener *listener, const struct status_source *source)
{
	size_t index = listener->config->index;

	for (unsigned i = 0; i < source->worker_count; i++)
		relay_counters_add(&listener->relay, worker_relay_counters(source->workers[i], index));
	uint64_t ended = counter_get(&listener->relay.ended), started = counter_get(&listener->relay.started);

	listener->replies_dropped = drops_total(listener->relay.dropped);
	listener->sessions = started > ended ? started - ended : 0;
	listener->sessions_max = source->limits[index].quota.max;
}

static void collect_listener(struct status_listener *listener, const struct status_source *source,
			     const struct listener_config *config)
{
	listener->config = config;
	listener->bound = listener_is_bound(source, config);
	for (unsigned i = 0; i < source->worker_count; i++)
		listener_counters_add(&listener->counters, worker_listener_counters(source->workers[i], config->index));
	listener->kernel_dropped = listen_sockets_kernel_drops(source->sockets, config->index);
	listener->dropped = drops_total(listener->counters.dropped);
	if (action_traits[config->action].has_sessions)
		collect_relay(listener, source);
}

static void collect_peer(struct status_peer *peer, const struct status *status, const struct peer_config *config)
{
	const struct status_source *source = status->source;

	peer->config = config;
	for (unsigned i = 0; i < source->worker_count; i++)
		peer_counters_add(&peer->counters, worker_peer_counters(source->workers[i], config->index));
	peer->dropped = drops_total(peer->counters.dropped);
	if (status->snapshot)
		peer->endpoints = &status->snapshot->peers[config->index];
}

static void collect_workers(struct status *status)
{
	const struct status_source *source = status->source;

	for (unsigned i = 0; i < source->worker_count; i++) {
		uint64_t heartbeat_ms = worker_heartbeat_ms(source->workers[i]);

		status->stalled_ms[i] = status->now_ms > heartbeat_ms ? status->now_ms - heartbeat_ms : 0;
		receive_counters_add(&status->receives, worker_receive_counters(source->workers[i]));
	}
}

static void collect_datagram_log(struct status *status)
{
	const struct datagram_log *dlog = status->source->datagram_log;

	status->datagram_log.on = dlog != NULL;
	if (!dlog)
		return;
	status->datagram_log.written = datagram_log_written(dlog);
	status->datagram_log.dropped = datagram_log_dropped(dlog);
	status->datagram_log.waiting = datagram_log_waiting(dlog);
}

static bool allocate_arrays(struct status *status, const struct status_source *source)
{
	status->listener_count = source->config->listener_count;
	status->peer_count = source->config->peer_count;
	status->worker_count = source->worker_count;
	status->listeners = calloc(status->listener_count + 1, sizeof(*status->listeners));
	status->peers = calloc(status->peer_count + 1, sizeof(*status->peers));
	status->stalled_ms = calloc(status->worker_count + 1, sizeof(*status->stalled_ms));
	return status->listeners && status->peers && status->stalled_ms;
}

struct status *status_collect(const struct status_source *source)
{
	struct status *status = calloc(1, sizeof(*status));

	if (!status || !allocate_arrays(status, source)) {
		status_destroy(status);
		return NULL;
	}
	status->source = source;
	status->generation = source->generation;
	status->now_ms = clock_monotonic_ms();
	status->snapshot = source->peers ? peers_now(source->peers) : NULL;
	for (size_t i = 0; i < status->listener_count; i++)
		collect_listener(&status->listeners[i], source, &source->config->listeners[i]);
	for (size_t i = 0; i < status->peer_count; i++)
		collect_peer(&status->peers[i], status, &source->config->peers[i]);
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

/* --- Evaluate --- */

static void report_problem(void (*report)(const char *problem, void *data), void *data, const char *problem)
{
	if (report)
		report(problem, data);
}

size_t status_health_problems(const struct status *status, void (*report)(const char *problem, void *data), void *data)
{
	char problem[128];
	size_t problems = 0;

	for (size_t i = 0; i < status->listener_count; i++) {
		if (status->listeners[i].bound)
			continue;
		snprintf(problem, sizeof(problem), "listener %s: not bound", status->listeners[i].config->name);
		report_problem(report, data, problem);
		problems++;
	}
	for (unsigned i = 0; i < status->worker_count; i++) {
		if (status->stalled_ms[i] <= STATUS_STALL_MS)
			continue;
		snprintf(problem, sizeof(problem), "worker %u: no progress for %" PRIu64 " ms", i,
			 status->stalled_ms[i]);
		report_problem(report, data, problem);
		problems++;
	}
	return problems;
}

double status_rate(const struct status *before, const struct status *now, uint64_t earlier, uint64_t later)
{
	if (!before || before->now_ms >= now->now_ms || later < earlier)
		return 0;
	return (double)(later - earlier) * 1000 / (double)(now->now_ms - before->now_ms);
}

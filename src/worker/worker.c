#include "worker/worker.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/thread.h"
#include "worker/worker_private.h"

/* Interval of the heartbeat. */
#define HEARTBEAT_MS 500

/* How long a stopping worker processes the datagrams that wait in its sockets. */
#define DRAIN_MS 100

/* How long a stopping worker waits for replies to recent datagrams. */
#define WAIT_FOR_REPLIES_MS 200

/* --- Its own thread --- */

void worker_set_peer_addresses(struct worker *worker, const struct endpoints_snapshot *peers)
{
	for (size_t i = 0; i < peers->peer_count; i++) {
		if (peers->peers[i].count)
			peer_socket_set_address(&worker->peer_sockets[i], &peers->peers[i].items[0]->address);
		else if (peers->peers[i].no_address)
			peer_socket_set_no_address(&worker->peer_sockets[i]);
	}
}

static void worker_receive_peers(struct worker *worker)
{
	struct endpoints_snapshot *peers = atomic_exchange(&worker->new_peers, NULL);

	if (!peers)
		return;
	worker_set_peer_addresses(worker, peers);
	reply_poller_set_peers(&worker->reply_poller, peers);
	endpoints_snapshot_put(peers);
}

void worker_end_relay(struct worker *worker, size_t listener)
{
	if (worker->relays[listener])
		relay_finish(worker->relays[listener]);
}

static void worker_drain(struct worker *worker)
{
	listeners_drain(&worker->listeners, DRAIN_MS);
	reply_poller_drain(&worker->reply_poller, DRAIN_MS);
}

/* Datagrams that arrive while the worker waits for replies are processed here, unless the next process inherits the
 * sockets and processes them. */
static void worker_end_relays(struct worker *worker)
{
	if (reply_poller_wait_for_replies(&worker->reply_poller, WAIT_FOR_REPLIES_MS) &&
	    !listen_sockets_survive_exit(worker->setup->sockets))
		worker_drain(worker);
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		worker_end_relay(worker, i);
}

/* Closes every handle. The loop ends when they are closed. */
static void worker_shut_down(struct worker *worker)
{
	worker_drain(worker);
	if (!atomic_load(&worker->for_adoption))
		worker_end_relays(worker);
	batch_scheduler_close(&worker->scheduler);
	listeners_close(&worker->listeners);
	reply_poller_close(&worker->reply_poller);
	for (size_t i = 0; i < worker->setup->config->peer_count; i++)
		peer_socket_collect_final_error(&worker->peer_sockets[i]);
	uv_close((uv_handle_t *)&worker->heartbeat, NULL);
	uv_close((uv_handle_t *)&worker->async, NULL);
}

static void on_heartbeat(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	atomic_store_explicit(&worker->heartbeat_ms, clock_monotonic_ms(), memory_order_relaxed);
}

static void on_async(uv_async_t *async)
{
	struct worker *worker = async->data;

	worker_receive_peers(worker);
	if (atomic_load(&worker->stop) && !uv_is_closing((uv_handle_t *)async))
		worker_shut_down(worker);
}

int worker_init_handles(struct worker *worker)
{
	uv_timer_init(&worker->loop, &worker->heartbeat);
	worker->heartbeat.data = worker;
	worker->async.data = worker;
	return uv_async_init(&worker->loop, &worker->async, on_async);
}

static void worker_log_open_handle(uv_handle_t *handle, void *data)
{
	struct worker *worker = data;

	log_error(worker->setup->log, "worker %u: a handle of type %s is still open", worker->index,
		  uv_handle_type_name(handle->type));
}

void worker_close_loop(struct worker *worker)
{
	if (uv_loop_close(&worker->loop))
		uv_walk(&worker->loop, worker_log_open_handle, worker);
	worker->loop_open = false;
}

static void *worker_main(void *data)
{
	struct worker *worker = data;

	uv_run(&worker->loop, UV_RUN_DEFAULT);
	worker_close_loop(worker);
	return NULL;
}

/* --- Other threads --- */

/* From now on the relays do not move. Before, worker_adopt() can replace them. */
static void worker_connect_relays(struct worker *worker)
{
	for (size_t i = 0; i < worker->setup->config->listener_count; i++) {
		if (!worker->relays[i])
			continue;
		worker->pipelines[i].action_state = worker->relays[i];
		reply_poller_add(&worker->reply_poller, worker->relays[i]);
	}
}

int worker_start(struct worker *worker)
{
	char name[16];
	int error;

	worker_connect_relays(worker);
	error = batch_scheduler_start(&worker->scheduler);
	on_heartbeat(&worker->heartbeat);
	uv_timer_start(&worker->heartbeat, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	return error ? error : thread_start(&worker->thread, name, worker_main, worker);
}

void worker_set_peers(struct worker *worker, struct endpoints_snapshot *peers)
{
	endpoints_snapshot_put(atomic_exchange(&worker->new_peers, peers));
	uv_async_send(&worker->async);
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
	uv_async_send(&worker->async);
}

void worker_stop_for_adoption(struct worker *worker)
{
	atomic_store(&worker->for_adoption, true);
	worker_stop(worker);
}

void worker_join(struct worker *worker)
{
	pthread_join(worker->thread, NULL);
}

const struct listener_counters *worker_listener_counters(const struct worker *worker, size_t listener)
{
	return &worker->counters[listener];
}

const struct relay_counters *worker_relay_counters(const struct worker *worker, size_t listener)
{
	return &worker->relays[listener]->counters;
}

const struct peer_counters *worker_peer_counters(const struct worker *worker, size_t peer)
{
	return &worker->peer_sockets[peer].counters;
}

const struct receive_counters *worker_receive_counters(const struct worker *worker)
{
	return rx_batch_counters(worker->rx_batch);
}

uint64_t worker_heartbeat_ms(const struct worker *worker)
{
	return atomic_load_explicit(&worker->heartbeat_ms, memory_order_relaxed);
}

/* Creation and destruction of a worker, and the handover of sessions from one worker to another. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "relay/relay_action.h"
#include "worker/worker_private.h"

#define CACHE_LINE 64

/* Memory that other threads read does not share cache lines with other memory. */
static void *calloc_cache_lines(size_t count, size_t size)
{
	size_t bytes = (count * size + CACHE_LINE) / CACHE_LINE * CACHE_LINE;
	void *memory = aligned_alloc(CACHE_LINE, bytes);

	return memory ? memset(memory, 0, bytes) : NULL;
}

/* --- Data path --- */

/* Returns the largest send buffer of the listeners that send to the peer. */
static int send_buffer_for(const struct config *config, const struct peer_config *peer)
{
	int bytes = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct listener_config *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->peer_count; j++) {
			if (listener->peers[j] == peer && listener->send_buffer > bytes)
				bytes = listener->send_buffer;
		}
	}
	return bytes;
}

static int worker_create_peer_sockets(struct worker *worker)
{
	const struct config *config = worker->setup->config;

	worker->peer_sockets = calloc_cache_lines(config->peer_count, sizeof(*worker->peer_sockets));
	if (!worker->peer_sockets)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++)
		peer_socket_init(&worker->peer_sockets[i], &config->peers[i],
				 send_buffer_for(config, &config->peers[i]), worker->setup->own, worker->setup->log);
	return 0;
}

static int worker_create_pipeline(struct worker *worker, size_t i)
{
	const struct worker_setup *setup = worker->setup;
	const struct listener_config *config = &setup->config->listeners[i];
	bool is_relay = action_traits[config->action].has_sessions;
	struct pipeline *pipeline = &worker->pipelines[i];
	int error = pipeline_init(pipeline, is_relay ? &relay_action : action_of(config->action), config,
				  worker->peer_sockets);

	pipeline->own = setup->own;
	pipeline->delivery.log = setup->log;
	pipeline->source_limit = setup->limits[i].source_limit;
	pipeline->source_limit_sampler = source_limit_sampler_of(worker->index);
	pipeline->delivery.ring_guard = setup->limits[i].ring_guard;
	pipeline->delivery.ring_guard_sampler = ring_guard_sampler_of(worker->index);
	pipeline->delivery.arena = &worker->arena;
	pipeline->counters = &worker->counters[i];
	if (setup->datagram_log && config->log_every)
		pipeline->delivery.ring = datagram_log_ring(setup->datagram_log, worker->index);
	return error;
}

/* The transmit batch and the arena have room for the listener that needs most. */
static int worker_create_tx_batch(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	size_t chunks = 1, flows = RX_BATCH_TRAINS, converting = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct pipeline *pipeline = &worker->pipelines[i];
		size_t chunks_max = pipeline_chunks_max(pipeline), flows_max = pipeline_flows_max(pipeline);

		chunks = chunks_max > chunks ? chunks_max : chunks;
		flows = flows_max > flows ? flows_max : flows;
		if (pipeline->delivery.converts && pipeline->peer_count > converting)
			converting = pipeline->peer_count;
	}
	error = tx_batch_create(&worker->tx_batch, chunks, flows);
	for (size_t i = 0; i < config->listener_count && !error; i++)
		worker->pipelines[i].delivery.tx_batch = worker->tx_batch;
	return error ? error : arena_create(&worker->arena, converting);
}

static int worker_create_data_path(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	int error = worker_create_peer_sockets(worker);

	worker->counters = calloc_cache_lines(config->listener_count, sizeof(*worker->counters));
	worker->relays = calloc(config->listener_count, sizeof(struct relay *));
	worker->pipelines = calloc(config->listener_count, sizeof(*worker->pipelines));
	if (error || !worker->counters || !worker->relays || !worker->pipelines)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++)
		error = worker_create_pipeline(worker, i);
	return error ? error : worker_create_tx_batch(worker);
}

/* --- Relays --- */

static struct relay_setup worker_relay_setup(struct worker *worker, size_t i, const struct endpoints_snapshot *snapshot)
{
	const struct worker_setup *setup = worker->setup;

	return (struct relay_setup){.config = &setup->config->listeners[i],
				    .own = setup->own,
				    .log = setup->log,
				    .peer_sockets = worker->peer_sockets,
				    .delivery = &worker->pipelines[i].delivery,
				    .worker = worker->index,
				    .quota = &setup->limits[i].quota,
				    .paused = &worker->reply_poller.batch.paused,
				    .epoch = setup->epoch,
				    .snapshot = snapshot};
}

static int worker_create_relay(struct worker *worker, size_t i, const struct endpoints_snapshot *snapshot)
{
	struct relay_setup setup = worker_relay_setup(worker, i, snapshot);
	struct relay *relay = calloc_cache_lines(1, sizeof(*relay));
	int error = relay ? relay_init(relay, &setup) : -ENOMEM;

	if (error) {
		free(relay);
		return error;
	}
	worker->relays[i] = relay;
	return 0;
}

static int worker_create_relays(struct worker *worker, const struct endpoints_snapshot *snapshot)
{
	const struct config *config = worker->setup->config;
	size_t relays = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++)
		relays += action_traits[config->listeners[i].action].has_sessions;
	error = reply_poller_init(&worker->reply_poller, &worker->scheduler, relays);
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		if (action_traits[config->listeners[i].action].has_sessions)
			error = worker_create_relay(worker, i, snapshot);
	}
	return error;
}

static void worker_destroy_relay(struct relay *relay)
{
	if (relay)
		relay_finish(relay);
	free(relay);
}

/* --- The worker --- */

/* Relays and peer sockets need the addresses of the peers. */
static int worker_create_upstreams(struct worker *worker)
{
	struct endpoints_snapshot *snapshot = peers_now(worker->setup->peers);
	int error = worker_create_relays(worker, snapshot);

	if (!error)
		worker_set_peer_addresses(worker, snapshot);
	endpoints_snapshot_put(snapshot);
	return error;
}

static int worker_create_listeners(struct worker *worker)
{
	const struct listen_sockets *sockets = worker->setup->sockets;
	int error = listeners_init(&worker->listeners, &worker->scheduler, sockets->count, worker->setup->log);

	for (size_t i = 0; i < sockets->count && !error; i++) {
		const struct listen_socket *socket = &sockets->items[i];

		if (socket->worker == worker->index)
			error = listeners_add(&worker->listeners, socket, &worker->pipelines[socket->config->index]);
	}
	return error;
}

static int worker_create_loop(struct worker *worker)
{
	int error = uv_loop_init(&worker->loop);

	if (error)
		return error;
	worker->loop_open = true;
	batch_scheduler_init(&worker->scheduler, &worker->loop, worker->rx_batch, worker->tx_batch);
	return worker_init_handles(worker);
}

int worker_create(struct worker **out, const struct worker_setup *setup, unsigned index)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	worker->index = index;
	worker->setup = setup;
	worker->reply_poller.epoll = -1;
	error = rx_batch_create(&worker->rx_batch);
	if (!error)
		error = worker_create_data_path(worker);
	if (!error)
		error = worker_create_loop(worker);
	if (!error)
		error = worker_create_upstreams(worker);
	if (!error)
		error = worker_create_listeners(worker);
	if (error) {
		worker_destroy(worker);
		return error;
	}
	*out = worker;
	return 0;
}

/* The loop of a worker that was never started still has its handles. */
static void close_unused(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void worker_destroy(struct worker *worker)
{
	if (!worker)
		return;
	const struct config *config = worker->setup->config;

	if (worker->loop_open) {
		uv_walk(&worker->loop, close_unused, NULL);
		uv_run(&worker->loop, UV_RUN_DEFAULT);
		worker_close_loop(worker);
	}
	endpoints_snapshot_put(atomic_exchange(&worker->new_peers, NULL));
	listeners_finish(&worker->listeners);
	for (size_t i = 0; worker->relays && i < config->listener_count; i++)
		worker_destroy_relay(worker->relays[i]);
	reply_poller_finish(&worker->reply_poller);
	for (size_t i = 0; worker->pipelines && i < config->listener_count; i++)
		pipeline_finish(&worker->pipelines[i]);
	for (size_t i = 0; worker->peer_sockets && i < config->peer_count; i++)
		peer_socket_finish(&worker->peer_sockets[i]);
	arena_destroy(&worker->arena);
	tx_batch_destroy(worker->tx_batch);
	rx_batch_destroy(worker->rx_batch);
	free(worker->pipelines);
	free(worker->relays);
	free(worker->counters);
	free(worker->peer_sockets);
	free(worker);
}

/* --- Handover --- */

static struct tx_socket *worker_find_client_tx(const struct tx_socket *before, void *data)
{
	struct worker *worker = data;

	return listeners_find_socket(&worker->listeners, before);
}

/* Replaces the listener's new relay by the relay of the other worker, if that can continue. */
static void worker_adopt_relay(struct worker *worker, size_t i, struct relay **before,
			       const struct endpoints_snapshot *snapshot)
{
	struct relay_setup setup = worker_relay_setup(worker, i, snapshot);
	struct relay_rebinding rebinding = {worker_find_client_tx, worker};

	if (!*before || !relay_can_adopt_config(setup.config) || relay_adopt_config(*before, &setup, &rebinding))
		return;
	worker_destroy_relay(worker->relays[i]);
	worker->relays[i] = *before;
	*before = NULL;
}

static void worker_adopt_listener(struct worker *worker, size_t i, struct worker *before,
				  const struct endpoints_snapshot *snapshot)
{
	const char *name = worker->setup->config->listeners[i].name;
	size_t j = config_find_listener(before->setup->config, name);

	if (j == before->setup->config->listener_count)
		return;
	worker->counters[i] = before->counters[j];
	worker_adopt_relay(worker, i, &before->relays[j], snapshot);
}

static void worker_adopt_peer_socket(struct worker *worker, size_t i, struct worker *before)
{
	const char *name = worker->setup->config->peers[i].name;
	size_t j = config_find_peer(before->setup->config, name);

	if (j < before->setup->config->peer_count)
		peer_socket_adopt(&worker->peer_sockets[i], &before->peer_sockets[j]);
}

/* The new relay adopts the counters even if the sessions could not continue. Call it when these sessions have ended. */
static void worker_adopt_relay_counters(struct worker *worker, size_t i, struct worker *before)
{
	size_t j = config_find_listener(before->setup->config, worker->setup->config->listeners[i].name);

	if (worker->relays[i] && j < before->setup->config->listener_count && before->relays[j])
		worker->relays[i]->counters = before->relays[j]->counters;
}

/* Sessions that end here still count for the previous peer sockets, so their counters are adopted last. */
void worker_adopt(struct worker *worker, struct worker *before)
{
	struct endpoints_snapshot *snapshot = peers_now(worker->setup->peers);

	rx_batch_adopt_counters(worker->rx_batch, before->rx_batch);
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		worker_adopt_listener(worker, i, before, snapshot);
	for (size_t i = 0; i < before->setup->config->listener_count; i++)
		worker_end_relay(before, i);
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		worker_adopt_relay_counters(worker, i, before);
	for (size_t i = 0; i < worker->setup->config->peer_count; i++)
		worker_adopt_peer_socket(worker, i, before);
	endpoints_snapshot_put(snapshot);
}

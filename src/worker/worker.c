#include "worker/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/clock.h"
#include "base/thread.h"
#include "datapath/peer_socket.h"
#include "datapath/pipeline.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "net/socket.h"
#include "relay/relay_action.h"
#include "worker/batch_scheduler.h"
#include "worker/listener.h"
#include "worker/reply_poller.h"

#define CACHE_LINE 64

/* An idle loop turns as often, to show that it does. */
#define HEARTBEAT_MS 500

/* At the end, what waits in the sockets is still taken, for as long. */
#define DRAIN_MS 100

/* And answers to what was relayed so shortly before are waited for, as long again. */
#define AWAIT_MS 200

struct worker {
	unsigned index;
	const struct worker_setup *setup;
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t mail; /* the mailbox has something, or stop was asked for */
	_Atomic(struct endpoints_snapshot *) mailbox;
	atomic_bool stop, for_adoption;
	bool loop_open;
	uv_timer_t clock;
	_Atomic uint64_t heartbeat_ms; /* monotonic */

	struct rx_batch *batch;
	struct tx_batch *egress;
	struct arena arena;
	struct peer_socket *links; /* by peer */
	struct pipeline *routes; /* by listener */
	struct relay **relays; /* by listener; NULL where it is none */
	struct listener_counters *counters;
	struct batch_scheduler turns;
	struct listeners listeners;
	struct reply_poller relay_loop;
};

/* --- The thread --- */

/* A link goes to the first address of its peer. One without any keeps the last. */
static void set_peer_addresses(struct worker *worker, const struct endpoints_snapshot *peers)
{
	for (size_t i = 0; i < peers->peer_count; i++) {
		if (peers->peers[i].count)
			peer_socket_set_address(&worker->links[i], &peers->peers[i].items[0]->address);
	}
}

static void take_peers(struct worker *worker)
{
	struct endpoints_snapshot *peers = atomic_exchange(&worker->mailbox, NULL);

	if (!peers)
		return;
	set_peer_addresses(worker, peers);
	reply_poller_set_peers(&worker->relay_loop, peers);
	endpoints_snapshot_put(peers);
}

static void end_relay(struct worker *worker, size_t i)
{
	if (!worker->relays[i])
		return;
	relay_finish(worker->relays[i]);
}

static void drain(struct worker *worker)
{
	listeners_drain(&worker->listeners, DRAIN_MS);
	reply_poller_drain(&worker->relay_loop, DRAIN_MS);
}

/* Sessions end here. What comes while they wait for answers is for the next process, or taken, too. */
static void end_relays(struct worker *worker)
{
	if (reply_poller_wait_for_replies(&worker->relay_loop, AWAIT_MS) &&
	    !listen_sockets_survive_exit(worker->setup->sockets))
		drain(worker);
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		end_relay(worker, i);
}

/* Sends what was read, ends the sessions unless another worker takes them over, and closes every handle; the loop
 * completes that. */
static void stop(struct worker *worker)
{
	size_t peers = worker->setup->config->peer_count;

	drain(worker);
	if (!atomic_load(&worker->for_adoption))
		end_relays(worker);
	batch_scheduler_close(&worker->turns);
	listeners_close(&worker->listeners);
	reply_poller_close(&worker->relay_loop);
	for (size_t i = 0; i < peers; i++)
		peer_socket_collect_final_error(&worker->links[i]);
	uv_close((uv_handle_t *)&worker->clock, NULL);
	uv_close((uv_handle_t *)&worker->mail, NULL);
}

static void on_heartbeat(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	atomic_store_explicit(&worker->heartbeat_ms, clock_monotonic_ms(), memory_order_relaxed);
}

static void on_mail(uv_async_t *mail)
{
	struct worker *worker = mail->data;

	take_peers(worker);
	if (atomic_load(&worker->stop) && !uv_is_closing((uv_handle_t *)mail))
		stop(worker);
}

static void tell_open_handle(uv_handle_t *handle, void *data)
{
	struct worker *worker = data;

	log_error(worker->setup->log, "worker %u: a handle of type %s is still open", worker->index,
		  uv_handle_type_name(handle->type));
}

static void close_loop(struct worker *worker)
{
	if (uv_loop_close(&worker->loop))
		uv_walk(&worker->loop, tell_open_handle, worker);
	worker->loop_open = false;
}

static void *worker_main(void *data)
{
	struct worker *worker = data;

	uv_run(&worker->loop, UV_RUN_DEFAULT);
	close_loop(worker);
	return NULL;
}

/* From now on relays stay where they are. */
static void join_relays(struct worker *worker)
{
	for (size_t i = 0; i < worker->setup->config->listener_count; i++) {
		if (!worker->relays[i])
			continue;
		worker->routes[i].action_state = worker->relays[i];
		reply_poller_add(&worker->relay_loop, worker->relays[i]);
	}
}

int worker_start(struct worker *worker)
{
	char name[16];
	int error;

	join_relays(worker);
	error = batch_scheduler_start(&worker->turns);
	on_heartbeat(&worker->clock);
	uv_timer_start(&worker->clock, on_heartbeat, HEARTBEAT_MS, HEARTBEAT_MS);
	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	return error ? error : thread_start(&worker->thread, name, worker_main, worker);
}

/* --- Other threads --- */

void worker_set_peers(struct worker *worker, struct endpoints_snapshot *peers)
{
	endpoints_snapshot_put(atomic_exchange(&worker->mailbox, peers));
	uv_async_send(&worker->mail);
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
	uv_async_send(&worker->mail);
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
	return &worker->links[peer].counters;
}

const struct receive_counters *worker_receive_counters(const struct worker *worker)
{
	return rx_batch_counters(worker->batch);
}

uint64_t worker_heartbeat_ms(const struct worker *worker)
{
	return atomic_load_explicit(&worker->heartbeat_ms, memory_order_relaxed);
}

/* --- Life --- */

/* What other threads read stands on cache lines of its own. */
static void *calloc_lines(size_t count, size_t size)
{
	size_t bytes = (count * size + CACHE_LINE) / CACHE_LINE * CACHE_LINE;
	void *memory = aligned_alloc(CACHE_LINE, bytes);

	return memory ? memset(memory, 0, bytes) : NULL;
}

/* The largest send buffer of the listeners that forward to the peer. */
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

static int create_peer_sockets(struct worker *worker)
{
	const struct config *config = worker->setup->config;

	worker->links = calloc_lines(config->peer_count, sizeof(*worker->links));
	if (!worker->links)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++)
		peer_socket_init(&worker->links[i], &config->peers[i], send_buffer_for(config, &config->peers[i]),
				 worker->setup->own, worker->setup->log);
	return 0;
}

static int create_route(struct worker *worker, size_t i)
{
	const struct worker_setup *setup = worker->setup;
	const struct listener_config *config = &setup->config->listeners[i];
	struct pipeline *route = &worker->routes[i];
	const struct action *action =
		action_traits(config->action)->has_sessions ? &relay_action : action_of(config->action);
	int error = pipeline_init(route, action, config, worker->links);

	route->own = setup->own;
	route->log = setup->log;
	route->source_limit = setup->shared[i].source_limit;
	route->ring_guard = setup->shared[i].ring_guard;
	route->source_limit_sampler = source_limit_sampler_of(worker->index);
	route->carrier.arena = &worker->arena;
	route->counters = &worker->counters[i];
	if (setup->datagram_log && config->log_every)
		route->carrier.ring = datagram_log_ring(setup->datagram_log, worker->index);
	return error;
}

/* What the routes share has room for the most demanding of them. */
static int create_carrier(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	size_t copies = 1, converting = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct pipeline *route = &worker->routes[i];
		size_t most = pipeline_chunks_max(route);

		copies = most > copies ? most : copies;
		if (route->carrier.converts && route->peer_count > converting)
			converting = route->peer_count;
	}
	error = tx_batch_create(&worker->egress, copies, RX_BATCH_TRAINS + config->peer_count);
	for (size_t i = 0; i < config->listener_count && !error; i++)
		worker->routes[i].carrier.egress = worker->egress;
	return error ? error : arena_create(&worker->arena, converting);
}

static int create_routes(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	int error = create_peer_sockets(worker);

	worker->counters = calloc_lines(config->listener_count, sizeof(*worker->counters));
	worker->relays = calloc(config->listener_count, sizeof(struct relay *));
	worker->routes = calloc(config->listener_count, sizeof(*worker->routes));
	if (error || !worker->counters || !worker->relays || !worker->routes)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++)
		error = create_route(worker, i);
	return error ? error : create_carrier(worker);
}

static struct relay_setup relay_setup_of(const struct worker *worker, size_t i,
					 const struct endpoints_snapshot *snapshot)
{
	const struct worker_setup *setup = worker->setup;

	return (struct relay_setup){.config = &setup->config->listeners[i],
				    .own = setup->own,
				    .log = setup->log,
				    .links = worker->links,
				    .carrier = &worker->routes[i].carrier,
				    .worker = worker->index,
				    .quota = &setup->shared[i].quota,
				    .epoll = worker->relay_loop.epoll,
				    .news = setup->news,
				    .snapshot = snapshot};
}

static int create_relay(struct worker *worker, size_t i, const struct endpoints_snapshot *snapshot)
{
	struct relay_setup setup = relay_setup_of(worker, i, snapshot);
	struct relay *relay = calloc_lines(1, sizeof(*relay));
	int error = relay ? relay_init(relay, &setup) : -ENOMEM;

	if (error) {
		free(relay);
		return error;
	}
	worker->relays[i] = relay;
	return 0;
}

static int create_relays(struct worker *worker, const struct endpoints_snapshot *snapshot)
{
	const struct config *config = worker->setup->config;
	size_t relays = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++)
		relays += action_traits(config->listeners[i].action)->has_sessions;
	error = reply_poller_init(&worker->relay_loop, &worker->turns, relays);
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		if (action_traits(config->listeners[i].action)->has_sessions)
			error = create_relay(worker, i, snapshot);
	}
	return error;
}

static int create_listeners(struct worker *worker)
{
	const struct listen_sockets *sockets = worker->setup->sockets;
	int error = listeners_init(&worker->listeners, &worker->turns, sockets->count, worker->setup->log);

	for (size_t i = 0; i < sockets->count && !error; i++) {
		const struct listen_socket *socket = &sockets->items[i];

		if (socket->worker == worker->index)
			error = listeners_add(&worker->listeners, socket, &worker->routes[socket->config->index]);
	}
	return error;
}

/* What needs the peers' addresses. */
static int create_upstreams(struct worker *worker)
{
	struct endpoints_snapshot *snapshot = peers_now(worker->setup->peers);
	int error = create_relays(worker, snapshot);

	if (!error)
		set_peer_addresses(worker, snapshot);
	endpoints_snapshot_put(snapshot);
	return error;
}

static int create_loop(struct worker *worker)
{
	int error = uv_loop_init(&worker->loop);

	if (error)
		return error;
	worker->loop_open = true;
	batch_scheduler_init(&worker->turns, &worker->loop, worker->batch, worker->egress);
	uv_timer_init(&worker->loop, &worker->clock);
	worker->clock.data = worker;
	worker->mail.data = worker;
	return uv_async_init(&worker->loop, &worker->mail, on_mail);
}

int worker_create(struct worker **out, const struct worker_setup *setup, unsigned index)
{
	struct worker *worker = calloc(1, sizeof(*worker));
	int error;

	if (!worker)
		return -ENOMEM;
	worker->index = index;
	worker->setup = setup;
	worker->relay_loop.epoll = -1;
	error = rx_batch_create(&worker->batch);
	if (!error)
		error = create_routes(worker);
	if (!error)
		error = create_loop(worker);
	if (!error)
		error = create_upstreams(worker);
	if (!error)
		error = create_listeners(worker);
	if (error) {
		worker_destroy(worker);
		return error;
	}
	*out = worker;
	return 0;
}

static void destroy_relay(struct relay *relay)
{
	if (relay)
		relay_finish(relay);
	free(relay);
}

/* --- Taking over --- */

static struct tx_socket *outlet_now(const struct tx_socket *before, void *data)
{
	struct worker *worker = data;

	return listeners_find_socket(&worker->listeners, before);
}

/* The listener's relay goes on where the other worker's ends. */
static void adopt_relay(struct worker *worker, size_t i, struct relay **before,
			const struct endpoints_snapshot *snapshot)
{
	struct relay_setup setup = relay_setup_of(worker, i, snapshot);
	struct relay_rebinding home = {outlet_now, worker};

	if (!*before || !relay_can_adopt_config(*before, setup.config) || relay_adopt_config(*before, &setup, &home))
		return;
	destroy_relay(worker->relays[i]);
	worker->relays[i] = *before;
	*before = NULL;
}

static void adopt_listener(struct worker *worker, size_t i, struct worker *before,
			   const struct endpoints_snapshot *snapshot)
{
	const char *name = worker->setup->config->listeners[i].name;
	size_t j = config_find_listener(before->setup->config, name);

	if (j == before->setup->config->listener_count)
		return;
	worker->counters[i] = before->counters[j];
	adopt_relay(worker, i, &before->relays[j], snapshot);
}

static void adopt_link(struct worker *worker, size_t i, struct worker *before)
{
	const char *name = worker->setup->config->peers[i].name;
	size_t j = config_find_peer(before->setup->config, name);

	if (j < before->setup->config->peer_count)
		peer_socket_adopt(&worker->links[i], &before->links[j]);
}

/* Sessions that end now still count for the links before. */
void worker_adopt(struct worker *worker, struct worker *before)
{
	struct endpoints_snapshot *snapshot = peers_now(worker->setup->peers);

	rx_batch_adopt_counters(worker->batch, before->batch);
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		adopt_listener(worker, i, before, snapshot);
	for (size_t i = 0; i < before->setup->config->listener_count; i++)
		end_relay(before, i);
	for (size_t i = 0; i < worker->setup->config->peer_count; i++)
		adopt_link(worker, i, before);
	endpoints_snapshot_put(snapshot);
}

/* The loop of a worker that never ran still has its handles. */
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
	if (worker->loop_open) {
		uv_walk(&worker->loop, close_unused, NULL);
		uv_run(&worker->loop, UV_RUN_DEFAULT);
		close_loop(worker);
	}
	endpoints_snapshot_put(atomic_exchange(&worker->mailbox, NULL));
	listeners_finish(&worker->listeners);
	for (size_t i = 0; worker->relays && i < worker->setup->config->listener_count; i++)
		destroy_relay(worker->relays[i]);
	reply_poller_finish(&worker->relay_loop);
	for (size_t i = 0; worker->routes && i < worker->setup->config->listener_count; i++)
		pipeline_finish(&worker->routes[i]);
	for (size_t i = 0; worker->links && i < worker->setup->config->peer_count; i++)
		peer_socket_finish(&worker->links[i]);
	arena_destroy(&worker->arena);
	tx_batch_destroy(worker->egress);
	rx_batch_destroy(worker->batch);
	free(worker->routes);
	free(worker->relays);
	free(worker->counters);
	free(worker->links);
	free(worker);
}

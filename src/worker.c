#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "batch.h"
#include "clock.h"
#include "egress.h"
#include "link.h"
#include "listener.h"
#include "relay_loop.h"
#include "route.h"
#include "socket.h"
#include "thread.h"
#include "turns.h"

#define CACHE_LINE 64

/* An idle loop turns as often, to show that it does. */
#define TURN_MS 500

/* At the end, what waits in the sockets is still taken, for as long. */
#define DRAIN_MS 100

struct worker {
	unsigned index;
	const struct worker_setup *setup;
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t mail; /* the mailbox has something, or stop was asked for */
	_Atomic(struct peers_snapshot *) mailbox;
	atomic_bool stop;
	bool loop_open;
	uv_timer_t clock;
	_Atomic uint64_t turned_ms; /* monotonic */

	struct batch *batch;
	struct egress *egress;
	struct arena arena;
	struct link *links; /* by peer */
	struct route *routes; /* by listener */
	struct relay *relays; /* by listener; zeroed where it is none */
	struct listener_counters *counters;
	struct turns turns;
	struct listener_set listeners;
	struct relay_loop relay_loop;
	uint64_t *final_drops; /* of the kernel, by listener, once the sockets are closed */
};

/* --- The thread --- */

/* A link goes to the first address of its peer. One without any keeps the last. */
static void set_links(struct worker *worker, const struct peers_snapshot *peers)
{
	for (size_t i = 0; i < peers->peer_count; i++) {
		if (peers->peers[i].count)
			link_set_address(&worker->links[i], &peers->peers[i].items[0]->address);
	}
}

static void take_peers(struct worker *worker)
{
	struct peers_snapshot *peers = atomic_exchange(&worker->mailbox, NULL);

	if (!peers)
		return;
	set_links(worker, peers);
	relay_loop_set_peers(&worker->relay_loop, peers);
	peers_snapshot_put(peers);
}

static uint64_t read_kernel_drops(const struct worker *worker, size_t listener)
{
	const struct listener_config *config = &worker->setup->config->listeners[listener];
	uint64_t drops = 0;

	for (size_t i = 0; i < worker->listeners.count; i++) {
		if (worker->listeners.listeners[i].config == config)
			drops += socket_kernel_drops(worker->listeners.listeners[i].fd);
	}
	return drops;
}

/* Sends what was read, ends the sessions, and closes every handle; the loop completes that. */
static void stop(struct worker *worker)
{
	size_t listeners = worker->setup->config->listener_count, peers = worker->setup->config->peer_count;

	for (size_t i = 0; i < listeners; i++)
		worker->final_drops[i] = read_kernel_drops(worker, i);
	listener_set_drain(&worker->listeners, DRAIN_MS);
	relay_loop_drain(&worker->relay_loop, DRAIN_MS);
	for (size_t i = 0; i < listeners; i++)
		relay_finish(&worker->relays[i]);
	turns_close(&worker->turns);
	listener_set_close(&worker->listeners);
	relay_loop_close(&worker->relay_loop);
	for (size_t i = 0; i < peers; i++)
		link_settle_last(&worker->links[i]);
	uv_close((uv_handle_t *)&worker->clock, NULL);
	uv_close((uv_handle_t *)&worker->mail, NULL);
}

static void on_turn(uv_timer_t *timer)
{
	struct worker *worker = timer->data;

	atomic_store_explicit(&worker->turned_ms, clock_monotonic_ms(), memory_order_relaxed);
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

int worker_start(struct worker *worker)
{
	char name[16];
	int error = turns_start(&worker->turns);

	on_turn(&worker->clock);
	uv_timer_start(&worker->clock, on_turn, TURN_MS, TURN_MS);
	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	return error ? error : thread_start(&worker->thread, name, worker_main, worker);
}

/* --- Other threads --- */

void worker_set_peers(struct worker *worker, struct peers_snapshot *peers)
{
	peers_snapshot_put(atomic_exchange(&worker->mailbox, peers));
	uv_async_send(&worker->mail);
}

void worker_stop(struct worker *worker)
{
	atomic_store(&worker->stop, true);
	uv_async_send(&worker->mail);
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
	return &worker->relays[listener].counters;
}

const struct peer_counters *worker_peer_counters(const struct worker *worker, size_t peer)
{
	return &worker->links[peer].counters;
}

const struct receive_counters *worker_receive_counters(const struct worker *worker)
{
	return batch_counters(worker->batch);
}

uint64_t worker_turned_ms(const struct worker *worker)
{
	return atomic_load_explicit(&worker->turned_ms, memory_order_relaxed);
}

uint64_t worker_kernel_drops(const struct worker *worker, size_t listener)
{
	return atomic_load(&worker->stop) ? worker->final_drops[listener] : read_kernel_drops(worker, listener);
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

static int create_links(struct worker *worker)
{
	const struct config *config = worker->setup->config;

	worker->links = calloc_lines(config->peer_count, sizeof(*worker->links));
	if (!worker->links)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++)
		link_init(&worker->links[i], &config->peers[i], send_buffer_for(config, &config->peers[i]),
			  worker->setup->own, worker->setup->log);
	return 0;
}

static int create_route(struct worker *worker, size_t i)
{
	const struct worker_setup *setup = worker->setup;
	const struct listener_config *config = &setup->config->listeners[i];
	struct route *route = &worker->routes[i];
	int error = route_init(route, config, worker->links);

	route->own = setup->own;
	route->log = setup->log;
	route->source_limit = setup->shared[i].source_limit;
	route->ring_guard = setup->shared[i].ring_guard;
	route->source_draw = source_draw_of(worker->index);
	route->carrier.arena = &worker->arena;
	route->counters = &worker->counters[i];
	if (setup->datagram_log && config->log_every)
		route->ring = datagram_log_ring(setup->datagram_log, worker->index);
	return error;
}

/* What the routes share has room for the most demanding of them. */
static int create_carrier(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	size_t copies = 1, converting = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++) {
		const struct route *route = &worker->routes[i];
		size_t most = route_copies_max(route);

		copies = most > copies ? most : copies;
		if (route->converts && route->peer_count > converting)
			converting = route->peer_count;
	}
	error = egress_create(&worker->egress, copies, BATCH_TRAINS + config->peer_count);
	for (size_t i = 0; i < config->listener_count && !error; i++)
		worker->routes[i].carrier.egress = worker->egress;
	return error ? error : arena_create(&worker->arena, converting);
}

static int create_routes(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	int error = create_links(worker);

	worker->counters = calloc_lines(config->listener_count, sizeof(*worker->counters));
	worker->relays = calloc_lines(config->listener_count, sizeof(*worker->relays));
	worker->routes = calloc(config->listener_count, sizeof(*worker->routes));
	worker->final_drops = calloc(config->listener_count, sizeof(*worker->final_drops));
	if (error || !worker->counters || !worker->relays || !worker->routes || !worker->final_drops)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++)
		error = create_route(worker, i);
	return error ? error : create_carrier(worker);
}

static int create_relay(struct worker *worker, size_t i)
{
	const struct worker_setup *setup = worker->setup;
	struct relay_setup relay = {.config = &setup->config->listeners[i],
				    .own = setup->own,
				    .log = setup->log,
				    .links = worker->links,
				    .worker = worker->index,
				    .quota = &setup->shared[i].quota,
				    .epoll = worker->relay_loop.epoll,
				    .news = peers_news(setup->peers),
				    .snapshot = peers_now(setup->peers)};
	int error = relay_init(&worker->relays[i], &relay);

	peers_snapshot_put((struct peers_snapshot *)relay.snapshot);
	if (error)
		return error;
	worker->relays[i].route = &worker->routes[i];
	worker->routes[i].relay = &worker->relays[i];
	relay_loop_add(&worker->relay_loop, &worker->relays[i]);
	return 0;
}

static int create_relays(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	size_t relays = 0;
	int error;

	for (size_t i = 0; i < config->listener_count; i++)
		relays += config->listeners[i].action == ACTION_RELAY;
	error = relay_loop_init(&worker->relay_loop, &worker->turns, relays);
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		if (config->listeners[i].action == ACTION_RELAY)
			error = create_relay(worker, i);
	}
	return error;
}

static int create_listeners(struct worker *worker)
{
	struct bound_sockets *sockets = worker->setup->sockets;
	int error = listener_set_init(&worker->listeners, &worker->turns, sockets->count, worker->setup->log);

	for (size_t i = 0; i < sockets->count && !error; i++) {
		struct bound_socket *socket = &sockets->items[i];

		if (socket->worker == worker->index)
			error = listener_set_add(&worker->listeners, socket, &worker->routes[socket->config->index]);
	}
	return error;
}

static int create_loop(struct worker *worker)
{
	int error = uv_loop_init(&worker->loop);

	if (error)
		return error;
	worker->loop_open = true;
	turns_init(&worker->turns, &worker->loop, worker->batch, worker->egress);
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
	error = batch_create(&worker->batch);
	if (!error)
		error = create_routes(worker);
	if (!error)
		error = create_loop(worker);
	if (!error)
		error = create_relays(worker);
	if (!error)
		error = create_listeners(worker);
	if (error) {
		worker_destroy(worker);
		return error;
	}
	*out = worker;
	return 0;
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
	peers_snapshot_put(atomic_exchange(&worker->mailbox, NULL));
	listener_set_finish(&worker->listeners);
	for (size_t i = 0; worker->relays && i < worker->setup->config->listener_count; i++)
		relay_finish(&worker->relays[i]);
	relay_loop_finish(&worker->relay_loop);
	for (size_t i = 0; worker->routes && i < worker->setup->config->listener_count; i++)
		route_finish(&worker->routes[i]);
	for (size_t i = 0; worker->links && i < worker->setup->config->peer_count; i++)
		link_finish(&worker->links[i]);
	arena_destroy(&worker->arena);
	egress_destroy(worker->egress);
	batch_destroy(worker->batch);
	free(worker->routes);
	free(worker->relays);
	free(worker->final_drops);
	free(worker->counters);
	free(worker->links);
	free(worker);
}

#include "worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "batch.h"
#include "egress.h"
#include "link.h"
#include "listener.h"
#include "route.h"
#include "socket.h"
#include "thread.h"

#define CACHE_LINE 64

/* At the end, what waits in the sockets is still taken, for as long. */
#define DRAIN_MS 100

struct worker {
	unsigned index;
	const struct worker_setup *setup;
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t mail; /* the mailbox has something, or stop was asked for */
	_Atomic(struct peer_addresses *) mailbox;
	atomic_bool stop;
	bool loop_open;

	struct batch *batch;
	struct egress *egress;
	struct arena arena;
	struct link *links; /* by peer */
	struct route *routes; /* by listener */
	struct listener_counters *counters;
	struct listener_set listeners;
	uint64_t *final_drops; /* of the kernel, by listener, once the sockets are closed */
};

/* --- The thread --- */

static void take_addresses(struct worker *worker)
{
	struct peer_addresses *addresses = atomic_exchange(&worker->mailbox, NULL);

	for (size_t i = 0; addresses && i < addresses->count; i++) {
		if (addresses->items[i].length)
			link_set_address(&worker->links[i], &addresses->items[i]);
	}
	peer_addresses_put(addresses);
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

static void on_mail(uv_async_t *mail)
{
	struct worker *worker = mail->data;

	take_addresses(worker);
	if (!atomic_load(&worker->stop) || uv_is_closing((uv_handle_t *)mail))
		return;
	for (size_t i = 0; i < worker->setup->config->listener_count; i++)
		worker->final_drops[i] = read_kernel_drops(worker, i);
	listener_set_drain(&worker->listeners, DRAIN_MS);
	listener_set_close(&worker->listeners);
	for (size_t i = 0; i < worker->setup->config->peer_count; i++)
		link_settle_last(&worker->links[i]);
	uv_close((uv_handle_t *)mail, NULL);
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
	int error = listener_set_start(&worker->listeners);

	snprintf(name, sizeof(name), "worker-%u", worker->index % 1000);
	return error ? error : thread_start(&worker->thread, name, worker_main, worker);
}

/* --- Other threads --- */

void worker_set_peers(struct worker *worker, struct peer_addresses *addresses)
{
	peer_addresses_put(atomic_exchange(&worker->mailbox, addresses));
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

const struct peer_counters *worker_peer_counters(const struct worker *worker, size_t peer)
{
	return &worker->links[peer].counters;
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
	route->arena = &worker->arena;
	route->counters = &worker->counters[i];
	if (setup->datagram_log && config->log_every)
		route->ring = datagram_log_ring(setup->datagram_log, worker->index);
	return error;
}

static int create_routes(struct worker *worker)
{
	const struct config *config = worker->setup->config;
	size_t copies = 1, converting = 0;
	int error = create_links(worker);

	worker->counters = calloc_lines(config->listener_count, sizeof(*worker->counters));
	worker->routes = calloc(config->listener_count, sizeof(*worker->routes));
	worker->final_drops = calloc(config->listener_count, sizeof(*worker->final_drops));
	if (error || !worker->counters || !worker->routes || !worker->final_drops)
		return -ENOMEM;
	for (size_t i = 0; i < config->listener_count && !error; i++) {
		struct route *route = &worker->routes[i];

		error = create_route(worker, i);
		if (!error && route_copies_max(route) > copies)
			copies = route_copies_max(route);
		if (!error && route->converts && route->peer_count > converting)
			converting = route->peer_count;
	}
	if (!error)
		error = egress_create(&worker->egress, copies, BATCH_TRAINS + config->peer_count);
	for (size_t i = 0; i < config->listener_count && !error; i++)
		worker->routes[i].egress = worker->egress;
	return error ? error : arena_create(&worker->arena, converting);
}

static int create_listeners(struct worker *worker)
{
	struct bound_sockets *sockets = worker->setup->sockets;
	int error = listener_set_init(&worker->listeners, &worker->loop, worker->batch, worker->egress, sockets->count,
				      worker->setup->log);

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
	error = batch_create(&worker->batch);
	if (!error)
		error = create_routes(worker);
	if (!error)
		error = create_loop(worker);
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
	peer_addresses_put(atomic_exchange(&worker->mailbox, NULL));
	listener_set_finish(&worker->listeners);
	for (size_t i = 0; worker->routes && i < worker->setup->config->listener_count; i++)
		route_finish(&worker->routes[i]);
	for (size_t i = 0; worker->links && i < worker->setup->config->peer_count; i++)
		link_finish(&worker->links[i]);
	arena_destroy(&worker->arena);
	egress_destroy(worker->egress);
	batch_destroy(worker->batch);
	free(worker->routes);
	free(worker->final_drops);
	free(worker->counters);
	free(worker->links);
	free(worker);
}

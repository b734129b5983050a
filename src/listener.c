#include "listener.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Batches that a socket may read before the others get their turn. */
#define TURN_BATCHES 4

/* A batch that finds a send buffer full is tried again at this interval, and given up after the limit: reading stops
 * for no longer, and the outlets that made it wait are not waited for again before they have recovered. */
#define RETRY_MS 1
#define BLOCKED_MAX_MS 100

static void on_readable(uv_poll_t *poll, int status, int events);
static void on_retry(uv_timer_t *timer);

static int listen_again(struct listener *listener)
{
	return uv_poll_start(&listener->poll, UV_READABLE, on_readable);
}

/* --- A turn --- */

/* Reading stops, for all sockets: the batch is in use. */
static void pause_reading(struct listener_set *set, struct listener *blocked)
{
	set->blocked = blocked;
	set->blocked_since_ms = uv_now(set->loop);
	for (size_t i = 0; i < set->count; i++)
		uv_poll_stop(&set->listeners[i].poll);
	uv_timer_start(&set->retry, on_retry, RETRY_MS, RETRY_MS);
}

static void resume_reading(struct listener_set *set)
{
	set->blocked = NULL;
	uv_timer_stop(&set->retry);
	for (size_t i = 0; i < set->count; i++)
		listen_again(&set->listeners[i]);
}

static void end_batch(struct listener_set *set, struct listener *listener)
{
	route_end(listener->route, &set->arrival, set->trains, set->train_count);
}

static void on_retry(uv_timer_t *timer)
{
	struct listener_set *set = timer->data;
	bool done = egress_flush(set->egress, uv_now(set->loop));

	if (!done && uv_now(set->loop) - set->blocked_since_ms < BLOCKED_MAX_MS)
		return;
	if (!done)
		egress_give_up(set->egress);
	end_batch(set, set->blocked);
	resume_reading(set);
}

/* Reads, routes and sends one batch. Returns true where more may wait. */
static bool turn_batch(struct listener *listener)
{
	struct listener_set *set = listener->set;
	unsigned limit = route_batch_limit(listener->route);
	int received = batch_receive(set->batch, listener->fd, limit, &set->trains);

	if (received < 0)
		log_write_limited(set->log, &listener->limit, LOG_LEVEL_ERROR, "listener %s: receiving: %s",
				  listener->config->name, strerror(-received));
	if (received <= 0)
		return false;

	set->train_count = (unsigned)received;
	set->arrival = (struct arrival){.outlet = &listener->outlet,
					.local = &listener->local,
					.time_us = clock_wall_us(),
					.now_ms = uv_now(set->loop)};
	route_begin(listener->route, &set->arrival, set->trains, set->train_count);
	if (!egress_flush(set->egress, set->arrival.now_ms)) {
		pause_reading(set, listener);
		return false;
	}
	end_batch(set, listener);
	return (unsigned)received == limit;
}

/* libuv stops a watcher whose socket reports an error (libuv#3796): it is read away, and watched again. */
static void recover(struct listener *listener, int status)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(listener->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	log_write_limited(listener->set->log, &listener->limit, LOG_LEVEL_ERROR, "listener %s: socket error: %s",
			  listener->config->name, error ? strerror(error) : uv_strerror(status));
	listen_again(listener);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct listener *listener = poll->data;

	(void)events;
	if (status < 0)
		recover(listener, status);
	for (int i = 0; i < TURN_BATCHES && turn_batch(listener); i++)
		;
}

/* --- Life --- */

int listener_set_init(struct listener_set *set, uv_loop_t *loop, struct batch *batch, struct egress *egress, size_t max,
		      struct log *log)
{
	*set = (struct listener_set){.loop = loop, .log = log, .batch = batch, .egress = egress};
	set->listeners = calloc(max ? max : 1, sizeof(*set->listeners));
	if (!set->listeners)
		return -ENOMEM;
	uv_timer_init(loop, &set->retry);
	set->retry.data = set;
	return 0;
}

/* uv_udp_open(3) lets others take the port (SO_REUSEADDR); nobody shall. */
static int adopt(struct listener *listener, uv_loop_t *loop, int fd)
{
	int off = 0;
	int error = uv_udp_init(loop, &listener->udp);

	if (!error)
		error = uv_udp_open(&listener->udp, fd);
	if (error)
		return error;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
	return uv_poll_init(loop, &listener->poll, fd);
}

int listener_set_add(struct listener_set *set, struct bound_socket *socket, struct route *route)
{
	struct listener *listener = &set->listeners[set->count];
	int error;

	*listener = (struct listener){
		.set = set, .config = socket->config, .route = route, .local = socket->local, .fd = socket->fd};
	listener->outlet = (struct outlet){.fd = socket->fd, .gso = socket->local.any.sa_family != AF_UNIX};
	error = adopt(listener, set->loop, socket->fd);
	if (error)
		return error;
	listener->poll.data = listener;
	socket->fd = -1;
	set->count++;
	return 0;
}

int listener_set_start(struct listener_set *set)
{
	for (size_t i = 0; i < set->count; i++) {
		int error = listen_again(&set->listeners[i]);
		if (error)
			return error;
	}
	return 0;
}

void listener_set_close(struct listener_set *set)
{
	if (set->blocked) {
		if (!egress_flush(set->egress, uv_now(set->loop)))
			egress_give_up(set->egress);
		end_batch(set, set->blocked);
		set->blocked = NULL;
	}
	uv_close((uv_handle_t *)&set->retry, NULL);
	for (size_t i = 0; i < set->count; i++) {
		uv_close((uv_handle_t *)&set->listeners[i].poll, NULL);
		uv_close((uv_handle_t *)&set->listeners[i].udp, NULL);
	}
}

void listener_set_finish(struct listener_set *set)
{
	free(set->listeners);
	set->listeners = NULL;
	set->count = 0;
}

#include "listener.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* Trains that a socket may read before the others get their turn. */
#define TURN_TRAINS 256

/* After a turn with so many trains, the socket is not watched during its next one: a watched socket calls epoll(7) for
 * each datagram that it has sent, to tell of the room in its buffer (sock_wfree() in net/core/sock.c). */
#define BUSY_TRAINS 64

/* A batch that finds a send buffer full is tried again at this interval. How long that may go on is the egress's to
 * know (EGRESS_PATIENCE_MS). */
#define RETRY_MS 1

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

	if (!egress_flush(set->egress, uv_now(set->loop)))
		return;
	end_batch(set, set->blocked);
	resume_reading(set);
}

/* The kernel gives a broadcast to every socket of the port: all workers but the first treat theirs as not received. It
 * shows in the address that answers it, which is another. What is sent to a group comes once: to the socket that
 * joined, or, in some versions of the kernel, to any of those that share its port. */
static void skip_broadcasts(struct train *trains, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct local_end *local = trains[i].local;

		if (!local || local->written_to.any.sa_family != AF_INET || address_is_multicast(&local->written_to) ||
		    address_equal(&local->written_to, &local->reply_from))
			continue;
		trains[i].size = trains[i].segment = trains[i].count = 0;
		trains[i].drop = DROP_LOOP;
	}
}

/* Reads, routes and sends one batch. Returns its trains, or 0 where the turn is over. */
static unsigned turn_batch(struct listener *listener)
{
	struct listener_set *set = listener->set;
	unsigned limit = route_batch_limit(listener->route);

	assert(!set->blocked);
	int received = batch_receive(set->batch, listener->fd, listener->outlet.gso, limit, &set->trains);

	if (received < 0)
		log_write_limited(set->log, &listener->limit, LOG_LEVEL_ERROR, "listener %s: receiving: %s",
				  listener->config->name, strerror(-received));
	if (received <= 0)
		return 0;

	set->train_count = (unsigned)received;
	if (listener->leaves_broadcasts)
		skip_broadcasts(set->trains, set->train_count);
	set->arrival = (struct arrival){.outlet = &listener->outlet,
					.local = &listener->local,
					.time_us = listener->route->ring ? clock_wall_us() : 0,
					.now_ms = uv_now(set->loop)};
	route_begin(listener->route, &set->arrival, set->trains, set->train_count);
	if (!egress_flush(set->egress, set->arrival.now_ms)) {
		pause_reading(set, listener);
		return 0;
	}
	end_batch(set, listener);
	return (unsigned)received;
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
	bool unwatched = listener->busy;
	unsigned received, read = 0;

	(void)events;
	if (status < 0)
		recover(listener, status);
	if (unwatched)
		uv_poll_stop(poll);
	do {
		received = turn_batch(listener);
		read += received;
	} while (received && read < TURN_TRAINS);
	listener->busy = read >= BUSY_TRAINS;
	if (unwatched && !listener->set->blocked)
		listen_again(listener);
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

/* uv_udp_open(3) lets others take the port (SO_REUSEADDR); nobody shall. From there on the handle owns the socket. */
static int adopt(struct listener *listener, struct bound_socket *socket)
{
	uv_loop_t *loop = listener->set->loop;
	int off = 0;
	int error = uv_udp_init(loop, &listener->udp);

	if (!error)
		error = uv_udp_open(&listener->udp, listener->fd);
	if (error)
		return error;
	socket->fd = -1;
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
	listener->poll.data = listener;
	return uv_poll_init(loop, &listener->poll, listener->fd);
}

int listener_set_add(struct listener_set *set, struct bound_socket *socket, struct route *route)
{
	struct listener *listener = &set->listeners[set->count];
	int error;

	*listener = (struct listener){
		.set = set, .config = socket->config, .route = route, .local = socket->local, .fd = socket->fd};
	listener->outlet = (struct outlet){.fd = socket->fd, .gso = socket->local.any.sa_family != AF_UNIX};
	listener->leaves_broadcasts = socket->worker > 0;
	error = adopt(listener, socket);
	if (error)
		return error;
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

/* Ends the batch that waits for room: what finds none now is dropped. */
static void end_blocked(struct listener_set *set)
{
	if (!set->blocked)
		return;
	if (!egress_flush(set->egress, uv_now(set->loop)))
		egress_give_up(set->egress);
	end_batch(set, set->blocked);
	set->blocked = NULL;
	uv_timer_stop(&set->retry);
}

void listener_set_drain(struct listener_set *set, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	end_blocked(set);
	for (size_t i = 0; i < set->count; i++) {
		bool more = true;

		while (more && clock_monotonic_ms() < end_ms) {
			more = turn_batch(&set->listeners[i]) > 0 || set->blocked;
			end_blocked(set);
		}
	}
}

void listener_set_close(struct listener_set *set)
{
	end_blocked(set);
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

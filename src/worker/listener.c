#include "worker/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

/* Trains that a socket may read before the others get their turn. */
#define TURN_TRAINS 256

/* After a turn with so many trains, the socket is not watched during its next one: a watched socket calls epoll(7) for
 * each datagram that it has sent, to tell of the room in its buffer (sock_wfree() in net/core/sock.c). */
#define BUSY_TRAINS 64

/* At the end, sockets that cannot be read are tried again after this. */
#define LAST_PAUSE_MS 1

/* --- A turn --- */

static void end_batch(void *data)
{
	struct listener *listener = data;
	struct listeners *set = listener->set;

	pipeline_complete(listener->route, &set->arrival, set->trains, set->train_count);
}

/* The kernel gives a broadcast to every socket of the port: all workers but the first treat theirs as not received. It
 * shows in the address that answers it, which is another. What is sent to a group comes once: to the socket that
 * joined, or, in some versions of the kernel, to any of those that share its port. */
static void skip_broadcasts(struct train *trains, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct pktinfo *local = trains[i].local;

		if (!local || local->destination.any.sa_family != AF_INET ||
		    address_is_multicast(&local->destination) ||
		    address_equal(&local->destination, &local->reply_source))
			continue;
		trains[i].size = trains[i].segment = trains[i].count = 0;
		trains[i].drop = DROP_LOOP;
	}
}

/* Reads, routes and sends one batch. Returns its trains, 0 where nothing waits, or a negative errno. */
static int take_batch(struct listener *listener)
{
	struct listeners *set = listener->set;
	unsigned limit = delivery_batch_limit(&listener->route->carrier);
	int received = rx_batch_recv(set->turns->batch, 0, listener->fd, listener->outlet.gso, limit, &set->trains);

	if (received < 0)
		log_write_limited(set->log, &listener->limit, LOG_LEVEL_ERROR, "listener %s: receiving: %s",
				  listener->config->name, strerror(-received));
	if (received <= 0)
		return received;

	set->train_count = (unsigned)received;
	if (listener->ignores_broadcasts)
		skip_broadcasts(set->trains, set->train_count);
	set->arrival = (struct rx_context){.outlet = &listener->outlet,
					   .local = &listener->local,
					   .time_us = listener->route->carrier.ring ? clock_wall_us() : 0,
					   .now_ms = uv_now(set->turns->loop)};
	pipeline_submit(listener->route, &set->arrival, set->trains, set->train_count);
	batch_scheduler_flush(set->turns, end_batch, listener);
	return received;
}

/* Returns the batch's trains, or 0 where the turn is over. */
static unsigned turn_batch(struct listener *listener)
{
	int taken = take_batch(listener);

	if (taken < 0)
		watcher_back_off(&listener->watcher);
	return taken > 0 ? (unsigned)taken : 0;
}

/* libuv stops a watcher whose socket reports an error (libuv#3796): it is read away, and watched again. */
static void recover(struct listener *listener, int status)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(listener->fd, SOL_SOCKET, SO_ERROR, &error, &size);
	log_write_limited(listener->set->log, &listener->limit, LOG_LEVEL_ERROR, "listener %s: socket error: %s",
			  listener->config->name, error ? strerror(error) : uv_strerror(status));
	watcher_start(&listener->watcher);
}

static void on_readable(struct watcher *watcher, int status)
{
	struct listener *listener = (struct listener *)((char *)watcher - offsetof(struct listener, watcher));
	bool rests = listener->busy;
	unsigned least = listener->route->action->short_turns ? delivery_batch_limit(&listener->route->carrier) - 1 : 0;
	unsigned received, read = 0;

	if (status < 0)
		recover(listener, status);
	if (rests)
		watcher_stop(watcher);
	do {
		received = turn_batch(listener);
		read += received;
	} while (received > least && read < TURN_TRAINS && !batch_scheduler_has_pending(watcher->turns));
	listener->busy = read >= BUSY_TRAINS;
	if (rests)
		watcher_start(watcher);
}

/* --- Life --- */

int listeners_init(struct listeners *set, struct batch_scheduler *turns, size_t max, struct log *log)
{
	*set = (struct listeners){.turns = turns, .log = log};
	set->listeners = calloc(max ? max : 1, sizeof(*set->listeners));
	return set->listeners ? 0 : -ENOMEM;
}

/* uv_udp_open(3) lets others take the port (SO_REUSEADDR); nobody shall. From there on the handle owns the copy. */
static int adopt(struct listener *listener)
{
	uv_loop_t *loop = listener->set->turns->loop;
	int off = 0;
	int error = uv_udp_init(loop, &listener->udp);

	if (!error)
		error = uv_udp_open(&listener->udp, listener->fd);
	if (error) {
		close(listener->fd);
		return error;
	}
	setsockopt(listener->fd, SOL_SOCKET, SO_REUSEADDR, &off, sizeof(off));
	return batch_scheduler_add(listener->set->turns, &listener->watcher, listener->fd, on_readable);
}

int listeners_add(struct listeners *set, const struct listen_socket *socket, struct pipeline *route)
{
	struct listener *listener = &set->listeners[set->count];
	int fd = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0), error;

	if (fd < 0)
		return -errno;
	*listener = (struct listener){
		.set = set, .config = socket->config, .route = route, .local = socket->local, .fd = fd};
	listener->outlet = (struct tx_socket){.fd = fd, .gso = socket->local.any.sa_family != AF_UNIX};
	listener->ignores_broadcasts = socket->worker > 0;
	error = adopt(listener);
	if (error)
		return error;
	set->count++;
	return 0;
}

/* A batch of each socket. Returns false where nothing waits in any. */
static bool drain_batches(struct listeners *set)
{
	bool taken = false, failed = false;

	for (size_t i = 0; i < set->count; i++) {
		int received = take_batch(&set->listeners[i]);

		batch_scheduler_finish_pending(set->turns);
		taken |= received > 0;
		failed |= received < 0;
	}
	if (failed && !taken)
		uv_sleep(LAST_PAUSE_MS);
	return taken || failed;
}

void listeners_drain(struct listeners *set, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	batch_scheduler_finish_pending(set->turns);
	while (clock_monotonic_ms() < end_ms && drain_batches(set))
		;
}

struct tx_socket *listeners_find_socket(struct listeners *set, const struct tx_socket *before)
{
	const struct listener *old =
		(const struct listener *)((const char *)before - offsetof(struct listener, outlet));

	for (size_t i = 0; i < set->count; i++) {
		struct listener *listener = &set->listeners[i];

		if (address_equal(&listener->local, &old->local) && !strcmp(listener->config->name, old->config->name))
			return &listener->outlet;
	}
	return NULL;
}

void listeners_close(struct listeners *set)
{
	for (size_t i = 0; i < set->count; i++)
		uv_close((uv_handle_t *)&set->listeners[i].udp, NULL);
}

void listeners_finish(struct listeners *set)
{
	free(set->listeners);
	set->listeners = NULL;
	set->count = 0;
}

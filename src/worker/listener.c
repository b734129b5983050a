#include "worker/listener.h"

#include <errno.h>
#include <string.h>

#include "base/clock.h"
#include "base/container_of.h"

/* Trains that one socket may read before the other descriptors of the worker get their turn. */
#define TURN_TRAINS 256

/* After a turn with this number of trains, the socket is not watched during its next turn: for a watched socket, the
 * kernel runs epoll's callback for each datagram that it has sent (sock_wfree() in net/core/sock.c). */
#define SATURATED_TRAINS 64

static void listener_complete_batch(void *data)
{
	struct listener *listener = data;
	struct listeners *set = listener->set;

	pipeline_complete(listener->pipeline, &set->rx, set->trains, set->train_count);
}

/* The kernel delivers a broadcast to every socket that shares the port, so only worker 0 processes it. The sign of a
 * broadcast is that a reply must leave from another address. A multicast datagram is delivered only once: to the socket
 * that joined the group or, with some kernel versions, to one of those that share its port. */
static void listener_ignore_broadcasts(struct train *trains, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		const struct pktinfo *local = trains[i].local;

		if (!local || local->destination.any.sa_family != AF_INET ||
		    address_is_multicast(&local->destination) ||
		    address_equal(&local->destination, &local->reply_source))
			continue;
		trains[i].ignored = true;
		trains[i].drop = DROP_LOOP;
	}
}

static void listener_log_receive_error(struct listener *listener, int error)
{
	log_write_limited(listener->set->log, &listener->receive_log_limit, LOG_LEVEL_ERROR,
			  "listener %s: receiving: %s", listener->config->name, strerror(error));
}

/* The main loop of the data path: receive, decide, queue, flush, account. The last step runs in
 * listener_complete_batch(), when all datagrams are sent or dropped. */
int listener_run_batch(struct listener *listener)
{
	struct listeners *set = listener->set;
	struct pipeline *pipeline = listener->pipeline;
	int received = rx_batch_recv(set->scheduler->rx_batch, 0, listener->tx.fd, listener->tx.gso,
				     pipeline->delivery.batch_limit, &set->trains);

	if (received < 0)
		listener_log_receive_error(listener, -received);
	if (received <= 0)
		return received;
	set->train_count = (unsigned)received;
	set->rx = (struct rx_context){.tx = &listener->tx,
				      .local = &listener->local,
				      .time_us = pipeline->delivery.ring ? clock_wall_us() : 0,
				      .now_ms = uv_now(set->scheduler->loop)};
	if (listener->ignores_broadcasts)
		listener_ignore_broadcasts(set->trains, set->train_count);
	pipeline_submit(pipeline, &set->rx, set->trains, set->train_count);
	batch_scheduler_flush(set->scheduler, listener_complete_batch, listener);
	return received;
}

/* libuv stops a watcher when its socket reports an error (libuv#3796). Reading SO_ERROR clears the error. */
static void listener_recover(struct listener *listener, int status)
{
	int error = 0;
	socklen_t size = sizeof(error);

	getsockopt(listener->tx.fd, SOL_SOCKET, SO_ERROR, &error, &size);
	log_write_limited(listener->set->log, &listener->receive_log_limit, LOG_LEVEL_ERROR,
			  "listener %s: socket error: %s", listener->config->name,
			  error ? strerror(error) : uv_strerror(status));
	watcher_start(&listener->watcher);
}

void listener_on_readable(struct watcher *watcher, int status)
{
	struct listener *listener = container_of(watcher, struct listener, watcher);
	const struct pipeline *pipeline = listener->pipeline;
	bool unwatched = listener->saturated;
	unsigned least = pipeline->action->short_turns ? pipeline->delivery.batch_limit : 1;
	unsigned total = 0;
	int received;

	if (status < 0)
		listener_recover(listener, status);
	if (unwatched)
		watcher_stop(watcher);
	do {
		received = listener_run_batch(listener);
		total += received > 0 ? (unsigned)received : 0;
	} while (received >= (int)least && total < TURN_TRAINS && !watcher->scheduler->on_complete);
	listener->saturated = total >= SATURATED_TRAINS;
	if (received < 0)
		watcher_back_off(watcher);
	else if (unwatched)
		watcher_start(watcher);
}

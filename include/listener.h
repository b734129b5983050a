/* The bound sockets of one worker, and the turn of a batch through them. */
#ifndef UDPRELAYD_LISTENER_H
#define UDPRELAYD_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "batch.h"
#include "bound.h"
#include "egress.h"
#include "log.h"
#include "route.h"

struct listener_set;

/* One bound socket: a uv_udp_t owns it, a uv_poll_t watches it. */
struct listener {
	uv_udp_t udp;
	uv_poll_t poll;
	struct listener_set *set;
	const struct listener_config *config;
	struct route *route;
	struct address local;
	struct outlet outlet;
	bool busy; /* since the last turn */
	bool leaves_broadcasts; /* worker 0 has a copy of each */
	int fd;
	struct log_limit limit;
};

/* The sockets that share a worker's batch and egress. One batch is under way at a time. */
struct listener_set {
	uv_loop_t *loop;
	struct log *log;
	struct batch *batch;
	struct egress *egress;
	struct listener *listeners;
	size_t count;

	/* The batch that waits for room in a send buffer; blocked is NULL where none does. */
	uv_timer_t retry;
	struct listener *blocked;
	struct train *trains;
	unsigned train_count;
	struct arrival arrival;
};

/* loop, batch and egress are borrowed; room is made for max sockets. Returns 0 or a negative errno. */
int listener_set_init(struct listener_set *set, uv_loop_t *loop, struct batch *batch, struct egress *egress, size_t max,
		      struct log *log);

/* Takes the socket, its descriptor too where it succeeds. Returns 0 or a negative errno. */
int listener_set_add(struct listener_set *set, struct bound_socket *socket, struct route *route);

/* Begins to receive. Returns 0 or a negative errno. */
int listener_set_start(struct listener_set *set);

/* At the end: receives what waits in the sockets, until nothing does, or for at most limit_ms. */
void listener_set_drain(struct listener_set *set, uint64_t limit_ms);

/* Sends what was read, drops and counts what cannot be sent at once, and closes every handle; the loop ends that. */
void listener_set_close(struct listener_set *set);

/* Once the loop has ended. */
void listener_set_finish(struct listener_set *set);

#endif

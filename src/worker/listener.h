/* The bound sockets of one worker, and the turn of a batch through them. */
#ifndef UDPRELAYD_WORKER_LISTENER_H
#define UDPRELAYD_WORKER_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "base/log.h"
#include "datapath/pipeline.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "net/listen_sockets.h"
#include "worker/batch_scheduler.h"

struct listener_set;

/* One bound socket: a uv_udp_t owns our copy of it, a watcher watches it. */
struct listener {
	uv_udp_t udp;
	struct watcher watcher;
	struct listener_set *set;
	const struct listener_config *config;
	struct pipeline *route;
	struct address local;
	struct tx_socket outlet;
	bool busy; /* since the last turn */
	bool leaves_broadcasts; /* worker 0 has a copy of each */
	int fd;
	struct log_limit limit;
};

struct listener_set {
	struct turns *turns;
	struct log *log;
	struct listener *listeners;
	size_t count;

	/* The batch under way. */
	struct train *trains;
	unsigned train_count;
	struct rx_context arrival;
};

/* turns is borrowed; room is made for max sockets. Returns 0 or a negative errno. */
int listener_set_init(struct listener_set *set, struct turns *turns, size_t max, struct log *log);

/* Listens on a copy of the socket's descriptor. Returns 0 or a negative errno. */
int listener_set_add(struct listener_set *set, const struct listen_socket *socket, struct pipeline *route);

/* The outlet of this set that has the place of another set's, which must not be gone yet: the same listener, by name,
 * at the same address; or NULL. */
struct tx_socket *listener_set_outlet(struct listener_set *set, const struct tx_socket *before);

/* At the end: receives what waits in the sockets, until nothing does, or for at most limit_ms; a socket that cannot be
 * read is tried again until then. */
void listener_set_drain(struct listener_set *set, uint64_t limit_ms);

/* After turns_close(): closes the handles that are not of the turns; the loop completes it. */
void listener_set_close(struct listener_set *set);

/* Once the loop has ended. */
void listener_set_finish(struct listener_set *set);

#endif

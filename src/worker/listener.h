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

struct listeners;

/* One bound socket: a uv_udp_t owns our copy of it, a watcher watches it. */
struct listener {
	uv_udp_t udp;
	struct watcher watcher;
	struct listeners *set;
	const struct listener_config *config;
	struct pipeline *route;
	struct address local;
	struct tx_socket outlet;
	bool busy; /* since the last turn */
	bool ignores_broadcasts; /* worker 0 has a copy of each */
	int fd;
	struct log_limit limit;
};

struct listeners {
	struct batch_scheduler *turns;
	struct log *log;
	struct listener *listeners;
	size_t count;

	/* The batch under way. */
	struct train *trains;
	unsigned train_count;
	struct rx_context arrival;
};

/* turns is borrowed; room is made for max sockets. Returns 0 or a negative errno. */
int listeners_init(struct listeners *set, struct batch_scheduler *turns, size_t max, struct log *log);

/* Listens on a copy of the socket's descriptor. Returns 0 or a negative errno. */
int listeners_add(struct listeners *set, const struct listen_socket *socket, struct pipeline *route);

/* The outlet of this set that has the place of another set's, which must not be gone yet: the same listener, by name,
 * at the same address; or NULL. */
struct tx_socket *listeners_find_socket(struct listeners *set, const struct tx_socket *before);

/* At the end: receives what waits in the sockets, until nothing does, or for at most limit_ms; a socket that cannot be
 * read is tried again until then. */
void listeners_drain(struct listeners *set, uint64_t limit_ms);

/* After batch_scheduler_close(): closes the handles that are not of the turns; the loop completes it. */
void listeners_close(struct listeners *set);

/* Once the loop has ended. */
void listeners_finish(struct listeners *set);

#endif

/* The status of the daemon: all numbers that the summary, /metrics and /status.json show. status_collect() sums the
 * counters of all workers in one pass. The caller owns the status, which borrows from a status_source. All functions
 * run on the main loop. Only lack of memory can make the collection fail. */
#ifndef UDPRELAYD_ADMIN_STATUS_H
#define UDPRELAYD_ADMIN_STATUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "datagram_log/datagram_log.h"
#include "datapath/counters.h"
#include "net/listen_sockets.h"
#include "upstream/endpoint.h"
#include "upstream/peers.h"
#include "worker/listener_limits.h"
#include "worker/worker.h"

/* A worker is stalled if its last heartbeat is older than this. Milliseconds. */
#define STATUS_STALL_MS 5000

/* The parts of the daemon, all borrowed. The server updates this struct after each reload. Only the main loop reads
 * it. */
struct status_source {
	const struct config *config;
	unsigned generation; /* number of the active configuration: 1, plus 1 for each successful reload */
	uint64_t reloads_failed;
	bool last_reload_failed;
	struct worker *const *workers;
	unsigned worker_count;
	const struct datagram_log *datagram_log; /* NULL: off */
	const struct listener_limits *limits; /* by listener */
	struct peers *peers; /* NULL: no endpoints are shown */
	const struct listen_sockets *sockets;
	uint64_t start_wall_us, start_ms; /* since 1970, and by the monotonic clock */
};

struct status_listener {
	const struct listener_config *config;
	bool bound; /* all its addresses are bound */
	struct listener_counters counters;
	uint64_t dropped, kernel_dropped;

	/* Relays only. */
	struct relay_counters relay;
	uint64_t replies_dropped;
	uint64_t sessions, sessions_max;
};

struct status_peer {
	const struct peer_config *config;
	struct peer_counters counters;
	uint64_t dropped;
	const struct peer_endpoints *endpoints; /* in the snapshot; NULL without a snapshot */
};

struct status {
	const struct status_source *source;
	uint64_t now_ms; /* monotonic clock */
	unsigned generation;
	struct status_listener *listeners; /* in the order of the configuration */
	size_t listener_count;
	struct status_peer *peers; /* in the order of the configuration */
	size_t peer_count;
	struct endpoints_snapshot *snapshot; /* NULL: endpoints are unknown */
	uint64_t *stalled_ms; /* by worker: time since its last heartbeat */
	unsigned worker_count;
	struct receive_counters receives;
	struct {
		bool on;
		uint64_t written, dropped, waiting; /* records */
	} datagram_log;
};

/* Collects the status. source and all its parts must stay valid while the status is printed; status_rate() and
 * status_destroy() do not need them. Returns NULL when out of memory. */
struct status *status_collect(const struct status_source *source);

/* NULL is accepted. */
void status_destroy(struct status *status);

/* Checks the health: a listener that is not bound, or a worker that is stalled, is a problem. Calls report for each
 * problem with one line without a newline; report may be NULL. Returns the number of problems. */
size_t status_health_problems(const struct status *status, void (*report)(const char *problem, void *data), void *data);

/* Returns how much a counter grew per second. earlier and later are the values of the counter in before and now, two
 * statuses of the same generation. Returns 0 if before is NULL or not older than now, or if the counter has decreased.
 */
double status_rate(const struct status *before, const struct status *now, uint64_t earlier, uint64_t later);

#endif

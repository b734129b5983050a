/* How the daemon fares: everything that the summary, /metrics and /status.json tell, gathered in one pass. */
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

/* A worker whose loop has not turned for so long stands still. */
#define STATUS_STALL_MS 5000

/* The daemon's parts, as its owner has them at the moment; all are borrowed. It is read on the main loop. */
struct status_source {
	const struct config *config;
	unsigned generation; /* of the configuration: 1 for the first, and one more with each reload that is in force */
	uint64_t reloads_failed;
	bool last_reload_failed;
	struct worker *const *workers;
	unsigned worker_count;
	const struct datagram_log *datagram_log; /* NULL: off */
	const struct listener_limits *shared; /* by listener */
	struct peers *peers; /* NULL: they are gone */
	const struct listen_sockets *sockets;
	uint64_t start_wall_us, start_ms; /* since 1970, and monotonic */
};

struct status_listener {
	const struct listener_config *config;
	bool bound; /* every address of it */
	struct listener_counters counters;
	uint64_t dropped, kernel_dropped;

	/* Of a relay. */
	struct relay_counters relay;
	uint64_t answers_dropped;
	uint64_t sessions, sessions_max;
};

struct status_peer {
	const struct peer_config *config;
	struct peer_counters counters;
	uint64_t dropped;
	const struct peer_endpoints *targets; /* in the snapshot; NULL without one */
};

struct status {
	const struct status_source *view;
	uint64_t now_ms; /* monotonic */
	unsigned generation;
	struct status_listener *listeners; /* as in the configuration */
	size_t listener_count;
	struct status_peer *peers; /* likewise */
	size_t peer_count;
	struct endpoints_snapshot *snapshot; /* NULL: not known any more */
	uint64_t *stalled_ms; /* by worker: since its loop turned last */
	unsigned worker_count;
	struct receive_counters receives;
	struct {
		bool on;
		uint64_t written, dropped, waiting; /* records */
	} datagram_log;
};

/* Sums up over all workers. The view and what it shows must stay while the status is printed. Returns NULL where there
 * is no memory. */
struct status *status_collect(const struct status_source *view);

/* NULL is accepted. */
void status_destroy(struct status *status);

/* What keeps the daemon from doing its work, reason by reason: a listener that is not bound, a worker that stands
 * still. Calls tell (NULL: only counts) with a line without a newline. Returns how many there are. */
size_t status_health_problems(const struct status *status, void (*tell)(const char *fault, void *data), void *data);

/* What a counter grew by in a second, between an earlier status of the same generation (NULL: none yet) and a later
 * one.
 */
double status_rate(const struct status *before, const struct status *now, uint64_t earlier, uint64_t later);

#endif

/* A configuration at work: sockets, workers, look-ups, checks and the datagram log that were made of it. At a reload
 * the next generation takes the place of the one before, and goes on with whatever did not change. */
#ifndef UDPRELAYD_DAEMON_GENERATION_H
#define UDPRELAYD_DAEMON_GENERATION_H

#include <stdbool.h>
#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "datagram_log/datagram_log.h"
#include "net/listen_sockets.h"
#include "net/own_addresses.h"
#include "upstream/health_check.h"
#include "upstream/peers.h"
#include "worker/listener_limits.h"
#include "worker/worker.h"

/* What all generations have in common; it outlives them. */
struct generation_setup {
	uv_loop_t *loop; /* the main one */
	struct log *log;
	unsigned worker_count; /* that no reload changes */
	endpoint_epoch news;
	struct inherited_sockets *passed; /* by systemd */
};

struct generation {
	struct generation_setup *setup;
	struct config *config; /* owned */
	struct generation *before; /* whose place it is to take; until it has */
	struct generation *next; /* in a list of the owner's */
	uint64_t retired_ms; /* by the loop's clock; the owner's, too */
	bool stuck; /* the writer of its datagram log; likewise */

	struct listen_sockets sockets;
	struct own_addresses *own;
	struct datagram_log *datagram_log; /* NULL: off */
	struct listener_limits *shared;
	struct peers *peers;
	struct health_checks *checks;
	struct worker_setup worker_setup;
	struct worker **workers; /* worker_count of them */
	unsigned started; /* workers */
};

/* Opens what may need rights, and the user may have to mend: sockets, the datagram log, enough descriptors. Takes over
 * config, whether it succeeds or not; before is NULL for the first one. Whatever is wrong is told to the log. Returns 0
 * or a negative errno. */
int generation_open(struct generation **generation, struct generation_setup *setup, struct config *config,
		    struct generation *before);

/* Makes everything else, and starts the writer of the datagram log. No datagram is read yet, and the generation before
 * works as ever. Whatever is wrong is told. Returns 0 or a negative errno. */
int generation_prepare(struct generation *generation);

/* Stops the workers of the generation before, takes over its sockets, sessions, counters and tables, and starts.
 * Meanwhile datagrams wait in the kernel's queues. Returns 0, or a negative errno where a worker cannot be started. */
int generation_start(struct generation *generation);

/* Closes handles on the main loop and abandons look-ups; workers go on. A second time does nothing. */
void generation_retire(struct generation *generation);

/* Ends workers, too. */
void generation_close(struct generation *generation);

/* Whether all handles are closed. Until then the main loop must run. */
bool generation_closed(const struct generation *generation);

/* Whether the records of its datagrams are written. */
bool generation_log_flushed(const struct generation *generation);

/* After generation_close(), and then generation_closed() or the end of the loop, and after datagram_log_stop(). */
void generation_destroy(struct generation *generation);

#endif

/* A generation: everything that the daemon creates from one configuration (sockets, workers, name lookups, health
 * checks, the datagram log). The server owns the active generation and the retired ones. At a reload the next
 * generation adopts all state that did not change.
 *
 * Before generation_start() an error of the next generation does not affect the active one. In generation_start() an
 * error is final, because the workers of the previous generation have already stopped. All functions run on the main
 * thread. */
#ifndef UDPRELAYD_DAEMON_GENERATION_H
#define UDPRELAYD_DAEMON_GENERATION_H

#include <stdbool.h>
#include <sys/queue.h>
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

/* Shared by all generations. It outlives them. */
struct generation_setup {
	uv_loop_t *loop; /* the main loop */
	struct log *log;
	unsigned worker_count; /* a reload does not change it */
	endpoint_epoch epoch;
	struct inherited_sockets *inherited; /* from systemd */
};

struct generation {
	struct generation_setup *setup;
	struct config *config; /* owned */
	struct generation *previous; /* the generation to take over from; NULL: none, or done */
	STAILQ_ENTRY(generation) link; /* in struct retired_generations */
	uint64_t retired_ms; /* time of the retirement, by the clock of the loop */
	bool log_writer_stuck; /* the writer of the datagram log is blocked in write(2) */

	struct listen_sockets sockets;
	struct own_addresses *own_addresses;
	struct datagram_log *datagram_log; /* NULL: off */
	struct listener_limits *limits;
	struct peers *peers;
	struct health_checks *checks;
	struct worker_setup worker_setup;
	struct worker **workers; /* setup->worker_count items */
	unsigned workers_started; /* number of workers whose thread runs */
};

/* Creates a generation with everything that may need privileges or a correction by the user: the sockets, the datagram
 * log, and enough file descriptors. Takes ownership of config, also on failure. previous is NULL for the first
 * generation. Logs errors. Returns 0 or a negative errno; *generation is set only on success. */
int generation_open(struct generation **generation, struct generation_setup *setup, struct config *config,
		    struct generation *previous);

/* Creates all other parts and starts the writer of the datagram log. Does not read datagrams yet and does not affect
 * the previous generation. Logs errors. Returns 0 or a negative errno. On failure the caller still closes and destroys
 * the generation. */
int generation_prepare(struct generation *generation);

/* Stops the workers of the previous generation, adopts its sockets, sessions, counters and tables, and starts the
 * workers. Until they run, datagrams wait in the queues of the kernel. Returns 0, or a negative errno if a worker
 * cannot be started. */
int generation_start(struct generation *generation);

/* Closes the handles on the main loop and abandons the name look-ups. Workers continue. A second call does nothing. */
void generation_retire(struct generation *generation);

/* Stops and joins the workers, then does the same as generation_retire(). */
void generation_close(struct generation *generation);

/* Returns true if all handles are closed. The main loop must run until then. */
bool generation_closed(const struct generation *generation);

/* Returns true if all records of the datagram log are written. */
bool generation_log_flushed(const struct generation *generation);

/* Frees the generation. Call this after generation_close() and datagram_log_stop(), and when generation_closed()
 * returns true or the loop has ended. */
void generation_destroy(struct generation *generation);

#endif

/* Retired generations: replaced by a reload, or discarded because a reload failed. The server owns this list. Each
 * generation is destroyed after its handles are closed and its last datagram record is written. The log of the next
 * generation is paused until then, so that all records stay in order.
 *
 * A slow datagram log delays this for at most 10 seconds, and not while there are more than 16 retired generations. A
 * log writer that is blocked in write(2) cannot be ended; its generation stays in the list, and the others do not wait
 * for it. */
#ifndef UDPRELAYD_DAEMON_RETIRED_GENERATIONS_H
#define UDPRELAYD_DAEMON_RETIRED_GENERATIONS_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/generation.h"

/* Time limit for datagram_log_stop() to write the waiting records. Milliseconds. */
#define DATAGRAM_LOG_STOP_MS 400

struct retired_generations {
	uv_timer_t timer;
	struct generation *const *active; /* the active generation, owned by the server */
	STAILQ_HEAD(, generation) list; /* oldest first */
	unsigned count;
};

/* The timer does not keep the loop running, and the handle is closed with the loop. */
void retired_generations_init(struct retired_generations *retired, uv_loop_t *loop, struct generation *const *active);

/* Takes ownership of the generation, closes it and destroys it later. *active must already be another generation. */
void retired_generations_add(struct retired_generations *retired, struct generation *generation);

/* Writes the waiting records and destroys all generations. Call this after the loop has ended. Returns false if a log
 * writer is blocked; then nothing that it uses may be freed before the process exits. */
bool retired_generations_finish(struct retired_generations *retired);

#endif

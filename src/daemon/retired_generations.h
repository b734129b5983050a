/* Generations that have had their time. Each stays until nothing of its own is under way any more, and what it has to
 * write is written before what the next one has. */
#ifndef UDPRELAYD_DAEMON_RETIRED_GENERATIONS_H
#define UDPRELAYD_DAEMON_RETIRED_GENERATIONS_H

#include <stdbool.h>
#include <uv.h>

#include "daemon/generation.h"

/* How long, at an end, records may take that wait. */
#define PAST_RECORDS_MS 400

struct retired_generations {
	uv_timer_t timer;
	struct generation *const *now; /* the one in force */
	struct generation *first; /* the oldest */
	unsigned count;
};

/* Its timer does not keep the loop running; the loop's end closes it. */
void retired_generations_init(struct retired_generations *past, uv_loop_t *loop, struct generation *const *now);

/* Closes a generation and keeps it as long as it must be; the one in force is another one by now. */
void retired_generations_add(struct retired_generations *past, struct generation *generation);

/* After the end of the loop: waits for what is still to be written. Returns false where a writer is stuck, so that all
 * must stay as it is until the process ends. */
bool retired_generations_finish(struct retired_generations *past);

#endif

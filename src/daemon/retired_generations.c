#include "daemon/retired_generations.h"

#include <malloc.h>

#include "datagram_log/datagram_log.h"

/* They are looked after at this interval, and for so long the datagram log may take to write what waits. */
#define INTERVAL_MS 20
#define RECORDS_MS 10000

/* No more than that are kept waiting. */
#define COUNT_MAX 16

void retired_generations_init(struct retired_generations *past, uv_loop_t *loop, struct generation *const *now)
{
	*past = (struct retired_generations){.now = now};
	uv_timer_init(loop, &past->timer);
	past->timer.data = past;
}

/* Nobody waits for ever for a datagram log that is slow. */
static bool is_due(const struct retired_generations *past, const struct generation *generation)
{
	if (generation->stuck || !generation_closed(generation))
		return generation->stuck && datagram_log_ended(generation->datagram_log);
	return generation_log_flushed(generation) || uv_now(past->timer.loop) - generation->retired_ms > RECORDS_MS ||
	       past->count > COUNT_MAX;
}

/* Has the records of the next one come behind its own. */
static void end_records(struct retired_generations *past, struct generation *generation)
{
	struct datagram_log *now = (*past->now)->datagram_log;
	struct datagram_log *next = generation->next ? generation->next->datagram_log : now;
	bool again = generation->stuck;

	generation->stuck = !datagram_log_stop(generation->datagram_log, PAST_RECORDS_MS);
	if (again)
		return;
	if (generation->datagram_log && now)
		datagram_log_adopt_counters(now, generation->datagram_log);
	if (next)
		datagram_log_resume(next);
}

/* Where its writer is stuck it stays, and nobody waits for it any more. */
static void bury(struct retired_generations *past, struct generation **place)
{
	struct generation *generation = *place;

	end_records(past, generation);
	if (generation->stuck)
		return;
	*place = generation->next;
	past->count--;
	generation_destroy(generation);
}

/* The oldest first. */
static void on_timer(uv_timer_t *timer)
{
	struct retired_generations *past = timer->data;
	struct generation **place = &past->first;

	while (*place && (is_due(past, *place) || (*place)->stuck)) {
		struct generation *generation = *place;

		if (is_due(past, generation))
			bury(past, place);
		if (*place == generation)
			place = &generation->next;
	}
	malloc_trim(0);
	if (!past->first)
		uv_timer_stop(timer);
}

/* Begun anew, the timer would never come where reloads come faster. */
static void start_timer(struct retired_generations *past)
{
	if (uv_is_active((uv_handle_t *)&past->timer))
		return;
	uv_timer_start(&past->timer, on_timer, INTERVAL_MS, INTERVAL_MS);
	uv_unref((uv_handle_t *)&past->timer);
}

void retired_generations_add(struct retired_generations *past, struct generation *generation)
{
	struct generation **last = &past->first;

	while (*last)
		last = &(*last)->next;
	*last = generation;
	past->count++;
	generation_close(generation);
	generation->retired_ms = uv_now(past->timer.loop);
	start_timer(past);
}

bool retired_generations_finish(struct retired_generations *past)
{
	while (past->first) {
		bury(past, &past->first);
		if (past->first && past->first->stuck)
			return false;
	}
	return true;
}

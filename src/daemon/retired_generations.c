#include "daemon/retired_generations.h"

#include <malloc.h>

#include "datagram_log/datagram_log.h"

/* Interval of the checks, and the time that a datagram log gets to write the waiting records. */
#define CHECK_INTERVAL_MS 20
#define FLUSH_TIMEOUT_MS 10000

/* If there are more generations, they do not wait for their datagram logs. */
#define RETIRED_MAX 16

void retired_generations_init(struct retired_generations *retired, uv_loop_t *loop, struct generation *const *active)
{
	*retired = (struct retired_generations){.active = active};
	STAILQ_INIT(&retired->list);
	uv_timer_init(loop, &retired->timer);
	retired->timer.data = retired;
}

/* Returns true if the handles are closed and the datagram log is flushed or has used up its time. If the log writer was
 * blocked, returns true when it has ended. */
static bool can_be_released(const struct retired_generations *retired, const struct generation *generation)
{
	if (generation->log_writer_stuck || !generation_closed(generation))
		return generation->log_writer_stuck && datagram_log_ended(generation->datagram_log);
	return generation_log_flushed(generation) ||
	       uv_now(retired->timer.loop) - generation->retired_ms > FLUSH_TIMEOUT_MS || retired->count > RETIRED_MAX;
}

/* Stops the log, so that the log of the next generation can start: its records come after these. A second call, after
 * the writer was blocked, only stops the log. */
static void stop_datagram_log(struct retired_generations *retired, struct generation *generation)
{
	struct datagram_log *active = (*retired->active)->datagram_log;
	const struct generation *follower = STAILQ_NEXT(generation, link);
	struct datagram_log *next = follower ? follower->datagram_log : active;
	bool again = generation->log_writer_stuck;

	generation->log_writer_stuck = !datagram_log_stop(generation->datagram_log, DATAGRAM_LOG_STOP_MS);
	if (again)
		return;
	if (generation->datagram_log && active)
		datagram_log_adopt_counters(active, generation->datagram_log);
	if (next)
		datagram_log_resume(next);
}

/* Destroys the generation, unless its log writer is blocked. */
static void release_generation(struct retired_generations *retired, struct generation *generation)
{
	stop_datagram_log(retired, generation);
	if (generation->log_writer_stuck)
		return;
	STAILQ_REMOVE(&retired->list, generation, generation, link);
	retired->count--;
	generation_destroy(generation);
}

/* Checks the oldest generations first and stops at the first that has to wait. Generations with a blocked log writer
 * are skipped. */
static void on_timer(uv_timer_t *timer)
{
	struct retired_generations *retired = timer->data;
	struct generation *generation, *next;

	for (generation = STAILQ_FIRST(&retired->list); generation; generation = next) {
		next = STAILQ_NEXT(generation, link);
		if (can_be_released(retired, generation))
			release_generation(retired, generation);
		else if (!generation->log_writer_stuck)
			break;
	}
	malloc_trim(0);
	if (STAILQ_EMPTY(&retired->list))
		uv_timer_stop(timer);
}

/* Does not restart an active timer: if reloads came faster than the interval, the timer would never expire. */
static void start_timer(struct retired_generations *retired)
{
	if (uv_is_active((uv_handle_t *)&retired->timer))
		return;
	uv_timer_start(&retired->timer, on_timer, CHECK_INTERVAL_MS, CHECK_INTERVAL_MS);
	uv_unref((uv_handle_t *)&retired->timer);
}

void retired_generations_add(struct retired_generations *retired, struct generation *generation)
{
	STAILQ_INSERT_TAIL(&retired->list, generation, link);
	retired->count++;
	generation_close(generation);
	generation->retired_ms = uv_now(retired->timer.loop);
	start_timer(retired);
}

bool retired_generations_finish(struct retired_generations *retired)
{
	while (!STAILQ_EMPTY(&retired->list)) {
		const struct generation *first;

		release_generation(retired, STAILQ_FIRST(&retired->list));
		first = STAILQ_FIRST(&retired->list);
		if (first && first->log_writer_stuck)
			return false;
	}
	return true;
}

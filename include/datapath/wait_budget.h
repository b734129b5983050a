/* A bound for waiting: so long in all within a second, whatever it is waited for. */
#ifndef UDPRELAYD_DATAPATH_WAIT_BUDGET_H
#define UDPRELAYD_DATAPATH_WAIT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define PATIENCE_WINDOW_MS 1000

/* Zeroed memory is ready for use. Times are monotonic. */
struct wait_budget {
	uint64_t since_ms; /* when the window began */
	uint64_t spent_ms; /* in it */
};

/* Whether less than limit_ms have been spent in the window that now_ms lies in. */
static inline bool wait_budget_left(const struct wait_budget *patience, uint64_t now_ms, uint64_t limit_ms)
{
	return patience->spent_ms < limit_ms || now_ms - patience->since_ms >= PATIENCE_WINDOW_MS;
}

/* Takes ms milliseconds of waiting into account, which end at now_ms. A window begins with the first of them. */
static inline void wait_budget_spend(struct wait_budget *patience, uint64_t now_ms, uint64_t ms)
{
	if (!patience->spent_ms || now_ms - patience->since_ms >= PATIENCE_WINDOW_MS)
		*patience = (struct wait_budget){.since_ms = now_ms - ms};
	patience->spent_ms += ms;
}

#endif

/* A wait budget: how long a sender may wait for room in send buffers, per second. It bounds the delay that one slow
 * receiver causes for all others. */
#ifndef UDPRELAYD_DATAPATH_WAIT_BUDGET_H
#define UDPRELAYD_DATAPATH_WAIT_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

#define WAIT_BUDGET_WINDOW_MS 1000

/* Zeroed memory is a full budget. All times are monotonic. */
struct wait_budget {
	uint64_t window_start_ms;
	uint64_t spent_ms; /* in this window */
};

/* Returns whether less than limit_ms of the window at now_ms is spent. */
static inline bool wait_budget_left(const struct wait_budget *budget, uint64_t now_ms, uint64_t limit_ms)
{
	return budget->spent_ms < limit_ms || now_ms - budget->window_start_ms >= WAIT_BUDGET_WINDOW_MS;
}

/* Charges a wait of ms milliseconds that ends at now_ms. The first wait after a window opens the next window. */
static inline void wait_budget_spend(struct wait_budget *budget, uint64_t now_ms, uint64_t ms)
{
	if (!budget->spent_ms || now_ms - budget->window_start_ms >= WAIT_BUDGET_WINDOW_MS)
		*budget = (struct wait_budget){.window_start_ms = now_ms - ms};
	budget->spent_ms += ms;
}

#endif

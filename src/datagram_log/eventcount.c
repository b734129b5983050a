#include "datagram_log/eventcount.h"

#include <time.h>

#include "base/clock.h"

void eventcount_init(struct eventcount *eventcount)
{
	atomic_init(&eventcount->waiting, false);
	sem_init(&eventcount->semaphore, 0, 0);
}

void eventcount_finish(struct eventcount *eventcount)
{
	sem_destroy(&eventcount->semaphore);
}

/* This fence pairs with the fence in eventcount_notify(): either the consumer finds the new data after prepare, or the
 * producer finds `waiting` set. */
void eventcount_prepare(struct eventcount *eventcount)
{
	atomic_store_explicit(&eventcount->waiting, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void eventcount_wait(struct eventcount *eventcount, unsigned timeout_ms)
{
	struct timespec deadline = clock_deadline(timeout_ms);

	sem_clockwait(&eventcount->semaphore, CLOCK_MONOTONIC, &deadline);
	eventcount_cancel(eventcount);
}

void eventcount_cancel(struct eventcount *eventcount)
{
	atomic_store_explicit(&eventcount->waiting, false, memory_order_relaxed);
}

void eventcount_wake(struct eventcount *eventcount)
{
	atomic_store(&eventcount->waiting, false);
	sem_post(&eventcount->semaphore);
}

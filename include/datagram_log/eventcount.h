/* Lets one consumer wait until a producer has added data to a lock-free queue, without a lost wake-up.
 * The consumer calls eventcount_prepare(), looks into the queue once more, and then calls either eventcount_wait() or
 * eventcount_cancel(). A producer makes its data visible first and then calls eventcount_notify(). */
#ifndef UDPRELAYD_DATAGRAM_LOG_EVENTCOUNT_H
#define UDPRELAYD_DATAGRAM_LOG_EVENTCOUNT_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>

struct eventcount {
	atomic_bool waiting; /* the consumer waits, or is about to wait */
	sem_t semaphore;
};

/* Zeroed memory is not sufficient. */
void eventcount_init(struct eventcount *eventcount);
void eventcount_finish(struct eventcount *eventcount);

/* Consumer: announces a wait. Data that a producer adds later than this is followed by a wake-up. */
void eventcount_prepare(struct eventcount *eventcount);

/* Consumer: waits for a wake-up, at most timeout_ms milliseconds. May return early. */
void eventcount_wait(struct eventcount *eventcount, unsigned timeout_ms);

/* Consumer: does not wait after eventcount_prepare(). */
void eventcount_cancel(struct eventcount *eventcount);

/* Producer, after it added data: wakes the consumer if it waits. Makes no system call otherwise. */
static inline void eventcount_notify(struct eventcount *eventcount)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&eventcount->waiting, memory_order_relaxed) &&
	    atomic_exchange(&eventcount->waiting, false))
		sem_post(&eventcount->semaphore);
}

/* Any thread: wakes the consumer. If it does not wait now, its next wait returns at once. */
void eventcount_wake(struct eventcount *eventcount);

#endif

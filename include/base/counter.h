/* Counters with one writing thread. Any thread may read them. */
#ifndef UDPRELAYD_BASE_COUNTER_H
#define UDPRELAYD_BASE_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

typedef _Atomic uint64_t counter;

/* Only the thread that owns the counter may call this: it is a plain load and store, without a locked instruction. */
static inline void counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

#endif

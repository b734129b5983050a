/* How many datagrams a second a listener takes from one source: an IPv4 address, or an IPv6 /64, which is what one
 * subscriber has. Ports do not count, and neither does which worker a datagram came to. */
#ifndef UDPRELAYD_GUARD_SOURCE_LIMIT_H
#define UDPRELAYD_GUARD_SOURCE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/* Sources that a listener remembers at a time, in 8 bytes each: 1 MiB (gcra_table.h). */
#define SOURCE_LIMIT_SOURCES (1u << 17)

/* Of the trains over the limit, one in so many passes. */
#define SOURCE_LIMIT_SHARE 32

struct source_limit;

/* rate: datagrams a second, from 1. burst: what a source that was silent may send at once; 0: as many as in a second.
 * Returns 0 or -ENOMEM. */
int source_limit_create(struct source_limit **limit, uint32_t rate, uint32_t burst);

/* NULL is accepted. */
void source_limit_destroy(struct source_limit *limit);

/* Any thread; now_ms is monotonic, and may differ a little between threads. Whether the source has credit for one
 * datagram, so that its train of so many (at most TRAIN_MAX) is taken whole and charged; debts are paid by waiting. A
 * v4-mapped address is the IPv4 one. AF_UNIX senders always have credit: they are programs of this host, and the
 * socket's permissions say which. */
bool source_limit_take(struct source_limit *limit, const struct address *source, uint32_t datagrams, uint64_t now_ms);

/* Where a thread stands in its draws; threads begin apart. */
struct source_limit_sampler {
	uint64_t next;
};

static inline struct source_limit_sampler source_limit_sampler_of(unsigned worker)
{
	return (struct source_limit_sampler){(uint64_t)worker << 48};
}

/* Whether a train over the limit passes all the same, uncharged: anybody can write in another's name, and would
 * otherwise silence him. Nobody can tell before which trains these are. */
bool source_limit_sample(const struct source_limit *limit, struct source_limit_sampler *draw);

#endif

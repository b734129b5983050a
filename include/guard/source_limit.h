/* The rate limit per source: how many datagrams per second a listener accepts from one source. A source is an IPv4
 * address or an IPv6 /64, the usual prefix of one subscriber. All ports of a source and all workers count together.
 *
 * Forged datagrams can use up the credit of their source address. Therefore one of 32 trains over the limit passes: the
 * real host at this address is slowed down, but not blocked. */
#ifndef UDPRELAYD_GUARD_SOURCE_LIMIT_H
#define UDPRELAYD_GUARD_SOURCE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"

/* Number of sources in the table of a listener. Each takes 8 bytes, together 1 MiB (guard/gcra_table.h). */
#define SOURCE_LIMIT_SOURCES (1u << 17)

/* One of this number of trains over the limit passes. */
#define SOURCE_LIMIT_SHARE 32

struct source_limit;

/* rate: datagrams per second, at least 1. burst: datagrams that a silent source may send at once; 0: as many as in a
 * second. Returns 0 or -ENOMEM. */
int source_limit_create(struct source_limit **limit, uint32_t rate, uint32_t burst);

/* Accepts NULL. */
void source_limit_destroy(struct source_limit *limit);

/* Charges a train of datagrams (at most TRAIN_MAX) to its source if that has credit for one datagram. Returns false if
 * it has none. An IPv4-mapped address counts as the IPv4 address. AF_UNIX senders have no limit: they are programs of
 * this host, and the permissions of the socket select them. now_ms: monotonic; it may differ a little between threads.
 * Any thread may call it. */
bool source_limit_take(struct source_limit *limit, const struct address *source, uint32_t datagrams, uint64_t now_ms);

/* The state of one thread's random choices. */
struct source_limit_sampler {
	uint64_t next;
};

/* Returns the sampler of a worker. Samplers of different workers never repeat each other's numbers. */
static inline struct source_limit_sampler source_limit_sampler_of(unsigned worker)
{
	return (struct source_limit_sampler){(uint64_t)worker << 48};
}

/* Returns whether a train over the limit passes, uncharged. No sender can predict which trains pass. */
bool source_limit_sample(const struct source_limit *limit, struct source_limit_sampler *sampler);

#endif

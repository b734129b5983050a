/* The ring guard ends endless exchanges: two services that reply to each other's replies, or a ring of hosts that
 * forward to each other. Such an exchange repeats the same payloads from the same source, many times per second. The
 * guard finds repeated datagrams and drops a small share of them; each drop ends one circulating datagram.
 *
 * A datagram is repeated if the same source sent the same payload within the last 16 seconds. All repeated datagrams of
 * a source count together. Up to 2 per second, none is dropped. Up to 50 per second, one of about 4,096 is dropped.
 * Above 50 per second, one of about 205 is dropped. So an exchange ends after about 230 datagrams (4,100 if it is
 * slow), and an honest client that repeats itself loses at most 0.5 %. Datagrams that differ are never dropped.
 *
 * The worker's listeners and their relays use one guard for each listener, shared by all workers. The memory is fixed:
 * 640 KiB. If the tables are full, loops take longer to end: other payloads hide some of the circulating ones, and
 * sources share meters. */
#ifndef UDPRELAYD_GUARD_RING_GUARD_H
#define UDPRELAYD_GUARD_RING_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "net/train.h"

/* The state of one thread's random choices. */
struct ring_guard_sampler {
	uint64_t next;
};

/* Returns the sampler of a worker. Samplers of different workers never repeat each other's numbers. */
static inline struct ring_guard_sampler ring_guard_sampler_of(unsigned worker)
{
	return (struct ring_guard_sampler){(uint64_t)worker << 48};
}

/* The direction of datagrams: from a client, or replies to it. Datagrams from the host of a peer have one source for
 * all ports of the host. */
enum ring_direction { RING_FROM_CLIENT, RING_TO_CLIENT, RING_FROM_PEER_HOST };

struct ring_guard;

/* Returns 0 or -ENOMEM. */
int ring_guard_create(struct ring_guard **guard);

/* Accepts NULL. */
void ring_guard_destroy(struct ring_guard *guard);

/* Examines and stores the first or the last datagram of the train, chosen at random, and sometimes another one. If it
 * must be dropped, this excludes it from the train (or sets drop, if it is the only one) under DROP_RING and returns
 * true. client: the sender, or the receiver of a reply. now_ms: monotonic; it may differ a little between threads. Any
 * thread may call it. */
bool ring_guard_check(struct ring_guard *guard, struct ring_guard_sampler *sampler, const struct address *client,
		      enum ring_direction direction, struct train *train, uint64_t now_ms);

#endif

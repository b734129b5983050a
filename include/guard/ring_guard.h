/* Rings of hosts, in which a datagram would go round for ever: a forwarder whose peer, or a peer's peer on the same
 * host, forwards to us; and echo services that echo each other. Nothing in a datagram tells how far it has come, so
 * that a ring shows in repetition alone.
 *
 * A forwarder remembers for 2 seconds what it forwarded and who sent it first. What comes again from the host of one of
 * its peers, though somebody else sent it first, may be a copy that the peer sent back. Clients on the peer's host may
 * say the same as others, too: but when one sender, or each of up to four (workers have several ways to each
 * other), says it RING_RETURNS times more often than all others together, it is a ring, and everything that it sends
 * back is cut from then on, until that has stopped for 2 seconds.
 *
 * An echo takes one payload from one sender at a rate of about RING_ECHO_RATE a second, beyond the first
 * RING_ECHO_BURST or so of them. */
#ifndef UDPRELAYD_GUARD_RING_GUARD_H
#define UDPRELAYD_GUARD_RING_GUARD_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "net/train.h"

#define RING_RETURNS 64
#define RING_ECHO_RATE 10
#define RING_ECHO_BURST 50000

/* Where a thread stands in its draws: an echo looks at samples. Zeroed memory is ready for use. */
struct ring_guard_sampler {
	uint32_t next;
};

/* Of one listener, for all its workers. At most 256 KiB. */
struct ring_guard;

/* For ACTION_ECHO and ACTION_FORWARD. Returns 0 or -ENOMEM. */
int ring_guard_create(struct ring_guard **guard, enum action_kind action);

/* NULL is accepted. */
void ring_guard_destroy(struct ring_guard *guard);

/* Whether the train may be echoed or forwarded, which is remembered; otherwise it goes round in a ring. from_peer: it
 * comes from the host of one of the listener's peers. now_ms is monotonic. Any thread. */
bool ring_guard_admits(struct ring_guard *guard, struct ring_guard_sampler *draw, const struct train *train,
		       bool from_peer, uint64_t now_ms);

#endif

/* Counters. Each is written by one thread and may be read by any. */
#ifndef UDPRELAYD_DATAPATH_COUNTERS_H
#define UDPRELAYD_DATAPATH_COUNTERS_H

#include <stdint.h>

#include "base/counter.h"
#include "net/drop_reason.h"

/* Whenever no batch is under way, received = sunk + echoed + forwarded + relayed + dropped[all reasons]. */
struct listener_counters {
	counter received, received_bytes;
	counter sunk, echoed, forwarded, relayed;
	counter dropped[DROP_REASONS];
};

/* Of a relay. Whenever no batch is under way, answers = answered + dropped[all reasons]; started - ended sessions are
 * alive. */
struct relay_counters {
	counter started, ended; /* sessions */
	counter answers, answer_bytes; /* received from peers */
	counter answered; /* submitted to the kernel for clients */
	counter dropped[DROP_REASONS]; /* answers */
	counter kernel_dropped; /* answers that found no room in the receive buffer of a session that has ended */
};

/* submitted = sent + dropped[all reasons], whenever no batch is under way. */
struct peer_counters {
	counter submitted;
	counter sent, sent_bytes;
	counter icmp_errors; /* "nobody there", told by ICMP of something sent before; no datagram is charged for it */
	counter dropped[DROP_REASONS];
	counter answers, answer_bytes; /* received from it */
};

/* Buckets of powers of two: for 1, 2, 3 to 4, 5 to 8 and so on; the last is for 65 to 128 and all that might be more.
 */
#define SIZE_BUCKETS 8

static inline unsigned size_bucket(uint32_t size)
{
	unsigned bucket = size > 1 ? 32 - (unsigned)__builtin_clz(size - 1) : 0;

	return bucket < SIZE_BUCKETS ? bucket : SIZE_BUCKETS - 1;
}

/* Of a worker: what its receives brought, datagrams and answers alike. One that brought nothing does not count. */
struct receive_counters {
	counter receives[SIZE_BUCKETS]; /* by their trains */
	counter trains[SIZE_BUCKETS]; /* by their datagrams */
	counter datagrams;
};

/* Adds b to *a, which no other thread may be writing. */
void listener_counters_add(struct listener_counters *a, const struct listener_counters *b);
void relay_counters_add(struct relay_counters *a, const struct relay_counters *b);
void peer_counters_add(struct peer_counters *a, const struct peer_counters *b);
void receive_counters_add(struct receive_counters *a, const struct receive_counters *b);

/* The sum over all reasons. */
uint64_t drops_total(const counter dropped[DROP_REASONS]);

#endif

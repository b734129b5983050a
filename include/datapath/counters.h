/* Counters of listeners, relays, peers and workers. One thread writes each counter; any thread may read it. */
#ifndef UDPRELAYD_DATAPATH_COUNTERS_H
#define UDPRELAYD_DATAPATH_COUNTERS_H

#include <stdint.h>

#include "base/counter.h"
#include "datapath/session_end.h"
#include "net/drop_reason.h"

/* Datagrams of a listener. Between two batches, received = sunk + echoed + forwarded + relayed + dropped[all]. */
struct listener_counters {
	counter received, received_bytes;
	counter sunk, echoed, forwarded, relayed;
	counter dropped[DROP_REASONS];
};

/* Sessions and replies of a relay. Between two batches, replies = replied + dropped[all], and ended = ended_by[all].
 * The number of open sessions is started - ended. */
struct relay_counters {
	counter started, ended; /* sessions */
	counter replies, reply_bytes; /* received from peers */
	counter replied; /* replies that the kernel accepted for clients */
	counter dropped[DROP_REASONS]; /* replies */
	counter kernel_dropped; /* replies that overflowed the receive buffer of a session; counted when it ends */
	counter ended_by[SESSION_ENDS]; /* sessions */
	counter refused[DROP_REASONS]; /* trains of clients that got no session */
};

/* Datagrams to a peer. Between two batches, submitted = sent + dropped[all]. */
struct peer_counters {
	counter submitted;
	counter sent, sent_bytes;
	counter icmp_errors; /* for datagrams sent before; those datagrams count as sent */
	counter dropped[DROP_REASONS];
	counter replies, reply_bytes; /* received from the peer */
};

/* Buckets for sizes of 1, 2, 3-4, 5-8 and so on. The last bucket holds 65 and more. */
#define SIZE_BUCKETS 8

static inline unsigned size_bucket(uint32_t size)
{
	unsigned bucket = size > 1 ? 32 - (unsigned)__builtin_clz(size - 1) : 0;

	return bucket < SIZE_BUCKETS ? bucket : SIZE_BUCKETS - 1;
}

/* Receives of a worker, from clients and peers. A receive that returns nothing does not count. */
struct receive_counters {
	counter receives[SIZE_BUCKETS]; /* by number of trains */
	counter trains[SIZE_BUCKETS]; /* by number of datagrams */
	counter datagrams;
};

/* Adds *b to *a. No other thread may write *a meanwhile. */
void listener_counters_add(struct listener_counters *a, const struct listener_counters *b);
void relay_counters_add(struct relay_counters *a, const struct relay_counters *b);
void peer_counters_add(struct peer_counters *a, const struct peer_counters *b);
void receive_counters_add(struct receive_counters *a, const struct receive_counters *b);

/* Returns the sum over all reasons. */
uint64_t drops_total(const counter dropped[DROP_REASONS]);

#endif

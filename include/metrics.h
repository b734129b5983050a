/* Counters. Each is written by one thread and may be read by any. */
#ifndef UDPRELAYD_METRICS_H
#define UDPRELAYD_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

/* Why a datagram, or a peer's copy of one, was not delivered. */
enum drop_reason {
	DROP_NONE,
	DROP_TOO_LARGE, /* over max_datagram, or over what UDP can carry once converted */
	DROP_MALFORMED, /* the kernel's control messages make no sense */
	DROP_SOURCE_DENIED, /* the source is in deny, or not in allow */
	DROP_LOOP, /* the source is one of our own addresses, or a relay's client is one of its peers */
	DROP_SOURCE_ADDRESS, /* a source that nobody can answer: multicast, broadcast, unspecified, 0/8 */
	DROP_SOURCE_PORT, /* port 0, or one of refuse_source_ports */
	DROP_NO_RETURN, /* an AF_UNIX sender without a name */
	DROP_SOURCE_LIMIT, /* source_limit: the source sends more than its share */
	DROP_RING, /* ring_guard: it goes round in a ring of hosts */
	DROP_UNRESOLVED, /* the peer's name has no address yet */
	DROP_REFUSED, /* nobody listens there, and the kernel knew before it sent */
	DROP_UNREACHABLE, /* no route, or no such address on this host any more */
	DROP_DENIED, /* a firewall or a permission */
	DROP_MESSAGE_SIZE, /* the kernel or the path takes none so large */
	DROP_CONGESTED, /* the send buffer stayed full */
	DROP_NO_MEMORY, /* the kernel had none */
	DROP_UNCONVERTIBLE, /* errors = strict, and the peer's encoding cannot say it */
	DROP_SESSION_LIMIT, /* max_sessions: no room for a new client */
	DROP_NO_DESCRIPTOR, /* the process may open no more sockets */
	DROP_NO_PORT, /* the host has no free port for another session */
	DROP_SESSION_ENDED, /* an answer that was not read when its session ended */
	DROP_UNEXPECTED, /* an answer beyond those that responses admits */
	DROP_SEND_ERROR, /* any other answer of the kernel */
	DROP_REASONS,
};

/* "too_large" and so on; the label of the metrics and of the datagram log. */
const char *drop_reason_name(enum drop_reason reason);

typedef _Atomic uint64_t counter;

/* Only the counter's own thread may add: a plain load and store, no locked instruction. */
static inline void counter_add(counter *c, uint64_t n)
{
	atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline uint64_t counter_get(const counter *c)
{
	return atomic_load_explicit(c, memory_order_relaxed);
}

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
	counter answered; /* handed to the kernel for clients */
	counter dropped[DROP_REASONS]; /* answers */
	counter kernel_dropped; /* answers that found no room in the receive buffer of a session that has ended */
};

/* handed = sent + dropped[all reasons], whenever no batch is under way. */
struct peer_counters {
	counter handed;
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

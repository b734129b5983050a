/* A transmit batch. One belongs to each worker. The actions add chunks to it; tx_batch_flush() then sends them all.
 * Chunks with the same socket, destination and source form a flow: a run of a flow is one GSO send (UDP_SEGMENT,
 * udp(7)), and one sendmmsg(2) carries up to 64 messages. The batch never copies a payload: data and addresses are
 * borrowed until tx_batch_clear().
 *
 * Failures: a full send buffer (the rest waits for the next flush, within a time limit), an ICMP error of an earlier
 * datagram (the send is repeated), a path that refuses GSO (the run is sent as single datagrams). Every other error
 * drops the datagrams under a drop reason. */
#ifndef UDPRELAYD_DATAPATH_TX_BATCH_H
#define UDPRELAYD_DATAPATH_TX_BATCH_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "datapath/wait_budget.h"
#include "net/drop_reason.h"

/* Milliseconds per second that a worker waits for one socket, and for all sockets together. After that, datagrams for
 * a full send buffer are dropped at once. */
#define TX_SOCKET_WAIT_BUDGET_MS 100
#define TX_WAIT_BUDGET_MS 200

/* Datagrams in one chunk and in one GSO send. Every kernel since 4.18 accepts this number (UDP_MAX_SEGMENTS). */
#define TX_CHUNK_DATAGRAMS 64

/* A destination refuses GSO for datagrams of at least segment bytes. */
struct gso_fallback {
	uint32_t destination; /* hash of its address */
	uint32_t segment; /* bytes; 0: no refusal */
	uint64_t until_ms; /* monotonic */
};

/* A socket to send through. The owner sets fd, connected, gso and shared_wait_budget and zeroes the rest. */
struct tx_socket {
	int fd;
	bool connected; /* the chunks name no destination */
	bool gso; /* a UDP socket, not an AF_UNIX one */
	bool ipv6; /* set for a connected socket */
	bool broken; /* a flush sets it: the owner must open the socket again, if that can help */
	uint64_t failing_until_ms; /* monotonic; a send fails in spite of repetitions */
	uint64_t icmp_errors; /* ICMP errors of earlier datagrams; the owner reads and resets it */

	/* The tx_batch uses these while chunks of this socket are queued. */
	struct tx_flow *first, *last;
	struct tx_socket *next;
	bool blocked; /* some datagrams wait for room in a send buffer */
	enum drop_reason blocked_reason;
	struct wait_budget wait_budget;
	struct wait_budget *shared_wait_budget; /* shared by sockets to one receiver; NULL: wait_budget counts */
	struct gso_fallback fallback; /* GSO refusal of a connected socket */
	uint8_t hop_limit; /* last value of the option IP_TTL or IPV6_UNICAST_HOPS; 0: it was never set */
};

/* Returns whether this errno of a connected socket can report an ICMP error for an earlier datagram, except a smaller
 * path MTU. */
static inline bool tx_error_is_icmp(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == ENOPROTOOPT ||
	       error == EPROTO || error == EACCES || error == EHOSTDOWN || error == ENONET;
}

/* The same, or a smaller path MTU. */
static inline bool tx_error_is_pending(int error)
{
	return error == EMSGSIZE || tx_error_is_icmp(error);
}

/* A destination, and how to send to it. */
struct tx_destination {
	struct tx_socket *socket;
	const struct address *to; /* NULL: the socket is connected */
	const struct address *from; /* NULL, or of length 0: the kernel chooses the source */
	uint8_t hop_limit; /* IPv4: TTL; 0: the default of the socket */
};

/* Datagrams for one destination, as in struct train: segment bytes each, the last one may be shorter. */
struct tx_payload {
	const uint8_t *data;
	uint32_t size; /* bytes of all datagrams */
	uint32_t segment; /* bytes */
	uint32_t count; /* datagrams */
};

/* At most TX_CHUNK_DATAGRAMS datagrams of one payload, and which of them were dropped. */
struct tx_chunk {
	const uint8_t *data;
	const struct tx_socket *socket; /* NULL: the datagrams were dropped before they could be queued */
	uint64_t dropped; /* bit i: datagram i was dropped */
	enum drop_reason reason; /* reason of the dropped datagrams */
	uint32_t size, segment; /* bytes, as in struct tx_payload */
	uint16_t count;
	uint32_t next; /* index of the next chunk of the flow, or TX_NONE */
};

#define TX_NONE UINT32_MAX

struct tx_batch;

/* Allocates a batch for at most chunks chunks and flows flows (less than 32768). Returns 0 or -ENOMEM. */
int tx_batch_create(struct tx_batch **batch, size_t chunks, size_t flows);

/* Accepts NULL. */
void tx_batch_destroy(struct tx_batch *batch);

/* Queues the datagrams. Returns the first chunk; the other chunks of this payload follow it in memory. */
struct tx_chunk *tx_batch_add(struct tx_batch *batch, const struct tx_destination *destination,
			      struct tx_payload payload);

/* Adds datagrams that cannot be queued, as dropped chunks, so that they are counted like all others. */
struct tx_chunk *tx_batch_add_dropped(struct tx_batch *batch, struct tx_payload payload, enum drop_reason reason);

/* Sends the queued datagrams. Each flow keeps its order, and no socket waits for another one. Returns true if every
 * datagram is sent or dropped. Returns false if some wait for room in a send buffer: call it again after a millisecond
 * or so. When the wait budget is spent, these datagrams are dropped. now_ms is monotonic. */
bool tx_batch_flush(struct tx_batch *batch, uint64_t now_ms);

/* Drops the datagrams that wait for room. */
void tx_batch_drop_pending(struct tx_batch *batch);

/* Empties the batch. All chunks are invalid after it. */
void tx_batch_clear(struct tx_batch *batch);

#endif

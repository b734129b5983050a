/* Sending: copies of trains wait in an egress until the flush, which sends runs to one destination with one GSO send
 * where it can (UDP_SEGMENT, udp(7)), and many of them with one sendmmsg(2). */
#ifndef UDPRELAYD_DATAPATH_TX_BATCH_H
#define UDPRELAYD_DATAPATH_TX_BATCH_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "datapath/wait_budget.h"
#include "net/drop_reason.h"

/* How long one outlet, and all of an egress together, may be waited for in any second. What finds no room after that is
 * dropped at once: a slow receiver costs the others no more. */
#define TX_SOCKET_WAIT_BUDGET_MS 100
#define TX_WAIT_BUDGET_MS 200

/* Datagrams in one copy and in one GSO send: what every kernel since 4.18 takes. */
#define TX_CHUNK_DATAGRAMS 64

/* What a destination refused: it takes GSO only with segments below this size, until then. */
struct gso_fallback {
	uint32_t destination; /* hash of its address */
	uint32_t segment; /* bytes; 0: nothing was refused */
	uint64_t until_ms;
};

/* A socket to send by. The owner sets fd, connected and gso and zeroes the rest. */
struct tx_socket {
	int fd;
	bool connected; /* copies name no destination */
	bool gso; /* a UDP socket */
	bool broken; /* set by a flush: the socket is of no more use and wants to be opened anew */
	uint64_t icmp_errors; /* refusals of earlier datagrams, that the socket told of */

	/* Of the batch under way, the egress's own. */
	struct tx_flow *first, *last;
	struct tx_socket *next;
	bool waits; /* for room */
	enum drop_reason waits_reason;
	struct wait_budget patience;
	struct wait_budget *shared_wait_budget; /* with other outlets, whose owner sets it; NULL: its own counts */
	struct gso_fallback refusal; /* of a connected one */
};

/* Whether an error of a connected socket tells that ICMP refused an earlier datagram, and not, say, a smaller MTU. */
static inline bool tx_error_is_icmp(int error)
{
	return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == ENOPROTOOPT;
}

/* Datagrams of one size (the last may be shorter) for one destination. */
struct tx_chunk {
	const uint8_t *data;
	uint64_t failed; /* bit i: datagram i was dropped */
	enum drop_reason reason; /* of the drops */
	uint32_t size, segment; /* as in struct train */
	uint16_t count; /* at most TX_CHUNK_DATAGRAMS */
	uint32_t next; /* the group's next copy */
};

static inline bool tx_chunk_dropped(const struct tx_chunk *copy, uint32_t i)
{
	return copy->failed >> i & 1;
}

/* How many of its datagrams failed. */
static inline uint32_t tx_chunk_drops(const struct tx_chunk *copy)
{
	return (uint32_t)__builtin_popcountll(copy->failed);
}

struct tx_batch;

/* For batches of at most copies copies, and at most groups pairs of an outlet and a destination. Returns 0 or -ENOMEM.
 */
int tx_batch_create(struct tx_batch **egress, size_t copies, size_t groups);

/* NULL is accepted. */
void tx_batch_destroy(struct tx_batch *egress);

/* Appends count datagrams, in segments as in a train. to is NULL for a connected outlet, from NULL (or of length 0)
 * where the kernel chooses the source. Data and addresses must stay until the batch is over. A long train takes several
 * copies, that follow each other; returns how many, *copies points at the first. */
unsigned tx_batch_add(struct tx_batch *egress, struct tx_socket *outlet, const struct address *to,
		      const struct address *from, const uint8_t *data, uint32_t size, uint32_t segment, uint32_t count,
		      struct tx_chunk **copies);

/* As tx_batch_add(), for datagrams that failed before they could wait for a flush: so they are accounted for like
 * others.
 */
unsigned tx_batch_add_dropped(struct tx_batch *egress, const uint8_t *data, uint32_t size, uint32_t segment,
			      uint32_t count, enum drop_reason reason, struct tx_chunk **copies);

/* Sends what waits. Order is kept for each destination, and no outlet waits for another. Returns true when every
 * datagram was sent or marked as failed; false when some wait for room in a send buffer: flush again, a millisecond
 * later or so, until the patience is spent and they have failed. */
bool tx_batch_flush(struct tx_batch *egress, uint64_t now_ms);

/* Marks what still waits as failed. */
void tx_batch_drop_pending(struct tx_batch *egress);

/* Ends the batch: the copies are gone. */
void tx_batch_clear(struct tx_batch *egress);

#endif

/* Messages for one sendmmsg(2), made of the copies that wait in an egress. */
#ifndef UDPRELAYD_DATAPATH_GSO_H
#define UDPRELAYD_DATAPATH_GSO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "datapath/tx_batch.h"

#define TX_NONE UINT32_MAX

/* Messages in a portion, and the buffers that they gather from. */
#define TX_MESSAGES 64
#define TX_VECTORS 256

#define TX_CONTROL_SIZE (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

#define TX_FALLBACKS 256 /* a power of two */

/* A datagram of a group: the copy it is in, and its place there. Where copy is TX_NONE, the group is at its end. */
struct tx_cursor {
	uint32_t copy, datagram;
};

/* The copies of a batch that share outlet, destination and source, in order, and how far they are sent. */
struct tx_flow {
	struct tx_socket *outlet;
	const struct address *to, *from;
	uint32_t hash; /* of to */
	uint32_t last; /* copy */
	struct tx_cursor at; /* the first datagram that is not sent */
	bool waits; /* for room in its receiver's queue, until the next flush */
	struct tx_flow *next;
};

/* One message: count datagrams of one group, from begin to before end. */
struct tx_message {
	struct tx_flow *group;
	struct tx_cursor begin, end;
	uint32_t count;
};

struct tx_messages {
	const struct tx_chunk *copies; /* of the egress */
	uint64_t now_ms;
	struct mmsghdr messages[TX_MESSAGES];
	struct tx_message spans[TX_MESSAGES];
	struct iovec vectors[TX_VECTORS];
	size_t vector_count;
	_Alignas(struct cmsghdr) uint8_t control[TX_MESSAGES][TX_CONTROL_SIZE];
	struct gso_fallback refusals[TX_FALLBACKS]; /* of the destinations of unconnected outlets */
};

/* Builds the outlet's next messages, from where its groups stand: a run of datagrams as one GSO send, unless its
 * destination refused that. Groups that wait are passed over. Returns how many there are. */
unsigned gso_build_messages(struct tx_messages *portion, const struct tx_socket *outlet);

/* The kernel refused to send this run with GSO: datagrams of this size go there one by one for a while, or datagrams of
 * any size. */
void gso_disable(struct tx_messages *portion, const struct tx_message *span, bool any_size);

#endif

/* Messages for one sendmmsg(2), made of the copies that wait in an egress. */
#ifndef UDPRELAYD_DATAPATH_GSO_H
#define UDPRELAYD_DATAPATH_GSO_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "datapath/tx_batch.h"

#define NO_COPY UINT32_MAX

/* Messages in a portion, and the buffers that they gather from. */
#define PORTION_MESSAGES 64
#define PORTION_VECTORS 256

#define PORTION_CONTROL_SIZE (CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(uint16_t)))

#define PORTION_REFUSALS 256 /* a power of two */

/* A datagram of a group: the copy it is in, and its place there. Where copy is NO_COPY, the group is at its end. */
struct position {
	uint32_t copy, datagram;
};

/* The copies of a batch that share outlet, destination and source, in order, and how far they are sent. */
struct group {
	struct outlet *outlet;
	const struct address *to, *from;
	uint32_t hash; /* of to */
	uint32_t last; /* copy */
	struct position at; /* the first datagram that is not sent */
	bool waits; /* for room in its receiver's queue, until the next flush */
	struct group *next;
};

/* One message: count datagrams of one group, from begin to before end. */
struct span {
	struct group *group;
	struct position begin, end;
	uint32_t count;
};

struct portion {
	const struct copy *copies; /* of the egress */
	uint64_t now_ms;
	struct mmsghdr messages[PORTION_MESSAGES];
	struct span spans[PORTION_MESSAGES];
	struct iovec vectors[PORTION_VECTORS];
	size_t vector_count;
	_Alignas(struct cmsghdr) uint8_t control[PORTION_MESSAGES][PORTION_CONTROL_SIZE];
	struct gso_refusal refusals[PORTION_REFUSALS]; /* of the destinations of unconnected outlets */
};

/* Builds the outlet's next messages, from where its groups stand: a run of datagrams as one GSO send, unless its
 * destination refused that. Groups that wait are passed over. Returns how many there are. */
unsigned portion_build(struct portion *portion, const struct outlet *outlet);

/* The kernel refused to send this run with GSO: datagrams of this size go there one by one for a while, or datagrams of
 * any size. */
void portion_refuse(struct portion *portion, const struct span *span, bool any_size);

#endif

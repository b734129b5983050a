/* A train: datagrams of one size from one source, as the kernel hands them over in one buffer. */
#ifndef UDPRELAYD_NET_TRAIN_H
#define UDPRELAYD_NET_TRAIN_H

#include <stdint.h>

#include "base/address.h"
#include "net/drop_reason.h"

/* Datagrams in a train; Linux makes no longer ones (UDP_MAX_SEGMENTS, include/linux/udp.h). */
#define TRAIN_MAX 128

/* Where a datagram reached us, told by IP_PKTINFO or IPV6_PKTINFO. */
struct pktinfo {
	struct address destination; /* the address that the sender wrote to */
	struct address reply_source; /* the address to answer from; length 0: leave it to the kernel */
};

/* One buffer, one source, one segment size: one or more datagrams of that size, of which the last may be shorter. A
 * single datagram is a train of one. */
struct train {
	uint8_t *data; /* in the batch, until its next receive */
	uint32_t size; /* bytes in all */
	uint32_t segment; /* bytes of every datagram but the last */
	uint16_t count; /* datagrams */
	uint16_t skip; /* the first of them, that are over max_datagram (a shorter last one may pass) */
	enum drop_reason drop; /* DROP_NONE while it may go on */
	const struct pktinfo *local; /* NULL: what the socket is bound to */
	struct address source;
};

/* Datagram i of the train: its bytes. */
static inline uint32_t train_datagram_size(const struct train *train, uint32_t i)
{
	return i + 1 < train->count ? train->segment : train->size - i * train->segment;
}

/* Larger datagrams than max are not to go on: all of a train but, perhaps, its last. */
static inline void train_limit_size(struct train *train, uint32_t max)
{
	train->skip = 0;
	if (train->segment <= max)
		return;
	if (train_datagram_size(train, train->count - 1u) <= max)
		train->skip = (uint16_t)(train->count - 1);
	else
		train->drop = DROP_TOO_LARGE;
}

#endif

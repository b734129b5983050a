/* A train: one or more datagrams of one source and one size, which the kernel delivers in one buffer (UDP_GRO). */
#ifndef UDPRELAYD_NET_TRAIN_H
#define UDPRELAYD_NET_TRAIN_H

#include <stdint.h>

#include "base/address.h"
#include "net/drop_reason.h"

/* Maximum number of datagrams in a train (UDP_MAX_SEGMENTS in include/linux/udp.h of the kernel). */
#define TRAIN_MAX 128

/* The local addresses of a received datagram, from IP_PKTINFO or IPV6_PKTINFO. */
struct pktinfo {
	struct address destination; /* destination address of the datagram */
	struct address reply_source; /* source address for a reply; length 0: the kernel chooses it */
};

/* One received buffer. All datagrams have the size `segment`, except that the last one may be shorter. A single
 * datagram is a train of one. */
struct train {
	uint8_t *data; /* borrowed from the receive batch; valid until its next receive */
	uint32_t size; /* total bytes */
	uint32_t segment; /* bytes of each datagram but the last */
	uint16_t count; /* datagrams */
	uint16_t skip; /* number of leading datagrams that exceed max_datagram; only a shorter last one remains */
	enum drop_reason drop; /* DROP_NONE: not dropped */
	const struct pktinfo *local; /* NULL: the bound address of the socket */
	struct address source;
};

/* Returns the size of datagram i in bytes. */
static inline uint32_t train_datagram_size(const struct train *train, uint32_t i)
{
	return i + 1 < train->count ? train->segment : train->size - i * train->segment;
}

/* Rejects datagrams larger than max bytes: sets skip if the last datagram is small enough, otherwise drop. */
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

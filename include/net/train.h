/* A train: one or more datagrams of equal size from one source, in one buffer. The kernel delivers trains if UDP_GRO is
 * set (udp(7)). Every datagram is part of a train; a single datagram is a train of one. */
#ifndef UDPRELAYD_NET_TRAIN_H
#define UDPRELAYD_NET_TRAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "net/drop_reason.h"
#include "net/pktinfo.h"

/* Datagrams in a train. This is the maximum of Linux (UDP_MAX_SEGMENTS, include/linux/udp.h). */
#define TRAIN_MAX 128

struct train {
	uint8_t *data; /* in the receive batch; valid until its next receive */
	uint32_t size; /* bytes of all datagrams */
	uint32_t segment; /* bytes of each datagram; the last one may be shorter */
	uint16_t count; /* datagrams */
	uint16_t skip, end; /* the datagrams [skip, end) are delivered */
	enum drop_reason skip_reason, end_reason; /* reasons of the datagrams before skip, and from end on */
	enum drop_reason drop; /* drop reason of the whole train, or DROP_NONE */
	bool ignored; /* another worker has a copy: do not count it. drop is set, too. */
	uint8_t hop_limit; /* received hop limit (IPv4: TTL); 0: not known */
	const struct pktinfo *local; /* NULL: the address that the socket is bound to */
	struct address source;
};

/* The bytes of datagram i. */
static inline uint32_t train_datagram_size(const struct train *train, uint32_t i)
{
	return i + 1 < train->count ? train->segment : train->size - i * train->segment;
}

/* Excludes datagrams of more than max bytes: the whole train, or all but a shorter last datagram. */
static inline void train_limit_size(struct train *train, uint32_t max)
{
	if (train->segment <= max)
		return;
	if (train_datagram_size(train, train->count - 1u) > max) {
		train->drop = DROP_TOO_LARGE;
		return;
	}
	train->skip = (uint16_t)(train->count - 1);
	train->skip_reason = DROP_TOO_LARGE;
}

#endif

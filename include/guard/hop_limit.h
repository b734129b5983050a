/* The hop limit (IPv4: TTL) of datagrams that are sent on: by a forward to its peers, and by a relay to the peer of a
 * session. It is always smaller than the hop limit of the received datagram. Therefore a datagram that circulates
 * between hosts is sent on only a few times, for any payload and any first sender. The hop limit decreases in large
 * steps. So the datagrams of most clients leave with the same value, and a circulating datagram ends sooner. If each
 * datagram goes to several peers, there are fewer steps, because every copy may come back. One datagram causes at most
 * 256 copies. */
#ifndef UDPRELAYD_GUARD_HOP_LIMIT_H
#define UDPRELAYD_GUARD_HOP_LIMIT_H

#include <stddef.h>
#include <stdint.h>

/* The largest hop limit that is sent. */
#define HOP_LIMIT_MAX 60

/* Returns the hop limit to send with, or 0 if the datagram must be dropped. received: the hop limit of the received
 * datagram; 0: it is unknown, or has no meaning because the datagram came by multicast. copies: the number of peers
 * that get a copy, at least 1. */
uint8_t hop_limit_next(uint8_t received, size_t copies);

/* Returns the number of different results, 0 included, for this number of copies. */
size_t hop_limit_values(size_t copies);

#endif

/* The hop limit (IPv4: TTL) of datagrams that are sent on: by a forward to its peers, and by a relay to the peer of a
 * session. It stands for a budget: the number of datagrams that this one may still cause, in all forwards and relays
 * together. A fresh datagram may cause HOP_LIMIT_BUDGET datagrams. Each copy costs one, and the rest of the budget is
 * divided between the copies. So a circulating datagram ends, for any payload, any first sender and any combination of
 * numbers of copies.
 *
 * There are few budgets, and a hop limit of more than HOP_LIMIT_MAX is always fresh. So the datagrams of most clients
 * leave with the same value. */
#ifndef UDPRELAYD_GUARD_HOP_LIMIT_H
#define UDPRELAYD_GUARD_HOP_LIMIT_H

#include <stddef.h>
#include <stdint.h>

/* The largest hop limit that is sent. */
#define HOP_LIMIT_MAX 60

/* The maximum number of datagrams that one fresh datagram causes. A forward with more peers than this sends one copy to
 * each of them, and no forward sends these on. */
#define HOP_LIMIT_BUDGET 256

/* Returns the hop limit to send with, or 0 if the datagram must be dropped. received: the hop limit of the received
 * datagram; 0: it is unknown, or has no meaning because the datagram came by multicast or through a unix: socket. Such
 * a datagram may be an old one, so its copies get a small budget. copies: the number of peers that get a copy, at
 * least 1. */
uint8_t hop_limit_next(uint8_t received, size_t copies);

/* Returns an upper limit of the number of different results, 0 included, for this number of copies. */
size_t hop_limit_values(size_t copies);

#endif

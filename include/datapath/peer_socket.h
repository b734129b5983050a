/* A worker's way to a peer: one connected socket, opened when it is first needed and again when it broke. */
#ifndef UDPRELAYD_DATAPATH_PEER_SOCKET_H
#define UDPRELAYD_DATAPATH_PEER_SOCKET_H

#include <stdint.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "datapath/counters.h"
#include "datapath/tx_batch.h"
#include "net/own_addresses.h"

struct link {
	struct outlet outlet;
	const struct peer_config *config;
	const struct own_addresses *own;
	struct log *log;
	int send_buffer;
	struct address address; /* length 0: not known yet */
	struct peer_counters counters;

	enum drop_reason down; /* why it could not be opened */
	uint64_t retry_ms; /* and when to try again */
	unsigned own_version; /* of own, that was looked at last */
	struct log_limit down_limit, icmp_limit;
};

/* config, own and log must outlive the link. NULL for own: nothing is. */
void link_init(struct link *link, const struct peer_config *config, int send_buffer, const struct own_addresses *own,
	       struct log *log);
void link_finish(struct link *link);

/* Goes on where another link to the same peer ends: with its counters and, where the address is the same, its socket.
 * Nobody uses that one any more; it still wants its link_finish(). */
void link_adopt(struct link *link, struct link *before);

/* Where the peer is from now on; NULL where nobody knows. A socket to another address is closed. */
void link_set_address(struct link *link, const struct address *address);

/* Why nothing can be sent to the peer, whatever the network says: DROP_UNRESOLVED, DROP_LOOP, or DROP_NONE. */
enum drop_reason link_check(const struct link *link);

/* Sees to it that the outlet can be used. Returns DROP_NONE, or why datagrams to this peer are dropped now. Between two
 * attempts to open a socket passes a second. */
enum drop_reason link_ready(struct link *link, uint64_t now_ms);

/* Counts what became of a copy. */
void link_account(struct link *link, const struct copy *copy);

/* Counts and tells that ICMP refused earlier datagrams to an address of the peer. */
void link_refused(struct link *link, const struct address *address, uint64_t errors);

/* After a flush: counts and tells what ICMP said of the peer. */
void link_settle(struct link *link);

/* At the end: the same for what the socket knows and no flush has met. */
void link_settle_last(struct link *link);

#endif

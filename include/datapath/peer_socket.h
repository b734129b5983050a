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

struct peer_socket {
	struct tx_socket outlet;
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
void peer_socket_init(struct peer_socket *link, const struct peer_config *config, int send_buffer,
		      const struct own_addresses *own, struct log *log);
void peer_socket_finish(struct peer_socket *link);

/* Goes on where another link to the same peer ends: with its counters and, where the address is the same, its socket.
 * Nobody uses that one any more; it still wants its peer_socket_finish(). */
void peer_socket_adopt(struct peer_socket *link, struct peer_socket *before);

/* Where the peer is from now on; NULL where nobody knows. A socket to another address is closed. */
void peer_socket_set_address(struct peer_socket *link, const struct address *address);

/* Why nothing can be sent to the peer, whatever the network says: DROP_UNRESOLVED, DROP_LOOP, or DROP_NONE. */
enum drop_reason peer_socket_check(const struct peer_socket *link);

/* Sees to it that the outlet can be used. Returns DROP_NONE, or why datagrams to this peer are dropped now. Between two
 * attempts to open a socket passes a second. */
enum drop_reason peer_socket_ensure_open(struct peer_socket *link, uint64_t now_ms);

/* Counts what became of a copy. */
void peer_socket_count_sent(struct peer_socket *link, const struct tx_chunk *copy);

/* Counts and tells that ICMP refused earlier datagrams to an address of the peer. */
void peer_socket_report_icmp(struct peer_socket *link, const struct address *address, uint64_t errors);

/* After a flush: counts and tells what ICMP said of the peer. */
void peer_socket_collect_icmp(struct peer_socket *link);

/* At the end: the same for what the socket knows and no flush has met. */
void peer_socket_collect_final_error(struct peer_socket *link);

#endif

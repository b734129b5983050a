/* The connected socket of one worker to one peer of a forward. The worker opens it when it is needed for the first
 * time, and again when it breaks or the peer's address changes. It never receives: the kernel drops what the peer sends
 * back.
 *
 * Failures: the peer's name has no address yet, the address becomes one of our own listeners, or the socket cannot be
 * opened. peer_socket_ensure_open() reports each as a drop reason. */
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
	struct tx_socket tx;
	const struct peer_config *config;
	const struct own_addresses *own;
	struct log *log;
	int send_buffer; /* bytes */
	struct address address; /* length 0: not known yet */
	bool no_address; /* the address is not known because no host has one of the name's addresses */
	struct peer_counters counters;

	enum drop_reason down; /* result of the last attempt to open the socket */
	uint64_t retry_ms; /* monotonic; no new attempt before */
	unsigned own_version; /* version of own at the last check of the address */
	struct log_limit own_log_limit;
	struct log_counter down_log, refused_log; /* attempts to open the socket that failed; ICMP errors */
};

/* config, own and log must outlive the socket. own is NULL if no address is our own. */
void peer_socket_init(struct peer_socket *peer, const struct peer_config *config, int send_buffer,
		      const struct own_addresses *own, struct log *log);
void peer_socket_finish(struct peer_socket *peer);

/* Takes the counters of another socket to the same peer, and its descriptor if both have the same address. No thread
 * may use *before during or after the call. The caller still calls peer_socket_finish() for it. */
void peer_socket_adopt(struct peer_socket *peer, struct peer_socket *before);

/* Sets the address of the peer; NULL: it is not known. A socket to another address is opened again when it is needed.
 */
void peer_socket_set_address(struct peer_socket *peer, const struct address *address);

/* Sets the reason to drop datagrams while the address is not known: DROP_NO_ADDRESS, not DROP_UNRESOLVED. */
void peer_socket_set_no_address(struct peer_socket *peer);

/* Returns DROP_UNRESOLVED, DROP_NO_ADDRESS, DROP_LOOP (the address is one of our own listeners) or DROP_NONE. Opens
 * nothing. */
enum drop_reason peer_socket_check(const struct peer_socket *peer);

/* Opens the socket if necessary, at most once per second. Returns DROP_NONE, or the reason to drop datagrams to this
 * peer. */
enum drop_reason peer_socket_ensure_open(struct peer_socket *peer, uint64_t now_ms);

/* Counts ICMP errors for earlier datagrams to an address of the peer, and logs them at a bounded rate. */
void peer_socket_report_icmp(struct peer_socket *peer, const struct address *address, uint64_t errors);

/* Reports the ICMP errors that the last flush met. */
void peer_socket_collect_icmp(struct peer_socket *peer);

/* Reports an ICMP error that the socket holds and no flush has met. Call it before the socket is closed. */
void peer_socket_collect_final_error(struct peer_socket *peer);

#endif

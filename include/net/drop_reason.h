/* The reasons for a dropped datagram, their names, and the reason for an errno of the kernel. */
#ifndef UDPRELAYD_NET_DROP_REASON_H
#define UDPRELAYD_NET_DROP_REASON_H

/* Why a datagram, or the copy of it for one peer, was not delivered. */
enum drop_reason {
	DROP_NONE, /* not dropped */
	DROP_TOO_LARGE, /* larger than max_datagram, or larger than a UDP payload after conversion */
	DROP_MALFORMED, /* control messages of recvmsg(2) truncated or inconsistent */
	DROP_SOURCE_DENIED, /* source in `deny`, or not in `allow` */
	DROP_LOOP, /* source or peer is one of our own addresses, or a relay's client is one of its peers */
	DROP_SOURCE_ADDRESS, /* source cannot receive a reply: multicast, broadcast, unspecified or 0.0.0.0/8 */
	DROP_SOURCE_PORT, /* source port is 0 or in `refuse_source_ports` */
	DROP_NO_RETURN, /* AF_UNIX sender without a name, which cannot receive a reply */
	DROP_SOURCE_LIMIT, /* source exceeds `source_limit` */
	DROP_HOP_LIMIT, /* its hop limit (IPv4: TTL) is used up; loop_guard */
	DROP_RING, /* ring_guard: datagram circulates in a ring of hosts */
	DROP_UNRESOLVED, /* name of the peer not resolved yet */
	DROP_NO_ADDRESS, /* name of the peer has broadcast, multicast or 0.0.0.0/8 addresses only */
	DROP_REFUSED, /* no socket at the destination; the kernel reported it before the send */
	DROP_UNREACHABLE, /* no route, or the local address is gone */
	DROP_DENIED, /* blocked by a firewall or by permissions */
	DROP_MESSAGE_SIZE, /* larger than the kernel or the path accepts */
	DROP_CONGESTED, /* send buffer stayed full */
	DROP_NO_MEMORY, /* kernel out of memory */
	DROP_UNCONVERTIBLE, /* errors = strict: text has no form in the peer's encoding */
	DROP_SESSION_LIMIT, /* max_sessions reached, and all sessions converse: no session for a new client */
	DROP_SOURCE_SESSIONS, /* source_sessions reached, and all sessions of this source converse */
	DROP_NO_DESCRIPTOR, /* file descriptor limit reached */
	DROP_NO_PORT, /* no free local port for another session */
	DROP_SESSION_ENDED, /* reply still unread when its session ended */
	DROP_UNEXPECTED, /* reply in excess of `responses` */
	DROP_SEND_ERROR, /* any other send error */
	DROP_REASONS, /* number of reasons */
};

/* Returns the name of the reason, such as "too_large": the label of the metrics and of the datagram log. Static. */
const char *drop_reason_name(enum drop_reason reason);

/* Returns the reason for a failed send(2) or sendmmsg(2). error is its positive errno. */
enum drop_reason drop_reason_from_send(int error);

/* Returns the reason for a socket that could not be opened, bound, connected or added to epoll. error is the positive
 * errno. */
enum drop_reason drop_reason_from_open(int error);

#endif

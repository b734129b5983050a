/* Drop reasons, and what an errno of the kernel means as one. */
#ifndef UDPRELAYD_NET_DROP_REASON_H
#define UDPRELAYD_NET_DROP_REASON_H

/* Why a datagram, or a peer's copy of one, was not delivered. */
enum drop_reason {
	DROP_NONE,
	DROP_TOO_LARGE, /* over max_datagram, or over what UDP can carry once converted */
	DROP_MALFORMED, /* the kernel's control messages make no sense */
	DROP_SOURCE_DENIED, /* the source is in deny, or not in allow */
	DROP_LOOP, /* the source is one of our own addresses, or a relay's client is one of its peers */
	DROP_SOURCE_ADDRESS, /* a source that nobody can answer: multicast, broadcast, unspecified, 0/8 */
	DROP_SOURCE_PORT, /* port 0, or one of refuse_source_ports */
	DROP_NO_RETURN, /* an AF_UNIX sender without a name */
	DROP_SOURCE_LIMIT, /* source_limit: the source sends more than its share */
	DROP_RING, /* ring_guard: it goes round in a ring of hosts */
	DROP_UNRESOLVED, /* the peer's name has no address yet */
	DROP_REFUSED, /* nobody listens there, and the kernel knew before it sent */
	DROP_UNREACHABLE, /* no route, or no such address on this host any more */
	DROP_DENIED, /* a firewall or a permission */
	DROP_MESSAGE_SIZE, /* the kernel or the path takes none so large */
	DROP_CONGESTED, /* the send buffer stayed full */
	DROP_NO_MEMORY, /* the kernel had none */
	DROP_UNCONVERTIBLE, /* errors = strict, and the peer's encoding cannot say it */
	DROP_SESSION_LIMIT, /* max_sessions: no room for a new client */
	DROP_NO_DESCRIPTOR, /* the process may open no more sockets */
	DROP_NO_PORT, /* the host has no free port for another session */
	DROP_SESSION_ENDED, /* an answer that was not read when its session ended */
	DROP_UNEXPECTED, /* an answer beyond those that responses admits */
	DROP_SEND_ERROR, /* any other answer of the kernel */
	DROP_REASONS,
};

/* "too_large" and so on; the label of the metrics and of the datagram log. */
const char *drop_reason_name(enum drop_reason reason);

/* The reason for a datagram whose send failed with this positive errno (send(2), sendmmsg(2)). */
enum drop_reason drop_reason_from_send(int error);

/* The reason for a datagram whose socket could not be opened, bound, connected or watched; error is a positive errno.
 */
enum drop_reason drop_reason_from_open(int error);

#endif

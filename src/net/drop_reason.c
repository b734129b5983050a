#include "net/drop_reason.h"

#include <errno.h>

static const char *const drop_reason_names[DROP_REASONS] = {
	[DROP_NONE] = "none",
	[DROP_TOO_LARGE] = "too_large",
	[DROP_MALFORMED] = "malformed",
	[DROP_SOURCE_DENIED] = "source_denied",
	[DROP_LOOP] = "loop",
	[DROP_SOURCE_ADDRESS] = "source_address",
	[DROP_SOURCE_PORT] = "source_port",
	[DROP_NO_RETURN] = "no_return",
	[DROP_SOURCE_LIMIT] = "source_limit",
	[DROP_HOP_LIMIT] = "hop_limit",
	[DROP_RING] = "ring",
	[DROP_UNRESOLVED] = "unresolved",
	[DROP_NO_ADDRESS] = "no_address",
	[DROP_REFUSED] = "refused",
	[DROP_UNREACHABLE] = "unreachable",
	[DROP_DENIED] = "denied",
	[DROP_MESSAGE_SIZE] = "message_size",
	[DROP_CONGESTED] = "congested",
	[DROP_NO_MEMORY] = "no_memory",
	[DROP_UNCONVERTIBLE] = "unconvertible",
	[DROP_SESSION_LIMIT] = "session_limit",
	[DROP_SOURCE_SESSIONS] = "source_sessions",
	[DROP_NO_DESCRIPTOR] = "no_descriptor",
	[DROP_NO_PORT] = "no_port",
	[DROP_SESSION_ENDED] = "session_ended",
	[DROP_UNEXPECTED] = "unexpected",
	[DROP_SEND_ERROR] = "send_error",
};

const char *drop_reason_name(enum drop_reason reason)
{
	return drop_reason_names[reason];
}

enum drop_reason drop_reason_from_send(int error)
{
	switch (error) {
	case EAGAIN:
		return DROP_CONGESTED;
	case ENOBUFS:
	case ENOMEM:
		return DROP_NO_MEMORY;
	case EMSGSIZE:
		return DROP_MESSAGE_SIZE;
	case ECONNREFUSED:
	case ENOTCONN: /* the AF_UNIX peer was closed; returned from the second send on */
	case ENOENT:
		return DROP_REFUSED;
	case EPERM:
	case EACCES:
		return DROP_DENIED;
	case EADDRNOTAVAIL:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENODEV:
		return DROP_UNREACHABLE;
	default:
		return DROP_SEND_ERROR;
	}
}

enum drop_reason drop_reason_from_open(int error)
{
	switch (error) {
	case ENOENT:
	case ECONNREFUSED:
		return DROP_REFUSED;
	case EPERM:
	case EACCES:
		return DROP_DENIED;
	case EMFILE:
	case ENFILE:
	case ENOSPC: /* epoll_ctl(2): limit of watched descriptors reached */
		return DROP_NO_DESCRIPTOR;
	case EAGAIN: /* connect(2): no free local port */
	case EADDRINUSE: /* the only free port is the peer's own: see socket_open_duplex() */
		return DROP_NO_PORT;
	case ENOMEM:
	case ENOBUFS:
		return DROP_NO_MEMORY;
	default:
		return DROP_UNREACHABLE;
	}
}

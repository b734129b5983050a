/* Sockets for tests. */
#ifndef UDPRELAYD_TESTS_LOOPBACK_H
#define UDPRELAYD_TESTS_LOOPBACK_H

#include <netinet/in.h>
#include <netinet/udp.h>
#include <sys/socket.h>

#include "net/socket.h"

/* Bound to a port of 127.0.0.1. Trains that arrive come apart again (no UDP_GRO): they are read datagram by datagram.
 */
static inline int bound(struct address *local)
{
	static const struct listener_config plain = {0};
	struct socket_error error;
	int fd, off = 0;

	address_from_ip(local, "127.0.0.1", 0);
	fd = socket_bind(&plain, local, true, false, &error);
	assert_true(fd >= 0);
	setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof(off));
	assert_int_equal(getsockname(fd, &local->any, &local->length), 0);
	return fd;
}

#endif

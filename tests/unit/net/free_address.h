/* A free port for tests that need a fixed one. The file includes cmocka.h before this. */
#ifndef UDPRELAYD_TESTS_FREE_ADDRESS_H
#define UDPRELAYD_TESTS_FREE_ADDRESS_H

#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"

/* Returns a free port of a loopback address that no other program uses. */
static inline struct address free_address(void)
{
	static const struct listener_config plain = {0};
	struct address local;
	struct socket_error error;
	int fd;

	address_from_ip(&local, "127.9.8.7", 0);
	fd = socket_bind(&plain, &local, true, false, &error);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, &local.any, &local.length), 0);
	close(fd);
	return local;
}

#endif

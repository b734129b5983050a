/* System calls for sockets, on loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "tests/unit/support/loopback.h"

static const struct listener_config plain = {.receive_buffer = 65536, .send_buffer = 65536};

static int bind_to(const char *text, bool owner, bool shared, struct address *local, struct socket_error *error)
{
	int fd;

	assert_int_equal(address_parse(local, text), 0);
	fd = socket_bind(&plain, local, owner, shared, error);
	if (fd >= 0)
		assert_int_equal(getsockname(fd, &local->any, &local->length), 0);
	return fd;
}

static void test_bind_reports_a_busy_port(void **state)
{
	(void)state;
	struct address local;
	struct socket_error error;
	int first = bind_to("127.0.0.1:0", true, true, &local, &error);

	assert_true(first >= 0);
	assert_true(address_port(&local) > 0);
	assert_int_equal(socket_bind(&plain, &local, true, true, &error), -1);
	assert_int_equal(error.error, EADDRINUSE);
	assert_string_equal(error.call, "bind");
	close(first);
}

static void test_workers_share_a_port(void **state)
{
	(void)state;
	struct address local;
	struct socket_error error;
	int first = bind_to("127.0.0.1:0", true, true, &local, &error);
	int second = socket_bind(&plain, &local, false, true, &error);

	assert_true(first >= 0);
	assert_true(second >= 0);
	close(first);
	close(second);
}

static void test_a_socket_does_not_block(void **state)
{
	(void)state;
	struct address local;
	struct socket_error error;
	char byte;
	int fd = bind_to("[::1]:0", true, false, &local, &error);

	assert_true(fd >= 0);
	assert_int_equal(recv(fd, &byte, 1, 0), -1);
	assert_int_equal(errno, EAGAIN);
	close(fd);
}

static void test_bind_replaces_a_stale_socket_file_only(void **state)
{
	(void)state;
	char directory[] = "/tmp/test_socketXXXXXX", text[64];
	struct address local;
	struct socket_error error;

	assert_non_null(mkdtemp(directory));
	snprintf(text, sizeof(text), "unix:%s/s", directory);
	int first = bind_to(text, true, false, &local, &error);
	assert_true(first >= 0);
	assert_int_equal(bind_to(text, true, false, &local, &error), -1);
	assert_int_equal(error.error, EADDRINUSE);
	close(first);
	int second = bind_to(text, true, false, &local, &error);
	assert_true(second >= 0);
	close(second);
	unlink(text + 5);

	/* A file of another kind is not replaced. */
	FILE *file = fopen(text + 5, "w");
	assert_non_null(file);
	fclose(file);
	assert_int_equal(bind_to(text, true, false, &local, &error), -1);
	assert_int_equal(access(text + 5, F_OK), 0);
	unlink(text + 5);
	rmdir(directory);
}

static void test_a_send_only_socket_receives_nothing(void **state)
{
	(void)state;
	struct address local, from;
	struct socket_error error;
	int peer = bind_to("127.0.0.1:0", true, false, &local, &error);
	int link = socket_open_send_only(&local, 65536);
	struct pollfd ready = {.fd = peer, .events = POLLIN};
	char data[8];

	assert_true(peer >= 0);
	assert_true(link >= 0);
	assert_int_equal(send(link, "out", 3, 0), 3);
	assert_int_equal(poll(&ready, 1, 5000), 1);
	from.length = sizeof(from.local);
	assert_int_equal(recvfrom(peer, data, sizeof(data), 0, &from.any, &from.length), 3);
	assert_int_equal(sendto(peer, "back", 4, 0, &from.any, from.length), 4);
	assert_int_equal(recv(link, data, sizeof(data), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	close(link);
	close(peer);
}

static void test_open_reports_a_missing_path(void **state)
{
	(void)state;
	struct address peer;

	assert_int_equal(address_parse(&peer, "unix:/nonexistent/socket"), 0);
	assert_int_equal(socket_open_send_only(&peer, 65536), -ENOENT);
}

static void test_buffer_sizes_are_in_the_unit_of_the_request(void **state)
{
	(void)state;
	struct address local;
	struct socket_error error;
	int fd = bind_to("127.0.0.1:0", true, false, &local, &error);

	assert_true(fd >= 0);
	assert_int_equal(socket_set_buffer(fd, SO_RCVBUF, 65536), 65536);
	assert_int_equal(socket_set_buffer(fd, SO_SNDBUF, 65536), 65536);
	assert_int_equal(socket_kernel_drops(fd), 0);
	close(fd);
}

static void test_kernel_drops_are_counted(void **state)
{
	(void)state;
	struct address local;
	struct socket_error error;
	int fd = bind_to("127.0.0.1:0", true, false, &local, &error);
	int sender = socket_open_send_only(&local, 65536);

	assert_true(fd >= 0);
	socket_set_buffer(fd, SO_RCVBUF, 4096);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(send(sender, "datagram", 8, 0), 8);
	assert_true(socket_kernel_drops(fd) > 0);
	assert_true(socket_kernel_drops(fd) < 1000);
	close(fd);
	close(sender);
}

static void test_join_needs_an_existing_interface(void **state)
{
	(void)state;
	struct multicast_config group = {.interface = "nosuchif0"};
	struct address local;
	struct socket_error error;
	int fd = bind_to("0.0.0.0:0", true, false, &local, &error);

	assert_true(fd >= 0);
	address_from_ip(&group.group, "239.1.2.3", 0);
	assert_int_equal(socket_join(fd, &group), -ENODEV);
	memcpy(group.interface, "lo", 3);
	assert_int_equal(socket_join(fd, &group), 0);
	close(fd);
}

static void test_drain_counts_datagrams_and_bytes(void **state)
{
	(void)state;
	struct address at, own = {.length = sizeof(own.local)};
	uint64_t datagrams, bytes;
	int peer = bound(&at), fd = socket_open_duplex(&at, 65536, 65536);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, &own.any, &own.length), 0);
	assert_int_equal(sendto(peer, "first", 5, 0, &own.any, own.length), 5);
	assert_int_equal(sendto(peer, "", 0, 0, &own.any, own.length), 0);
	socket_drain(fd, true, &datagrams, &bytes);
	assert_int_equal(datagrams, 2);
	assert_int_equal(bytes, 5);
	sendto(peer, "late", 4, 0, &own.any, own.length);
	assert_false(socket_has_input(fd));
	close(fd);
	close(peer);
}

static void test_drain_counts_many_datagrams(void **state)
{
	enum { DATAGRAMS = 6000 };
	(void)state;
	struct address at, own = {.length = sizeof(own.local)};
	uint64_t datagrams, bytes;
	int peer = bound(&at), fd = socket_open_duplex(&at, 16 << 20, 65536);

	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, &own.any, &own.length), 0);
	for (int i = 0; i < DATAGRAMS; i++)
		assert_int_equal(sendto(peer, "abc", 3, 0, &own.any, own.length), 3);
	socket_drain(fd, true, &datagrams, &bytes);
	assert_int_equal(datagrams + socket_kernel_drops(fd), DATAGRAMS);
	close(fd);
	close(peer);
}

static void test_drain_counts_datagrams_of_a_unix_socket(void **state)
{
	(void)state;
	struct address at, own = {.length = sizeof(own.local)};
	struct sockaddr_un none = {.sun_family = AF_UNIX};
	uint64_t datagrams, bytes;
	int peer = socket(AF_UNIX, SOCK_DGRAM, 0), fd;

	at.length = sizeof(at.local);
	assert_int_equal(bind(peer, (const struct sockaddr *)&none, sizeof(none.sun_family)), 0);
	assert_int_equal(getsockname(peer, &at.any, &at.length), 0);
	fd = socket_open_duplex(&at, 65536, 65536);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, &own.any, &own.length), 0);
	assert_int_equal(sendto(peer, "first", 5, 0, &own.any, own.length), 5);
	socket_drain(fd, false, &datagrams, &bytes);
	assert_int_equal(datagrams, 1);
	assert_int_equal(bytes, 5);
	assert_int_equal(sendto(peer, "late", 4, MSG_NOSIGNAL, &own.any, own.length), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
	close(peer);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bind_reports_a_busy_port),
		cmocka_unit_test(test_workers_share_a_port),
		cmocka_unit_test(test_a_socket_does_not_block),
		cmocka_unit_test(test_bind_replaces_a_stale_socket_file_only),
		cmocka_unit_test(test_a_send_only_socket_receives_nothing),
		cmocka_unit_test(test_open_reports_a_missing_path),
		cmocka_unit_test(test_buffer_sizes_are_in_the_unit_of_the_request),
		cmocka_unit_test(test_kernel_drops_are_counted),
		cmocka_unit_test(test_drain_counts_datagrams_and_bytes),
		cmocka_unit_test(test_drain_counts_many_datagrams),
		cmocka_unit_test(test_drain_counts_datagrams_of_a_unix_socket),
		cmocka_unit_test(test_join_needs_an_existing_interface),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include <sys/stat.h>
#include <unistd.h>

#include "client/client_socket.h"
#include "tests/unit/support/loopback.h"

#define DEADLINE_MS 20000

struct fixture {
	struct address server;
	int fd;
	struct client_socket client;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->fd = bound(&f->server);
	assert_int_equal(client_socket_open(&f->client, &f->server, NULL), 0);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	client_socket_close(&f->client);
	free(f);
	return 0;
}

static void wait_for_event(const struct fixture *f, short events)
{
	struct pollfd event = {.fd = f->client.fd, .events = events};

	assert_int_equal(poll(&event, 1, DEADLINE_MS), 1);
}

static void test_send_and_receive(void **state)
{
	struct fixture *f = *state;
	struct address source;
	char data[8];

	assert_true(address_port(&f->client.local));
	assert_int_equal(client_socket_receive(&f->client, data, sizeof(data), &source), -EAGAIN);
	assert_int_equal(client_socket_send(&f->client, &f->server, "hello", 5), 0);
	source.length = sizeof(source.v4);
	assert_int_equal(recvfrom(f->fd, data, sizeof(data), 0, &source.any, &source.length), 5);
	assert_int_equal(address_port(&source), address_port(&f->client.local));
	assert_int_equal(sendto(f->fd, "what a long answer", 18, 0, &source.any, source.length), 18);
	wait_for_event(f, POLLIN);
	assert_int_equal(client_socket_receive(&f->client, data, sizeof(data), &source), 18);
	assert_memory_equal(data, "what a l", 8);
	assert_true(address_equal(&source, &f->server));
}

/* The error belongs to the refused datagram, and does not affect the next one, which has a receiver. */
static void test_icmp_error_names_its_datagram(void **state)
{
	struct fixture *f = *state;
	struct address closed;
	struct send_error error;
	char text[SEND_ERROR_TEXT_MAX], expected[SEND_ERROR_TEXT_MAX], to[ADDRESS_TEXT_MAX], data[8];

	close(bound(&closed));
	assert_int_equal(client_socket_send(&f->client, &closed, "one", 3), 0);
	wait_for_event(f, POLLPRI);
	assert_int_equal(client_socket_send(&f->client, &f->server, "two", 3), 0);
	assert_int_equal(recv(f->fd, data, sizeof(data), 0), 3);
	assert_true(client_socket_next_error(&f->client, &error));
	assert_int_equal(error.code, ECONNREFUSED);
	assert_true(address_equal(&error.destination, &closed));
	assert_int_equal(error.head_size, 3);
	assert_memory_equal(error.head, "one", 3);
	snprintf(expected, sizeof(expected), "no program listens at %s (ICMP from 127.0.0.1)",
		 address_format(&closed, to));
	assert_string_equal(send_error_format(&error, text), expected);
	assert_false(client_socket_next_error(&f->client, &error));
}

/* The send call itself returns this error, so it is not reported a second time. */
static void test_oversized_datagram_is_rejected(void **state)
{
	struct fixture *f = *state;
	struct send_error error;
	static const char data[65508];

	assert_int_equal(client_socket_send(&f->client, &f->server, data, sizeof(data)), -EMSGSIZE);
	assert_false(client_socket_next_error(&f->client, &error));
}

static void test_families_must_match(void **state)
{
	struct fixture *f = *state;
	struct client_socket client;
	struct address from;

	assert_int_equal(address_from_ip(&from, "::1", 0), 0);
	assert_int_equal(client_socket_open(&client, &f->server, &from), -EAFNOSUPPORT);
}

static void test_busy_port_is_reported(void **state)
{
	struct fixture *f = *state;
	struct client_socket client;

	assert_int_equal(client_socket_open(&client, &f->server, &f->server), -EADDRINUSE);
}

static void test_unix_sockets(void **state)
{
	char directory[] = "/tmp/client_socketXXXXXX", text[64];
	struct address to, from, source;
	struct client_socket named, unnamed;
	struct stat status;
	char data[8];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(text, sizeof(text), "unix:%s/s", directory);
	assert_int_equal(address_parse(&to, text), 0);
	from = to;
	assert_int_equal(client_socket_open(&named, &to, &from), 0);
	assert_int_equal(client_socket_open(&unnamed, &to, NULL), 0);
	assert_int_equal(client_socket_send(&unnamed, &to, "x", 1), 0);
	assert_int_equal(client_socket_receive(&named, data, sizeof(data), &source), 1);
	assert_int_equal(client_socket_send(&named, &source, "y", 1), 0);
	assert_int_equal(client_socket_receive(&unnamed, data, sizeof(data), &source), 1);
	assert_true(address_equal(&source, &to));
	client_socket_close(&named);
	assert_int_equal(stat(to.local.sun_path, &status), -1);
	assert_int_equal(client_socket_send(&unnamed, &to, "x", 1), -ENOENT);
	client_socket_close(&unnamed);
	rmdir(directory);
}

static void test_multicast_and_broadcast_reach_many(void **state)
{
	static const struct {
		const char *text;
		bool many;
	} cases[] = {{"127.0.0.1:1", false},
		     {"127.255.255.255:1", true},
		     {"224.0.0.1:1", true},
		     {"[ff02::1]:1", true},
		     {"[::1]:1", false}};
	struct address to;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(address_parse(&to, cases[i].text), 0);
		assert_int_equal(client_socket_reaches_many(&to), cases[i].many);
	}
}

static void test_error_texts(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {{ECONNREFUSED, "no program listens at 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EHOSTUNREACH, "there is no route to the host of 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {ENETUNREACH, "there is no route to the network of 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EACCES, "a firewall rejects datagrams to 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EMSGSIZE, "it is too large for the path to 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EPROTO, "Protocol error: 192.0.2.1:7788"}};
	struct send_error error = {0};
	char text[SEND_ERROR_TEXT_MAX];

	(void)state;
	address_from_ip(&error.destination, "192.0.2.1", 7788);
	address_from_ip(&error.reporter, "198.51.100.1", 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		error.code = cases[i].error;
		assert_string_equal(send_error_format(&error, text), cases[i].text);
	}
	error.code = ENETUNREACH;
	error.reporter.length = 0;
	assert_string_equal(send_error_format(&error, text),
			    "there is no route to the network of 192.0.2.1:7788 (so says this host)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_send_and_receive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_icmp_error_names_its_datagram, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_oversized_datagram_is_rejected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_families_must_match, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_busy_port_is_reported, set_up, tear_down),
		cmocka_unit_test(test_unix_sockets),
		cmocka_unit_test(test_multicast_and_broadcast_reach_many),
		cmocka_unit_test(test_error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

#define PATIENCE_MS 20000

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

static void await(const struct fixture *f, short events)
{
	struct pollfd event = {.fd = f->client.fd, .events = events};

	assert_int_equal(poll(&event, 1, PATIENCE_MS), 1);
}

static void there_and_back(void **state)
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
	await(f, POLLIN);
	assert_int_equal(client_socket_receive(&f->client, data, sizeof(data), &source), 18);
	assert_memory_equal(data, "what a l", 8);
	assert_true(address_equal(&source, &f->server));
}

/* Of the refused datagram itself, and not of the next one, which goes where somebody listens. */
static void a_refusal(void **state)
{
	struct fixture *f = *state;
	struct address deaf;
	struct refusal refusal;
	char text[REFUSAL_TEXT_MAX], wanted[REFUSAL_TEXT_MAX], to[ADDRESS_TEXT_MAX], data[8];

	close(bound(&deaf));
	assert_int_equal(client_socket_send(&f->client, &deaf, "one", 3), 0);
	await(f, POLLPRI);
	assert_int_equal(client_socket_send(&f->client, &f->server, "two", 3), 0);
	assert_int_equal(recv(f->fd, data, sizeof(data), 0), 3);
	assert_true(client_socket_refused(&f->client, &refusal));
	assert_int_equal(refusal.error, ECONNREFUSED);
	assert_true(address_equal(&refusal.to, &deaf));
	assert_int_equal(refusal.head_size, 3);
	assert_memory_equal(refusal.head, "one", 3);
	snprintf(wanted, sizeof(wanted), "nobody listens at %s (ICMP from 127.0.0.1)", address_format(&deaf, to));
	assert_string_equal(refusal_text(&refusal, text), wanted);
	assert_false(client_socket_refused(&f->client, &refusal));
}

/* The send itself says so; there is no refusal besides. */
static void too_large(void **state)
{
	struct fixture *f = *state;
	struct refusal refusal;
	static const char data[65508];

	assert_int_equal(client_socket_send(&f->client, &f->server, data, sizeof(data)), -EMSGSIZE);
	assert_false(client_socket_refused(&f->client, &refusal));
}

static void families_that_do_not_meet(void **state)
{
	struct fixture *f = *state;
	struct client_socket client;
	struct address from;

	assert_int_equal(address_from_ip(&from, "::1", 0), 0);
	assert_int_equal(client_socket_open(&client, &f->server, &from), -EAFNOSUPPORT);
}

static void what_is_taken(void **state)
{
	struct fixture *f = *state;
	struct client_socket client;

	assert_int_equal(client_socket_open(&client, &f->server, &f->server), -EADDRINUSE);
}

static void paths(void **state)
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

static void whom_it_reaches(void **state)
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

static void what_refusals_say(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {{ECONNREFUSED, "nobody listens at 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EHOSTUNREACH, "there is no way to the host of 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {ENETUNREACH, "there is no way to the network of 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EACCES, "a firewall forbids what goes to 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EMSGSIZE, "it is too large for the way to 192.0.2.1:7788 (ICMP from 198.51.100.1)"},
		     {EPROTO, "Protocol error: 192.0.2.1:7788"}};
	struct refusal refusal = {0};
	char text[REFUSAL_TEXT_MAX];

	(void)state;
	address_from_ip(&refusal.to, "192.0.2.1", 7788);
	address_from_ip(&refusal.by, "198.51.100.1", 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		refusal.error = cases[i].error;
		assert_string_equal(refusal_text(&refusal, text), cases[i].text);
	}
	refusal.error = ENETUNREACH;
	refusal.by.length = 0;
	assert_string_equal(refusal_text(&refusal, text),
			    "there is no way to the network of 192.0.2.1:7788 (so says this host)");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(there_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_refusal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_large, set_up, tear_down),
		cmocka_unit_test_setup_teardown(families_that_do_not_meet, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_is_taken, set_up, tear_down),
		cmocka_unit_test(paths),
		cmocka_unit_test(whom_it_reaches),
		cmocka_unit_test(what_refusals_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

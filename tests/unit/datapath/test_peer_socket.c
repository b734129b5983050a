#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "datapath/peer_socket.h"
#include "net/socket.h"

static const struct listener_config plain = {0};

struct fixture {
	char directory[32], text[64];
	struct peer_config config;
	struct log *log;
	int log_fd;
	struct peer_socket peer;
	int sink;
};

static int open_sink(struct fixture *f)
{
	struct socket_error error;

	return socket_bind(&plain, &f->config.address, true, false, &error);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	strcpy(f->directory, "/tmp/test_linkXXXXXX");
	assert_non_null(mkdtemp(f->directory));
	snprintf(f->text, sizeof(f->text), "unix:%s/s", f->directory);
	f->config.name = (char *)"peer";
	assert_int_equal(address_parse(&f->config.address, f->text), 0);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_create(&f->log, f->log_fd, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT), 0);
	f->sink = -1;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	peer_socket_finish(&f->peer);
	if (f->sink >= 0)
		close(f->sink);
	unlink(f->text + strlen("unix:"));
	rmdir(f->directory);
	log_destroy(f->log, 0);
	return 0;
}

static void peer_without_an_address_is_unresolved(void **state)
{
	struct fixture *f = *state;

	f->config.host = (char *)"name.invalid";
	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1), DROP_UNRESOLVED);
	peer_socket_set_no_address(&f->peer);
	assert_int_equal(peer_socket_check(&f->peer), DROP_NO_ADDRESS);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1), DROP_NO_ADDRESS);
	f->sink = open_sink(f);
	peer_socket_set_address(&f->peer, &f->config.address);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1), DROP_NONE);
	peer_socket_set_address(&f->peer, NULL);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1), DROP_UNRESOLVED);
}

/* Chunks may still wait for room in the old socket. */
static void socket_to_the_old_address_stays_until_the_new_one_opens(void **state)
{
	struct fixture *f = *state;
	struct address other;
	int fd;

	f->sink = open_sink(f);
	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1), DROP_NONE);
	fd = f->peer.tx.fd;
	address_parse(&other, "127.0.0.1:9");
	peer_socket_set_address(&f->peer, &other);
	assert_int_equal(f->peer.tx.fd, fd);
	assert_true(f->peer.tx.broken);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 2), DROP_NONE);
	assert_false(f->peer.tx.broken);
}

static void refused_peer_is_tried_again_after_a_second(void **state)
{
	struct fixture *f = *state;

	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 10), DROP_REFUSED);
	f->sink = open_sink(f);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 11), DROP_REFUSED); /* one attempt per second */
	assert_int_equal(peer_socket_ensure_open(&f->peer, 1011), DROP_NONE);
	assert_true(f->peer.tx.fd >= 0);
}

static void broken_socket_is_opened_again(void **state)
{
	struct fixture *f = *state;

	f->sink = open_sink(f);
	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 10), DROP_NONE);
	f->peer.tx.broken = true;
	assert_int_equal(peer_socket_ensure_open(&f->peer, 2000), DROP_NONE);
	assert_false(f->peer.tx.broken);
}

static void same_address_keeps_the_socket(void **state)
{
	struct fixture *f = *state;
	int fd;

	f->sink = open_sink(f);
	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	assert_int_equal(peer_socket_ensure_open(&f->peer, 10), DROP_NONE);
	fd = f->peer.tx.fd;
	peer_socket_set_address(&f->peer, &f->config.address);
	assert_int_equal(f->peer.tx.fd, fd);
	assert_true(fd >= 0);
}

static void icmp_errors_are_counted(void **state)
{
	struct fixture *f = *state;
	struct peer_counters *counters = &f->peer.counters;

	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	f->peer.tx.icmp_errors = 7;
	peer_socket_collect_icmp(&f->peer);
	peer_socket_collect_icmp(&f->peer);
	assert_int_equal(counter_get(&counters->icmp_errors), 7);
}

/* Returns the lines of the log, which the caller frees, and empties it. */
static char *take_log(struct fixture *f)
{
	off_t size = lseek(f->log_fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)size + 1);

	assert_int_equal(pread(f->log_fd, text, (size_t)size, 0), size);
	assert_int_equal(ftruncate(f->log_fd, 0), 0);
	lseek(f->log_fd, 0, SEEK_SET);
	return text;
}

static void assert_logged(struct fixture *f, const char *message)
{
	char *text = take_log(f);

	if (!*message)
		assert_string_equal(text, "");
	else if (!strstr(text, message) || strchr(text, '\n') != strrchr(text, '\n'))
		fail_msg("expected one line with `%s`, not `%s`", message, text);
	free(text);
}

static void refusals_are_logged_first_and_then_once_a_minute(void **state)
{
	struct fixture *f = *state;
	struct peer_socket next;

	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	peer_socket_report_icmp(&f->peer, &f->config.address, 3);
	assert_logged(f, "warning: peer peer: an earlier datagram to unix:");
	for (int i = 0; i < 100; i++)
		peer_socket_report_icmp(&f->peer, &f->config.address, 2);
	assert_logged(f, "");
	f->peer.refused_log.line_ms -= LOG_LIMIT_SECONDS * 1000;
	peer_socket_report_icmp(&f->peer, &f->config.address, 1);
	assert_logged(f, " were refused in the last 60 s: no program listens there (ICMP)");
	peer_socket_report_icmp(&f->peer, &f->config.address, 1);
	peer_socket_init(&next, &f->config, 65536, NULL, f->log);
	peer_socket_adopt(&next, &f->peer);
	peer_socket_report_icmp(&next, &f->config.address, 1);
	assert_logged(f, "");
	next.refused_log.line_ms -= LOG_LIMIT_SECONDS * 1000;
	peer_socket_report_icmp(&next, &f->config.address, 5);
	assert_logged(f, "warning: peer peer: 7 datagrams to unix:");
	assert_int_equal(counter_get(&next.counters.icmp_errors), 211);
	peer_socket_finish(&next);
}

static void a_receiver_that_cannot_be_reached_is_logged_once(void **state)
{
	struct fixture *f = *state;

	peer_socket_init(&f->peer, &f->config, 65536, NULL, f->log);
	for (uint64_t now_ms = 1000; now_ms <= 20000; now_ms += 1000)
		assert_int_equal(peer_socket_ensure_open(&f->peer, now_ms), DROP_REFUSED);
	assert_logged(f, "warning: peer peer: cannot reach unix:");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(peer_without_an_address_is_unresolved),
		test(socket_to_the_old_address_stays_until_the_new_one_opens),
		test(refused_peer_is_tried_again_after_a_second),
		test(broken_socket_is_opened_again),
		test(same_address_keeps_the_socket),
		test(icmp_errors_are_counted),
		test(refusals_are_logged_first_and_then_once_a_minute),
		test(a_receiver_that_cannot_be_reached_is_logged_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

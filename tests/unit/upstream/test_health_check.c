/* Health checks on a real loop. The servers that they probe run on the same loop. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net/socket.h"
#include "upstream/health_check.h"

#define INTERVAL_MS 5
#define SHORT_MS 10 /* a timeout that expires in the test */
#define DEADLINE_MS 20000 /* a timeout that does not expire, and the limit of every wait */

#define PEERS 2
#define MANY_PROBES 24

/* How a server reacts to a probe. */
enum behaviour {
	SILENT,
	REPLIES,
	REPLIES_TO_EVERY_THIRD,
	REPLIES_UNEXPECTEDLY,
	REPLIES_UNEXPECTEDLY_FIRST,
	REPLIES_WITHOUT_PAYLOAD,
	REPLIES_AND_BLOCKS_LOOP
};

struct server {
	int fd; /* -1: closed */
	uv_poll_t poll;
	struct address address;
	enum behaviour behaviour;
	unsigned probes;
	char last[64];
	ssize_t last_size;
};

struct fixture {
	uv_loop_t loop;
	uv_timer_t tick; /* wakes the loop up, so that waits see their deadline */
	struct config config;
	struct peer_config peers[PEERS];
	struct server servers[PEERS];
	endpoint_epoch epoch;
	struct endpoint *endpoints[PEERS];
	struct own_addresses *own;
	struct health_checks *checks;
	struct log *log;
	int log_fd;
	unsigned open_files; /* before the first probe */
	char directory[40];
};

static char ping[] = "ping", pong[] = "pong";

/* --- Servers --- */

static void send_reply(const struct server *server, const struct sockaddr_storage *to, socklen_t length,
		       const char *text)
{
	sendto(server->fd, text, strlen(text), 0, (const struct sockaddr *)to, length);
}

static void react(const struct server *server, const struct sockaddr_storage *from, socklen_t length)
{
	switch (server->behaviour) {
	case SILENT:
		break;
	case REPLIES_TO_EVERY_THIRD:
		if (server->probes % 3 == 0)
			send_reply(server, from, length, pong);
		break;
	case REPLIES_UNEXPECTEDLY_FIRST:
		send_reply(server, from, length, "not yet");
		send_reply(server, from, length, "");
		send_reply(server, from, length, "po");
		send_reply(server, from, length, "ng");
		send_reply(server, from, length, "it says pong.");
		break;
	case REPLIES_UNEXPECTEDLY:
		send_reply(server, from, length, "error");
		break;
	case REPLIES_WITHOUT_PAYLOAD:
		send_reply(server, from, length, "");
		break;
	case REPLIES:
		send_reply(server, from, length, pong);
		break;
	case REPLIES_AND_BLOCKS_LOOP:
		send_reply(server, from, length, pong);
		usleep(4 * SHORT_MS * 1000);
		break;
	}
}

static void on_probe(uv_poll_t *poll, int status, int events)
{
	struct server *server = poll->data;
	struct sockaddr_storage from;
	socklen_t length = sizeof(from);
	ssize_t size = recvfrom(server->fd, server->last, sizeof(server->last), 0, (struct sockaddr *)&from, &length);

	(void)events;
	assert_int_equal(status, 0);
	if (size < 0)
		return;
	server->last_size = size;
	server->probes++;
	react(server, &from, length);
}

static void open_server(struct fixture *f, unsigned i, const char *text)
{
	static const struct listener_config plain = {.receive_buffer = 65536, .send_buffer = 65536};
	struct server *server = &f->servers[i];
	struct socket_error error;

	assert_int_equal(address_parse(&server->address, text), 0);
	server->fd = socket_bind(&plain, &server->address, true, false, &error);
	if (server->fd < 0 && error.error == EADDRNOTAVAIL)
		skip(); /* this host has no IPv6 */
	assert_true(server->fd >= 0);
	if (server->address.any.sa_family != AF_UNIX)
		assert_int_equal(getsockname(server->fd, &server->address.any, &server->address.length), 0);
	assert_int_equal(uv_poll_init(&f->loop, &server->poll, server->fd), 0);
	server->poll.data = server;
	uv_poll_start(&server->poll, UV_READABLE, on_probe);
}

static void close_server(struct server *server)
{
	if (server->fd < 0)
		return;
	uv_close((uv_handle_t *)&server->poll, NULL);
	close(server->fd);
	server->fd = -1;
}

/* --- Fixture --- */

static unsigned count_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned count = 0;

	assert_non_null(directory);
	while (readdir(directory))
		count++;
	closedir(directory);
	return count;
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static void name_peer(struct fixture *f, size_t i)
{
	static char names[PEERS][2] = {"a", "b"};

	f->peers[i] = (struct peer_config){.name = names[i], .index = i};
	f->peers[i].check.on = true;
	f->peers[i].check.send = (struct payload){(uint8_t *)ping, strlen(ping)};
	f->peers[i].check.expect = (struct payload){(uint8_t *)pong, strlen(pong)};
	f->peers[i].check.interval_ms = INTERVAL_MS;
	f->peers[i].check.timeout_ms = DEADLINE_MS;
	f->peers[i].check.rise = 2;
	f->peers[i].check.fall = 3;
	f->servers[i].fd = -1;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	uv_timer_init(&f->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 1, 1);
	for (size_t i = 0; i < PEERS; i++)
		name_peer(f, i);
	f->config.peers = f->peers;
	f->config.peer_count = PEERS;
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_create(&f->log, f->log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
	strcpy(f->directory, "/tmp/test_health_checkXXXXXX");
	assert_non_null(mkdtemp(f->directory));
	*state = f;
	return 0;
}

static void run_until_closed(struct fixture *f)
{
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

/* Checks that closed checks leave no handle, no descriptor and no reference. */
static int tear_down(void **state)
{
	struct fixture *f = *state;

	health_checks_close(f->checks);
	health_checks_close(f->checks);
	for (size_t i = 0; i < PEERS; i++)
		close_server(&f->servers[i]);
	run_until_closed(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	health_checks_destroy(f->checks);
	for (size_t i = 0; i < PEERS; i++) {
		assert_true(!f->endpoints[i] || atomic_load(&f->endpoints[i]->references) == 1);
		endpoint_put(f->endpoints[i]);
	}
	own_addresses_destroy(f->own);
	log_destroy(f->log, 0);
	close(f->log_fd);
	rmdir(f->directory);
	return 0;
}

static const char *log_text(struct fixture *f)
{
	static char text[8192];
	ssize_t size = pread(f->log_fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static bool log_has(struct fixture *f, const char *before, unsigned peer, const char *after)
{
	char address[ADDRESS_TEXT_MAX], line[ADDRESS_TEXT_MAX + 128];

	snprintf(line, sizeof(line), "%s: %s%s\n", before, address_format(&f->servers[peer].address, address), after);
	return strstr(log_text(f), line);
}

/* Peers without an endpoint get an empty list. */
static void set_endpoints(struct fixture *f)
{
	struct endpoints_snapshot *snapshot = calloc(1, sizeof(*snapshot) + PEERS * sizeof(struct peer_endpoints));

	snapshot->peer_count = PEERS;
	for (size_t i = 0; i < PEERS; i++)
		snapshot->peers[i] =
			(struct peer_endpoints){.items = &f->endpoints[i], .count = f->endpoints[i] != NULL};
	health_checks_set(f->checks, snapshot);
	free(snapshot);
}

static void create_endpoint(struct fixture *f, unsigned i)
{
	f->endpoints[i] = endpoint_create(&f->peers[i], &f->servers[i].address, &f->epoch);
	assert_non_null(f->endpoints[i]);
}

static void start_checks(struct fixture *f)
{
	for (unsigned i = 0; i < PEERS; i++) {
		if (f->servers[i].address.length)
			create_endpoint(f, i);
	}
	assert_int_equal(health_checks_create(&f->checks, &f->loop, &f->config, f->own, f->log), 0);
	set_endpoints(f);
}

static bool is_up(struct fixture *f, unsigned i)
{
	return endpoint_is_up(f->endpoints[i], 0);
}

static void run_until(struct fixture *f, bool (*condition)(struct fixture *f))
{
	uint64_t end;

	uv_update_time(&f->loop);
	end = uv_now(&f->loop) + DEADLINE_MS;
	while (!condition(f)) {
		if (uv_now(&f->loop) >= end)
			fail_msg("the condition is not met; the log says: %s", log_text(f));
		uv_run(&f->loop, UV_RUN_ONCE);
	}
}

static bool a_is_down(struct fixture *f)
{
	return !is_up(f, 0);
}

static bool a_is_up(struct fixture *f)
{
	return is_up(f, 0);
}

static bool a_got_many_probes(struct fixture *f)
{
	return f->servers[0].probes >= MANY_PROBES;
}

static bool a_got_a_probe(struct fixture *f)
{
	return f->servers[0].probes;
}

/* --- Up --- */

static void test_replying_peer_stays_up(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES;
	start_checks(f);
	f->open_files = count_files();
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	assert_int_equal(atomic_load(&f->epoch), 0);
	assert_string_equal(log_text(f), "");
	assert_int_equal(f->servers[0].last_size, 4);
	assert_memory_equal(f->servers[0].last, "ping", 4);
	assert_in_range(count_files(), f->open_files, f->open_files + 1); /* the current probe */
}

static void test_probes_keep_interval(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES;
	start_checks(f);
	begin = uv_hrtime();
	run_until(f, a_got_many_probes);
	/* The second probe is early because of SPREAD. */
	assert_true((uv_hrtime() - begin) / 1000000 >= (MANY_PROBES - 2) * INTERVAL_MS - 1);
}

static void test_unexpected_replies_before_the_expected_one_are_ignored(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES_UNEXPECTEDLY_FIRST;
	start_checks(f);
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

static void test_no_reply_is_a_success_if_none_is_expected(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.expect = (struct payload){0};
	f->peers[0].check.timeout_ms = 2;
	open_server(f, 0, "127.0.0.1:0");
	start_checks(f);
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

/* Probe and reply are empty, and the reply ends the probe. */
static void test_empty_probe_and_reply(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.send = (struct payload){0};
	f->peers[0].check.expect = (struct payload){0};
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES_WITHOUT_PAYLOAD;
	start_checks(f);
	run_until(f, a_got_many_probes);
	assert_int_equal(f->servers[0].last_size, 0);
	assert_true(is_up(f, 0));
}

static void test_reply_counts_if_loop_reads_it_late(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 2 * SHORT_MS;
	f->peers[0].check.fall = f->peers[0].check.rise = 1;
	open_server(f, 0, "127.0.0.1:0");
	start_checks(f);
	run_until(f, a_is_down);
	f->servers[0].behaviour = REPLIES_AND_BLOCKS_LOOP;
	run_until(f, a_is_up);
}

/* --- Down --- */

static void test_silent_peer_goes_down(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	start_checks(f);
	run_until(f, a_is_down);
	assert_in_range(f->servers[0].probes, 1, 3);
	assert_int_equal(atomic_load(&f->epoch), 1);
	assert_true(log_has(f, "warning: peer a", 0, " is down: no reply to 3 checks in a row"));
	f->servers[0].probes = 0;
	run_until(f, a_got_many_probes);
	assert_int_equal(atomic_load(&f->epoch), 1); /* logged once */
}

static void test_fall_1_goes_down_at_first_failure(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	f->peers[0].check.fall = 1;
	open_server(f, 0, "127.0.0.1:0");
	start_checks(f);
	run_until(f, a_is_down);
	assert_true(log_has(f, "warning: peer a", 0, " is down: no reply to 1 check"));
}

static void test_success_resets_failures(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	f->peers[0].check.fall = 10; /* it fails two in a row */
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES_TO_EVERY_THIRD;
	start_checks(f);
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

static void goes_down_by_icmp(struct fixture *f, const char *address)
{
	f->peers[0].check.expect = (struct payload){0};
	f->peers[0].check.timeout_ms = SHORT_MS; /* a reply could still come */
	open_server(f, 0, address);
	close_server(&f->servers[0]);
	start_checks(f);
	run_until(f, a_is_down);
	assert_true(log_has(f, "warning: peer a", 0, " is down: refused (ICMP), 3 checks in a row"));
}

static void test_icmp_error_takes_peer_down(void **state)
{
	goes_down_by_icmp(*state, "127.9.8.7:0");
}

static void test_icmpv6_error_takes_peer_down(void **state)
{
	goes_down_by_icmp(*state, "[::1]:0");
}

static void test_unexpected_reply_takes_peer_down(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 5 * SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES_UNEXPECTEDLY;
	start_checks(f);
	run_until(f, a_is_down);
	assert_true(log_has(f, "warning: peer a", 0, " is down: wrong reply to 3 checks in a row"));
}

static void test_empty_reply_is_unexpected(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 5 * SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES_WITHOUT_PAYLOAD;
	start_checks(f);
	run_until(f, a_is_down);
	assert_true(log_has(f, "warning: peer a", 0, " is down: wrong reply to 3 checks in a row"));
}

/* send() fails, so the probe fails without a timeout. */
static void test_send_error_takes_peer_down(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(address_parse(&f->servers[0].address, "255.255.255.255:9"), 0);
	start_checks(f);
	run_until(f, a_is_down);
	assert_non_null(strstr(log_text(f), "255.255.255.255:9 is down: "));
	assert_non_null(strstr(log_text(f), ", 3 checks in a row\n"));
}

static void test_peer_comes_up_again_after_rise_successes(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	start_checks(f);
	run_until(f, a_is_down);
	assert_null(strstr(log_text(f), "up again"));
	f->servers[0].behaviour = REPLIES;
	f->servers[0].probes = 0;
	f->peers[0].check.timeout_ms = DEADLINE_MS;
	run_until(f, a_is_up);
	assert_in_range(f->servers[0].probes, 2, 3); /* the first may still have the short timeout */
	assert_int_equal(atomic_load(&f->epoch), 2);
	assert_true(log_has(f, "notice: peer a", 0, " is up again"));
}

/* --- AF_UNIX --- */

static void test_unix_peer(void **state)
{
	struct fixture *f = *state;
	char text[64];

	snprintf(text, sizeof(text), "unix:%s/s", f->directory);
	open_server(f, 0, text);
	f->servers[0].behaviour = REPLIES;
	start_checks(f);
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	close_server(&f->servers[0]);
	run_until(f, a_is_down);
	assert_true(log_has(f, "warning: peer a", 0, " is down: Connection refused, 3 checks in a row"));
	unlink(f->servers[0].address.local.sun_path);
	open_server(f, 0, text);
	f->servers[0].behaviour = REPLIES;
	run_until(f, a_is_up);
	unlink(f->servers[0].address.local.sun_path);
}

/* --- Which endpoints are checked --- */

static void test_endpoints_are_independent(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].behaviour = REPLIES;
	start_checks(f);
	run_until(f, a_is_down);
	assert_true(is_up(f, 1));
}

static void test_removed_endpoint_is_released(void **state)
{
	struct fixture *f = *state;
	struct endpoint *gone;

	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES;
	start_checks(f);
	while (!f->servers[1].probes) /* it does not reply, so its probe is running */
		uv_run(&f->loop, UV_RUN_ONCE);
	gone = f->endpoints[1];
	f->endpoints[1] = NULL;
	set_endpoints(f);
	f->servers[0].probes = f->servers[1].probes = 0;
	run_until(f, a_got_many_probes);
	assert_int_equal(f->servers[1].probes, 0);
	assert_int_equal(atomic_load(&gone->references), 1);
	endpoint_put(gone);
}

static void test_added_endpoint_is_checked(void **state)
{
	struct fixture *f = *state;

	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].behaviour = REPLIES;
	start_checks(f);
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES;
	create_endpoint(f, 0);
	set_endpoints(f);
	set_endpoints(f);
	run_until(f, a_got_many_probes);
	assert_int_equal(atomic_load(&f->endpoints[0]->references), 2);
}

static bool b_got_many_probes(struct fixture *f)
{
	return f->servers[1].probes >= MANY_PROBES;
}

static void test_peer_without_check_gets_no_probe(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.on = false;
	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].behaviour = REPLIES;
	start_checks(f);
	run_until(f, b_got_many_probes);
	assert_int_equal(f->servers[0].probes, 0);
}

/* A probe to a listener of this process would be relayed as another probe, and so on. */
static void test_own_address_gets_no_probe(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].behaviour = REPLIES;
	assert_int_equal(own_addresses_create(&f->own, &f->servers[0].address, 1), 0);
	start_checks(f);
	run_until(f, b_got_many_probes);
	assert_int_equal(f->servers[0].probes, 0);
	assert_true(is_up(f, 0));
}

/* --- Local errors --- */

static bool log_has_local_error(struct fixture *f)
{
	return log_has(f, "warning: peer a", 0, " cannot be checked: Too many open files");
}

static void test_lack_of_descriptors_is_not_a_failure(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, few;

	f->peers[0].check.fall = 1;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].behaviour = REPLIES;
	start_checks(f);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	run_until(f, a_got_a_probe);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	run_until(f, log_has_local_error);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	f->servers[0].probes = 0;
	run_until(f, a_got_many_probes);
	assert_true(is_up(f, 0));
	assert_int_equal(atomic_load(&f->epoch), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_replying_peer_stays_up),
		test(test_probes_keep_interval),
		test(test_unexpected_replies_before_the_expected_one_are_ignored),
		test(test_no_reply_is_a_success_if_none_is_expected),
		test(test_empty_probe_and_reply),
		test(test_reply_counts_if_loop_reads_it_late),
		test(test_silent_peer_goes_down),
		test(test_fall_1_goes_down_at_first_failure),
		test(test_success_resets_failures),
		test(test_icmp_error_takes_peer_down),
		test(test_icmpv6_error_takes_peer_down),
		test(test_unexpected_reply_takes_peer_down),
		test(test_empty_reply_is_unexpected),
		test(test_send_error_takes_peer_down),
		test(test_peer_comes_up_again_after_rise_successes),
		test(test_unix_peer),
		test(test_endpoints_are_independent),
		test(test_removed_endpoint_is_released),
		test(test_added_endpoint_is_checked),
		test(test_peer_without_check_gets_no_probe),
		test(test_own_address_gets_no_probe),
		test(test_lack_of_descriptors_is_not_a_failure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

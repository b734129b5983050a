/* Health checks on a real loop, which also plays the peers that they ask. */
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
#define SHORT_MS 10 /* a timeout that is waited for */
#define PATIENCE_MS 20000 /* one that never comes, and how long anything may take */

#define PEERS 2
#define OFTEN 24

/* What a peer does when it is asked. */
enum manner {
	SILENT,
	ANSWERS,
	ANSWERS_EVERY_THIRD,
	ANSWERS_WRONG,
	ANSWERS_WRONG_FIRST,
	ANSWERS_NOTHING,
	ANSWERS_AND_BLOCKS
};

struct server {
	int fd; /* -1: there is none */
	uv_poll_t poll;
	struct address address;
	enum manner manner;
	unsigned asked;
	char last[64];
	ssize_t last_size;
};

struct fixture {
	uv_loop_t loop;
	uv_timer_t tick; /* the loop wakes up, whatever happens */
	struct config config;
	struct peer_config peers[PEERS];
	struct server servers[PEERS];
	endpoint_epoch news;
	struct endpoint *targets[PEERS];
	struct own_addresses *own;
	struct health_checks *checks;
	struct log *log;
	int log_fd;
	unsigned open_files; /* before anything was checked */
	char directory[40];
};

static char ping[] = "ping", pong[] = "pong";

/* --- The peers --- */

static void answer(const struct server *server, const struct sockaddr_storage *to, socklen_t length, const char *text)
{
	sendto(server->fd, text, strlen(text), 0, (const struct sockaddr *)to, length);
}

static void behave(const struct server *server, const struct sockaddr_storage *from, socklen_t length)
{
	switch (server->manner) {
	case SILENT:
		break;
	case ANSWERS_EVERY_THIRD:
		if (server->asked % 3 == 0)
			answer(server, from, length, pong);
		break;
	case ANSWERS_WRONG_FIRST:
		answer(server, from, length, "not yet");
		answer(server, from, length, "");
		answer(server, from, length, "po");
		answer(server, from, length, "ng");
		answer(server, from, length, "it says pong.");
		break;
	case ANSWERS_WRONG:
		answer(server, from, length, "error");
		break;
	case ANSWERS_NOTHING:
		answer(server, from, length, "");
		break;
	case ANSWERS:
		answer(server, from, length, pong);
		break;
	case ANSWERS_AND_BLOCKS:
		answer(server, from, length, pong);
		usleep(4 * SHORT_MS * 1000);
		break;
	}
}

static void on_asked(uv_poll_t *poll, int status, int events)
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
	server->asked++;
	behave(server, &from, length);
}

static void open_server(struct fixture *f, unsigned i, const char *text)
{
	static const struct listener_config plain = {.receive_buffer = 65536, .send_buffer = 65536};
	struct server *server = &f->servers[i];
	struct socket_error error;

	assert_int_equal(address_parse(&server->address, text), 0);
	server->fd = socket_bind(&plain, &server->address, true, false, &error);
	if (server->fd < 0 && error.error == EADDRNOTAVAIL)
		skip(); /* no IPv6 here */
	assert_true(server->fd >= 0);
	if (server->address.any.sa_family != AF_UNIX)
		assert_int_equal(getsockname(server->fd, &server->address.any, &server->address.length), 0);
	assert_int_equal(uv_poll_init(&f->loop, &server->poll, server->fd), 0);
	server->poll.data = server;
	uv_poll_start(&server->poll, UV_READABLE, on_asked);
}

static void close_server(struct server *server)
{
	if (server->fd < 0)
		return;
	uv_close((uv_handle_t *)&server->poll, NULL);
	close(server->fd);
	server->fd = -1;
}

/* --- The stage --- */

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
	f->peers[i].check.timeout_ms = PATIENCE_MS;
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

static void run_to_the_end(struct fixture *f)
{
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
}

/* Nothing is left of the checks: no handle, no descriptor and no reference. */
static int tear_down(void **state)
{
	struct fixture *f = *state;

	health_checks_close(f->checks);
	health_checks_close(f->checks);
	for (size_t i = 0; i < PEERS; i++)
		close_server(&f->servers[i]);
	run_to_the_end(f);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	health_checks_destroy(f->checks);
	for (size_t i = 0; i < PEERS; i++) {
		assert_true(!f->targets[i] || atomic_load(&f->targets[i]->references) == 1);
		endpoint_put(f->targets[i]);
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

static bool log_says(struct fixture *f, const char *before, unsigned peer, const char *after)
{
	char address[ADDRESS_TEXT_MAX], line[ADDRESS_TEXT_MAX + 128];

	snprintf(line, sizeof(line), "%s: %s%s\n", before, address_format(&f->servers[peer].address, address), after);
	return strstr(log_text(f), line);
}

/* Peers without a target have none. */
static void set_targets(struct fixture *f)
{
	struct endpoints_snapshot *snapshot = calloc(1, sizeof(*snapshot) + PEERS * sizeof(struct peer_endpoints));

	snapshot->peer_count = PEERS;
	for (size_t i = 0; i < PEERS; i++)
		snapshot->peers[i] = (struct peer_endpoints){&f->targets[i], f->targets[i] != NULL};
	health_checks_set(f->checks, snapshot);
	free(snapshot);
}

static void make_target(struct fixture *f, unsigned i)
{
	f->targets[i] = endpoint_create(&f->peers[i], &f->servers[i].address, &f->news);
	assert_non_null(f->targets[i]);
}

static void check_all(struct fixture *f)
{
	for (unsigned i = 0; i < PEERS; i++) {
		if (f->servers[i].address.length)
			make_target(f, i);
	}
	assert_int_equal(health_checks_create(&f->checks, &f->loop, &f->config, f->own, f->log), 0);
	set_targets(f);
}

static bool is_up(struct fixture *f, unsigned i)
{
	return endpoint_is_up(f->targets[i], 0);
}

static void run_until(struct fixture *f, bool (*condition)(struct fixture *f))
{
	uint64_t end;

	uv_update_time(&f->loop);
	end = uv_now(&f->loop) + PATIENCE_MS;
	while (!condition(f)) {
		if (uv_now(&f->loop) >= end)
			fail_msg("it does not happen; the log says: %s", log_text(f));
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

static bool a_is_asked_often(struct fixture *f)
{
	return f->servers[0].asked >= OFTEN;
}

static bool a_is_asked(struct fixture *f)
{
	return f->servers[0].asked;
}

/* --- Up --- */

static void a_peer_that_answers_stays_up(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS;
	check_all(f);
	f->open_files = count_files();
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	assert_int_equal(atomic_load(&f->news), 0);
	assert_string_equal(log_text(f), "");
	assert_int_equal(f->servers[0].last_size, 4);
	assert_memory_equal(f->servers[0].last, "ping", 4);
	assert_in_range(count_files(), f->open_files, f->open_files + 1); /* the probe that is under way */
}

static void probes_keep_the_interval(void **state)
{
	struct fixture *f = *state;
	uint64_t begin;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS;
	check_all(f);
	begin = uv_hrtime();
	run_until(f, a_is_asked_often);
	/* The second probe is early, to spread the targets. */
	assert_true((uv_hrtime() - begin) / 1000000 >= (OFTEN - 2) * INTERVAL_MS - 1);
}

static void other_answers_are_passed_over(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS_WRONG_FIRST;
	check_all(f);
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

static void silence_will_do_where_nothing_is_expected(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.expect = (struct payload){0};
	f->peers[0].check.timeout_ms = 2;
	open_server(f, 0, "127.0.0.1:0");
	check_all(f);
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

/* Neither the probe nor the answer holds a byte, and the answer ends the wait. */
static void an_empty_probe(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.send = (struct payload){0};
	f->peers[0].check.expect = (struct payload){0};
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS_NOTHING;
	check_all(f);
	run_until(f, a_is_asked_often);
	assert_int_equal(f->servers[0].last_size, 0);
	assert_true(is_up(f, 0));
}

static void an_answer_counts_that_the_loop_sees_late(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 2 * SHORT_MS;
	f->peers[0].check.fall = f->peers[0].check.rise = 1;
	open_server(f, 0, "127.0.0.1:0");
	check_all(f);
	run_until(f, a_is_down);
	f->servers[0].manner = ANSWERS_AND_BLOCKS;
	run_until(f, a_is_up);
}

/* --- Down --- */

static void a_silent_peer_goes_down(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	check_all(f);
	run_until(f, a_is_down);
	assert_in_range(f->servers[0].asked, 1, 3);
	assert_int_equal(atomic_load(&f->news), 1);
	assert_true(log_says(f, "warning: peer a", 0, " is down: no answer to 3 checks in a row"));
	f->servers[0].asked = 0;
	run_until(f, a_is_asked_often);
	assert_int_equal(atomic_load(&f->news), 1); /* it is told once */
}

static void a_single_failure_may_be_enough(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	f->peers[0].check.fall = 1;
	open_server(f, 0, "127.0.0.1:0");
	check_all(f);
	run_until(f, a_is_down);
	assert_true(log_says(f, "warning: peer a", 0, " is down: no answer to 1 check"));
}

static void a_peer_that_answers_in_between_stays_up(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	f->peers[0].check.fall = 10; /* of which it fails two at a time */
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS_EVERY_THIRD;
	check_all(f);
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	assert_string_equal(log_text(f), "");
}

static void goes_down_by_icmp(struct fixture *f, const char *address)
{
	f->peers[0].check.expect = (struct payload){0};
	open_server(f, 0, address);
	close_server(&f->servers[0]);
	check_all(f);
	run_until(f, a_is_down);
	assert_true(log_says(f, "warning: peer a", 0, " is down: refused (ICMP), 3 checks in a row"));
}

static void a_peer_that_refuses_goes_down(void **state)
{
	goes_down_by_icmp(*state, "127.9.8.7:0");
}

static void a_peer_that_refuses_goes_down_by_ipv6(void **state)
{
	goes_down_by_icmp(*state, "[::1]:0");
}

static void a_peer_that_answers_wrong_goes_down(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 5 * SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS_WRONG;
	check_all(f);
	run_until(f, a_is_down);
	assert_true(log_says(f, "warning: peer a", 0, " is down: wrong answer to 3 checks in a row"));
}

static void an_empty_answer_is_a_wrong_one(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = 5 * SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS_NOTHING;
	check_all(f);
	run_until(f, a_is_down);
	assert_true(log_says(f, "warning: peer a", 0, " is down: wrong answer to 3 checks in a row"));
}

/* Nothing can be sent there, and there is no need to wait for an answer. */
static void an_address_that_cannot_be_reached(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(address_parse(&f->servers[0].address, "255.255.255.255:9"), 0);
	check_all(f);
	run_until(f, a_is_down);
	assert_non_null(strstr(log_text(f), "255.255.255.255:9 is down: "));
	assert_non_null(strstr(log_text(f), ", 3 checks in a row\n"));
}

static void a_peer_comes_up_again(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	check_all(f);
	run_until(f, a_is_down);
	assert_null(strstr(log_text(f), "up again"));
	f->servers[0].manner = ANSWERS;
	f->servers[0].asked = 0;
	f->peers[0].check.timeout_ms = PATIENCE_MS;
	run_until(f, a_is_up);
	assert_in_range(f->servers[0].asked, 2, 3); /* the first may have been sent when time was short */
	assert_int_equal(atomic_load(&f->news), 2);
	assert_true(log_says(f, "notice: peer a", 0, " is up again"));
}

/* --- AF_UNIX --- */

static void a_unix_peer(void **state)
{
	struct fixture *f = *state;
	char text[64];

	snprintf(text, sizeof(text), "unix:%s/s", f->directory);
	open_server(f, 0, text);
	f->servers[0].manner = ANSWERS;
	check_all(f);
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	close_server(&f->servers[0]);
	run_until(f, a_is_down);
	assert_true(log_says(f, "warning: peer a", 0, " is down: Connection refused, 3 checks in a row"));
	unlink(f->servers[0].address.local.sun_path);
	open_server(f, 0, text);
	f->servers[0].manner = ANSWERS;
	run_until(f, a_is_up);
	unlink(f->servers[0].address.local.sun_path);
}

/* --- Which are checked --- */

static void each_target_fares_on_its_own(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.timeout_ms = SHORT_MS;
	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].manner = ANSWERS;
	check_all(f);
	run_until(f, a_is_down);
	assert_true(is_up(f, 1));
}

static void a_target_that_vanishes_is_let_go(void **state)
{
	struct fixture *f = *state;
	struct endpoint *gone;

	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS;
	check_all(f);
	while (!f->servers[1].asked) /* which does not answer: its probe is under way */
		uv_run(&f->loop, UV_RUN_ONCE);
	gone = f->targets[1];
	f->targets[1] = NULL;
	set_targets(f);
	f->servers[0].asked = f->servers[1].asked = 0;
	run_until(f, a_is_asked_often);
	assert_int_equal(f->servers[1].asked, 0);
	assert_int_equal(atomic_load(&gone->references), 1);
	endpoint_put(gone);
}

static void a_target_that_comes_later_is_checked(void **state)
{
	struct fixture *f = *state;

	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].manner = ANSWERS;
	check_all(f);
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS;
	make_target(f, 0);
	set_targets(f);
	set_targets(f);
	run_until(f, a_is_asked_often);
	assert_int_equal(atomic_load(&f->targets[0]->references), 2);
}

static bool b_is_asked_often(struct fixture *f)
{
	return f->servers[1].asked >= OFTEN;
}

static void a_peer_without_a_check_is_left_alone(void **state)
{
	struct fixture *f = *state;

	f->peers[0].check.on = false;
	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].manner = ANSWERS;
	check_all(f);
	run_until(f, b_is_asked_often);
	assert_int_equal(f->servers[0].asked, 0);
}

/* A relay that asks itself would ask itself. */
static void a_target_of_our_own_is_left_alone(void **state)
{
	struct fixture *f = *state;

	open_server(f, 0, "127.0.0.1:0");
	open_server(f, 1, "127.0.0.1:0");
	f->servers[1].manner = ANSWERS;
	assert_int_equal(own_addresses_create(&f->own, &f->servers[0].address, 1), 0);
	check_all(f);
	run_until(f, b_is_asked_often);
	assert_int_equal(f->servers[0].asked, 0);
	assert_true(is_up(f, 0));
}

/* --- Trouble of our own --- */

static bool it_cannot_check(struct fixture *f)
{
	return log_says(f, "warning: peer a", 0, " cannot be checked: Too many open files");
}

static void without_descriptors_nobody_is_judged(void **state)
{
	struct fixture *f = *state;
	struct rlimit before, few;

	f->peers[0].check.fall = 1;
	open_server(f, 0, "127.0.0.1:0");
	f->servers[0].manner = ANSWERS;
	check_all(f);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	run_until(f, a_is_asked);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	run_until(f, it_cannot_check);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	f->servers[0].asked = 0;
	run_until(f, a_is_asked_often);
	assert_true(is_up(f, 0));
	assert_int_equal(atomic_load(&f->news), 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_peer_that_answers_stays_up),
		test(probes_keep_the_interval),
		test(other_answers_are_passed_over),
		test(silence_will_do_where_nothing_is_expected),
		test(an_empty_probe),
		test(an_answer_counts_that_the_loop_sees_late),
		test(a_silent_peer_goes_down),
		test(a_single_failure_may_be_enough),
		test(a_peer_that_answers_in_between_stays_up),
		test(a_peer_that_refuses_goes_down),
		test(a_peer_that_refuses_goes_down_by_ipv6),
		test(a_peer_that_answers_wrong_goes_down),
		test(an_empty_answer_is_a_wrong_one),
		test(an_address_that_cannot_be_reached),
		test(a_peer_comes_up_again),
		test(a_unix_peer),
		test(each_target_fares_on_its_own),
		test(a_target_that_vanishes_is_let_go),
		test(a_target_that_comes_later_is_checked),
		test(a_peer_without_a_check_is_left_alone),
		test(a_target_of_our_own_is_left_alone),
		test(without_descriptors_nobody_is_judged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The number of sessions for which there are descriptors. The test replaces fd_limit_raise() (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "admin/http_socket.h"
#include "base/fd_limit.h"
#include "daemon/session_capacity.h"
#include "tests/unit/support/captured_log.h"

/* Descriptors of the process, and of each worker, besides those for listeners and peers. */
#define PROCESS 64
#define WORKER 16

static uint64_t permitted, needed;

uint64_t __wrap_fd_limit_raise(uint64_t descriptors);

uint64_t __wrap_fd_limit_raise(uint64_t descriptors)
{
	needed = descriptors;
	return descriptors < permitted ? descriptors : permitted;
}

struct fixture {
	struct captured_log log;
	struct listener_config listener;
	struct config config;
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.listener = {.action = ACTION_RELAY, .bind_count = 1, .max_sessions = 1000},
			     .config = {.listener_count = 1, .listeners = &f.listener, .peer_count = 3}};
	captured_log_open(&f.log, LOG_LEVEL_INFO);
	permitted = UINT64_MAX;
	needed = 0;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	captured_log_close(&f->log);
	return 0;
}

static uint64_t reserve(struct fixture *f, unsigned workers)
{
	return session_capacity_reserve(&f->config, workers, f->log.log);
}

static void all_sessions_fit_below_the_limit(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reserve(f, 2), 1000);
	assert_string_equal(captured_log_text(&f->log), "");
}

static void other_descriptors_are_added(void **state)
{
	struct fixture *f = *state;

	reserve(f, 2);
	assert_int_equal(needed, 1000 + PROCESS + 2 * 3 + 2 * (WORKER + 3 + 4));
	f->config.http.text = (char *)"127.0.0.1:80";
	f->listener.bind_count = 2;
	reserve(f, 1);
	assert_int_equal(needed, 1000 + PROCESS + HTTP_DESCRIPTORS + 2 * 3 + (WORKER + 3 + 8));
}

static void without_a_relay_the_limit_stays(void **state)
{
	struct fixture *f = *state;

	f->listener.action = ACTION_ECHO;
	permitted = 1;
	assert_int_equal(reserve(f, 2), 0);
	assert_int_equal(needed, 0);
	assert_string_equal(captured_log_text(&f->log), "");
}

static void shortage_is_logged_with_numbers(void **state)
{
	struct fixture *f = *state;

	permitted = 400;
	/* One worker: 64 + 6 + 23 other descriptors, so 1093 in total. */
	assert_int_equal(reserve(f, 1), 307);
	assert_logged(&f->log, "warning: the relays may have 1000 sessions (max_sessions) and need 1093 descriptors ");
	assert_logged(&f->log, "may open only 400, which is 693 too few, and is enough for 307 sessions: ");
}

static void sessions_get_at_least_a_quarter(void **state)
{
	struct fixture *f = *state;

	/* 93 other descriptors leave less than a quarter of 100. */
	permitted = 100;
	assert_int_equal(reserve(f, 1), 25);
	permitted = 80;
	assert_int_equal(reserve(f, 1), 20);
}

static void more_sessions_than_local_ports_are_logged(void **state)
{
	struct fixture *f = *state;
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "r");
	unsigned first = 0, last = 0;
	char expected[80];

	if (!file || fscanf(file, "%u %u", &first, &last) != 2)
		skip();
	fclose(file);
	f->listener.max_sessions = last - first + 1;
	assert_int_equal(reserve(f, 1), last - first + 1);
	assert_string_equal(captured_log_text(&f->log), "");
	f->listener.max_sessions++;
	assert_int_equal(reserve(f, 1), last - first + 2);
	snprintf(expected, sizeof(expected), "but this host has only %u local ports ", last - first + 1);
	assert_logged(&f->log, expected);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(all_sessions_fit_below_the_limit), test(other_descriptors_are_added),
		test(without_a_relay_the_limit_stays),  test(shortage_is_logged_with_numbers),
		test(sessions_get_at_least_a_quarter),  test(more_sessions_than_local_ports_are_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

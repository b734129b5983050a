/* The test sets the numbers of dropped datagrams (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/drop_monitor.h"
#include "tests/unit/support/captured_log.h"

#define LOG_MS (LOG_LIMIT_SECONDS * 1000)

static uint64_t drops[2];

uint64_t __wrap_listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener);

uint64_t __wrap_listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener)
{
	(void)sockets;
	return drops[listener];
}

static unsigned count_lines(struct captured_log *log)
{
	unsigned lines = 0;

	for (const char *at = captured_log_text(log); (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void drops_are_logged_first_and_then_once_a_minute(void **state)
{
	struct listener_config listeners[] = {{.name = (char *)"a"}, {.name = (char *)"b"}};
	struct config config = {.listeners = listeners, .listener_count = 2};
	struct captured_log log;
	struct drop_monitor monitor = {0};
	uv_loop_t loop;

	(void)state;
	captured_log_open(&log, LOG_LEVEL_INFO);
	uv_loop_init(&loop);
	drop_monitor_start(&monitor, &loop, log.log);
	drops[0] = 100; /* before the monitor began */
	drop_monitor_watch(&monitor, &config, NULL);
	drop_monitor_check(&monitor, 1000);
	assert_string_equal(captured_log_text(&log), "");
	drops[0] += 7;
	drop_monitor_check(&monitor, 2000);
	assert_logged(&log,
		      "warning: listener a: the kernel dropped 7 datagrams, because the receive buffer was full: ");
	drops[0] += 1;
	drops[1] = 3;
	drop_monitor_check(&monitor, 3000);
	assert_logged(&log, "warning: listener b: the kernel dropped 3 datagrams");
	drops[0] += 1;
	drop_monitor_check(&monitor, 2000 + LOG_MS - 1);
	assert_int_equal(count_lines(&log), 2);
	drop_monitor_check(&monitor, 2000 + LOG_MS);
	assert_logged(&log, "warning: listener a: the kernel dropped 2 datagrams");
	drop_monitor_check(&monitor, 10 * LOG_MS);
	assert_int_equal(count_lines(&log), 3);
	uv_close((uv_handle_t *)&monitor.timer, NULL);
	uv_run(&loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&loop), 0);
	drop_monitor_finish(&monitor);
	captured_log_close(&log);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(drops_are_logged_first_and_then_once_a_minute),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

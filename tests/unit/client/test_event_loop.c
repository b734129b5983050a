#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/event_loop.h"

#define DEADLINE_MS 20000

struct fixture {
	struct event_loop loop;
	struct fd_watcher watcher;
	uv_timer_t deadline;
	int read_end, write_end;
	unsigned interrupts, calls;
	unsigned calls_until_stop; /* the watcher is closed and the loop stopped after this number of calls */
	bool expired;
};

static void on_interrupt(void *data)
{
	struct fixture *f = data;

	f->interrupts++;
	event_loop_stop(&f->loop);
}

/* Reads one byte, and ends the loop after the last call. */
static void on_readable(void *data)
{
	struct fixture *f = data;
	char byte;

	assert_int_equal(read(f->read_end, &byte, 1), 1);
	f->calls++;
	if (f->calls < f->calls_until_stop)
		return;
	fd_watcher_close(&f->watcher);
	event_loop_stop(&f->loop);
}

static void on_deadline(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	f->expired = true;
	event_loop_stop(&f->loop);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int ends[2];

	if (!f || pipe2(ends, O_CLOEXEC))
		return -1;
	f->read_end = ends[0];
	f->write_end = ends[1];
	f->loop.on_interrupt = on_interrupt;
	f->loop.data = f;
	f->watcher.on_readable = on_readable;
	f->watcher.data = f;
	if (event_loop_init(&f->loop) || uv_timer_init(&f->loop.uv, &f->deadline))
		return -1;
	f->deadline.data = f;
	*state = f;
	return uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->read_end);
	close(f->write_end);
	free(f);
	return 0;
}

static void run(struct fixture *f)
{
	event_loop_run(&f->loop);
	assert_false(f->expired);
}

/* --- Loop --- */

static void test_signals_interrupt_the_loop(void **state)
{
	static const int numbers[] = {SIGINT, SIGTERM};
	struct fixture *f = *state;

	for (size_t i = 0; i < 2; i++) {
		if (i) {
			assert_int_equal(event_loop_init(&f->loop), 0);
			assert_int_equal(uv_timer_init(&f->loop.uv, &f->deadline), 0);
			assert_int_equal(uv_timer_start(&f->deadline, on_deadline, DEADLINE_MS, 0), 0);
		}
		assert_int_equal(raise(numbers[i]), 0);
		run(f);
		assert_int_equal(f->interrupts, i + 1);
	}
}

static int lowest_free_descriptor(const struct fixture *f)
{
	int fd = dup(f->read_end);

	close(fd);
	return fd;
}

/* The first loop of a process also opens descriptors that libuv keeps, so only the second one is compared. */
static void test_stopped_loop_leaves_nothing_open(void **state)
{
	struct fixture *f = *state;
	int lowest;

	event_loop_stop(&f->loop);
	event_loop_stop(&f->loop);
	run(f);
	lowest = lowest_free_descriptor(f);
	assert_int_equal(event_loop_init(&f->loop), 0);
	assert_int_not_equal(lowest_free_descriptor(f), lowest);
	event_loop_stop(&f->loop);
	run(f);
	assert_int_equal(lowest_free_descriptor(f), lowest);
	assert_int_equal(f->interrupts, 0);
}

/* --- Descriptors --- */

static void test_watcher_reports_data(void **state)
{
	struct fixture *f = *state;

	f->calls_until_stop = 3;
	assert_int_equal(fd_watcher_init(&f->watcher, &f->loop.uv, f->read_end), 0);
	fd_watcher_start(&f->watcher);
	assert_int_equal(write(f->write_end, "abc", 3), 3);
	run(f);
	assert_int_equal(f->calls, 3);
}

static void test_watcher_keeps_the_descriptor_blocking(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fd_watcher_init(&f->watcher, &f->loop.uv, f->read_end), 0);
	fd_watcher_start(&f->watcher);
	assert_int_equal(fcntl(f->read_end, F_GETFL) & O_NONBLOCK, 0);
	fd_watcher_close(&f->watcher);
	event_loop_stop(&f->loop);
	run(f);
	assert_int_equal(fcntl(f->read_end, F_GETFL) & O_NONBLOCK, 0);
}

/* Data is waiting all the time, so that each run of the loop would call on_readable() once. */
static void test_stopped_watcher_reports_nothing(void **state)
{
	struct fixture *f = *state;

	f->calls_until_stop = 9;
	assert_int_equal(fd_watcher_init(&f->watcher, &f->loop.uv, f->read_end), 0);
	assert_int_equal(write(f->write_end, "abc", 3), 3);
	fd_watcher_start(&f->watcher);
	uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 1);
	fd_watcher_stop(&f->watcher);
	uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 1);
	fd_watcher_start(&f->watcher);
	uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 2);
	fd_watcher_close(&f->watcher);
	event_loop_stop(&f->loop);
	run(f);
}

/* epoll(7) rejects a regular file. */
static void test_watcher_accepts_a_file(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/event_loopXXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	unlink(path);
	assert_int_equal(write(fd, "ab", 2), 2);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	assert_int_equal(dup2(fd, f->read_end), f->read_end);
	close(fd);
	f->calls_until_stop = 2;
	assert_int_equal(fd_watcher_init(&f->watcher, &f->loop.uv, f->read_end), 0);
	uv_run(&f->loop.uv, UV_RUN_NOWAIT);
	assert_int_equal(f->calls, 0);
	fd_watcher_start(&f->watcher);
	run(f);
	assert_int_equal(f->calls, 2);
}

static void test_watcher_rejects_a_closed_descriptor(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fd_watcher_init(&f->watcher, &f->loop.uv, -1), -EBADF);
	event_loop_stop(&f->loop);
	run(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_signals_interrupt_the_loop, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_loop_leaves_nothing_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_reports_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_keeps_the_descriptor_blocking, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopped_watcher_reports_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_accepts_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watcher_rejects_a_closed_descriptor, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

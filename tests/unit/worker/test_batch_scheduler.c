/* The batch scheduler in a real loop. The linker replaces tx_batch_flush() and tx_batch_drop_pending(): a test decides
 * which flushes find a full send buffer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/container_of.h"
#include "worker/batch_scheduler.h"

#define WATCHERS 2
#define TIMEOUT_MS 10000

static unsigned full_flushes; /* the next flushes that find a full buffer */
static unsigned flushes, drops;

bool __wrap_tx_batch_flush(struct tx_batch *batch, uint64_t now_ms);
void __wrap_tx_batch_drop_pending(struct tx_batch *batch);

bool __wrap_tx_batch_flush(struct tx_batch *batch, uint64_t now_ms)
{
	(void)batch, (void)now_ms;
	flushes++;
	if (!full_flushes)
		return true;
	full_flushes--;
	return false;
}

void __wrap_tx_batch_drop_pending(struct tx_batch *batch)
{
	(void)batch;
	drops++;
}

struct fixture;

/* A watched socket. The other end makes it readable. */
struct source {
	struct watcher watcher;
	struct fixture *fixture;
	int fd, other_end;
	unsigned calls;
	void (*action)(struct source *source); /* at each call; NULL: none */
};

struct fixture {
	uv_loop_t loop;
	uv_timer_t deadline;
	struct batch_scheduler scheduler;
	struct source sources[WATCHERS];
	unsigned completed;
	unsigned calls_before_completion; /* calls of all watchers */
	bool timed_out;
};

static void on_deadline(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	f->timed_out = true;
}

/* The test reads nothing, so the socket stays readable. */
static void source_on_readable(struct watcher *watcher, int status)
{
	struct source *source = container_of(watcher, struct source, watcher);

	assert_int_equal(status, 0);
	source->calls++;
	if (source->action)
		source->action(source);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	full_flushes = flushes = drops = 0;
	memset(f, 0, sizeof(*f));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	uv_timer_init(&f->loop, &f->deadline);
	f->deadline.data = f;
	uv_timer_start(&f->deadline, on_deadline, TIMEOUT_MS, 0);
	batch_scheduler_init(&f->scheduler, &f->loop, NULL, NULL);
	for (int i = 0; i < WATCHERS; i++) {
		struct source *source = &f->sources[i];
		int fds[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
		*source = (struct source){.fixture = f, .fd = fds[0], .other_end = fds[1]};
		assert_int_equal(batch_scheduler_add(&f->scheduler, &source->watcher, source->fd, source_on_readable),
				 0);
	}
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	batch_scheduler_close(&f->scheduler);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	for (int i = 0; i < WATCHERS; i++) {
		close(f->sources[i].fd);
		close(f->sources[i].other_end);
	}
	return 0;
}

static void make_readable(struct source *source)
{
	assert_int_equal(send(source->other_end, "x", 1, 0), 1);
}

static void start(struct fixture *f)
{
	assert_int_equal(batch_scheduler_start(&f->scheduler), 0);
}

static bool is_watched(const struct source *source)
{
	return uv_is_active((const uv_handle_t *)&source->watcher.poll);
}

/* Runs the loop until *count is at least this. UV_RUN_ONCE could block after the timer that counts. */
static void run_until(struct fixture *f, const unsigned *count, unsigned least)
{
	while (*count < least && !f->timed_out)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_false(f->timed_out);
}

/* One turn of the loop that does not wait. */
static void run_once(struct fixture *f)
{
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

static void on_complete(void *data)
{
	struct fixture *f = data;

	f->completed++;
	f->calls_before_completion = f->sources[0].calls + f->sources[1].calls;
}

static void flush(struct fixture *f)
{
	batch_scheduler_flush(&f->scheduler, on_complete, f);
}

/* --- Watchers --- */

static void watcher_is_called_only_after_start(void **state)
{
	struct fixture *f = *state;

	make_readable(&f->sources[0]);
	run_once(f);
	assert_int_equal(f->sources[0].calls, 0);
	start(f);
	run_until(f, &f->sources[0].calls, 1);
	assert_int_equal(f->sources[1].calls, 0);
}

static void stopped_watcher_is_not_called_until_it_starts(void **state)
{
	struct fixture *f = *state;

	start(f);
	make_readable(&f->sources[0]);
	make_readable(&f->sources[1]);
	watcher_stop(&f->sources[0].watcher);
	run_until(f, &f->sources[1].calls, 3);
	assert_int_equal(f->sources[0].calls, 0);
	watcher_start(&f->sources[0].watcher);
	run_until(f, &f->sources[0].calls, 1);
}

static void bad_descriptor_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct watcher watcher;

	assert_true(batch_scheduler_add(&f->scheduler, &watcher, -1, source_on_readable) < 0);
}

/* --- Flush --- */

static void complete_flush_calls_on_complete_at_once(void **state)
{
	struct fixture *f = *state;

	start(f);
	flush(f);
	assert_int_equal(f->completed, 1);
	assert_int_equal(flushes, 1);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	assert_true(is_watched(&f->sources[0]));
}

static void full_buffer_makes_the_batch_pending_and_stops_all_watchers(void **state)
{
	struct fixture *f = *state;

	start(f);
	full_flushes = 1;
	flush(f);
	assert_true(batch_scheduler_has_pending(&f->scheduler));
	assert_int_equal(f->completed, 0);
	for (int i = 0; i < WATCHERS; i++)
		assert_false(is_watched(&f->sources[i]));
}

static void pending_batch_is_flushed_until_it_is_complete(void **state)
{
	struct fixture *f = *state;

	start(f);
	make_readable(&f->sources[0]);
	full_flushes = 5;
	flush(f);
	run_until(f, &f->completed, 1);
	assert_int_equal(flushes, 6);
	assert_int_equal(f->calls_before_completion, 0);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	for (int i = 0; i < WATCHERS; i++)
		assert_true(is_watched(&f->sources[i]));
	run_until(f, &f->sources[0].calls, 3);
	assert_int_equal(f->completed, 1);
	assert_int_equal(flushes, 6);
	assert_int_equal(drops, 0);
}

static void flush_in_a_turn(struct source *source)
{
	if (source->calls == 1)
		flush(source->fixture);
}

static void batch_that_becomes_pending_in_a_turn_stops_the_other_watchers(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < WATCHERS; i++) {
		f->sources[i].action = flush_in_a_turn;
		make_readable(&f->sources[i]);
	}
	full_flushes = 1;
	start(f);
	run_once(f);
	assert_int_equal(f->sources[0].calls + f->sources[1].calls, 1);
	run_until(f, &f->completed, 2);
}

static void watcher_does_not_start_while_a_batch_is_pending(void **state)
{
	struct fixture *f = *state;

	start(f);
	full_flushes = 1;
	flush(f);
	watcher_start(&f->sources[0].watcher);
	assert_false(is_watched(&f->sources[0]));
	run_until(f, &f->completed, 1);
	assert_true(is_watched(&f->sources[0]));
}

static void flush_again(void *data)
{
	struct fixture *f = data;

	f->completed++;
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	full_flushes = 1;
	flush(f);
}

/* A second batch may follow at once, for example while a worker drains its sockets. */
static void on_complete_may_flush_the_next_batch(void **state)
{
	struct fixture *f = *state;

	start(f);
	full_flushes = 1;
	batch_scheduler_flush(&f->scheduler, flush_again, f);
	run_until(f, &f->completed, 2);
	assert_int_equal(f->completed, 2);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
}

/* --- The end of a pending batch --- */

static void finish_pending_drops_what_a_last_flush_cannot_send(void **state)
{
	struct fixture *f = *state;

	full_flushes = UINT32_MAX;
	flush(f);
	batch_scheduler_finish_pending(&f->scheduler);
	assert_int_equal(flushes, 2);
	assert_int_equal(drops, 1);
	assert_int_equal(f->completed, 1);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	assert_false(uv_is_active((uv_handle_t *)&f->scheduler.retry));
}

static void finish_pending_drops_nothing_if_the_last_flush_sends_all(void **state)
{
	struct fixture *f = *state;

	full_flushes = 1;
	flush(f);
	batch_scheduler_finish_pending(&f->scheduler);
	assert_int_equal(flushes, 2);
	assert_int_equal(drops, 0);
	assert_int_equal(f->completed, 1);
}

static void finish_pending_without_a_batch_does_nothing(void **state)
{
	struct fixture *f = *state;

	batch_scheduler_finish_pending(&f->scheduler);
	assert_int_equal(flushes, 0);
	assert_int_equal(drops, 0);
	assert_int_equal(f->completed, 0);
}

static void close_completes_the_pending_batch(void **state)
{
	struct fixture *f = *state;
	struct batch_scheduler other;

	batch_scheduler_init(&other, &f->loop, NULL, NULL);
	full_flushes = UINT32_MAX;
	batch_scheduler_flush(&other, on_complete, f);
	batch_scheduler_close(&other);
	assert_int_equal(f->completed, 1);
	assert_int_equal(drops, 1);
	run_once(f); /* other ends with this function, so its handles must be closed */
	full_flushes = 0;
}

/* --- Back-off --- */

static void back_off_once(struct source *source)
{
	if (source->calls == 1)
		watcher_back_off(&source->watcher);
}

static void back_off_stops_only_its_watcher_for_a_while(void **state)
{
	struct fixture *f = *state;
	unsigned calls_of_other;

	f->sources[0].action = back_off_once;
	make_readable(&f->sources[0]);
	make_readable(&f->sources[1]);
	start(f);
	run_until(f, &f->sources[0].calls, 1);
	assert_false(is_watched(&f->sources[0]));
	assert_true(is_watched(&f->sources[1]));
	calls_of_other = f->sources[1].calls;
	run_until(f, &f->sources[0].calls, 2);
	assert_true(f->sources[1].calls > calls_of_other);
	assert_true(is_watched(&f->sources[0]));
}

/* The timer is not started again, so that a second watcher cannot delay the first one without end. */
static void second_back_off_does_not_delay_the_first(void **state)
{
	struct fixture *f = *state;
	uint64_t due_in;

	start(f);
	watcher_back_off(&f->sources[0].watcher);
	due_in = uv_timer_get_due_in(&f->scheduler.back_off);
	while (uv_timer_get_due_in(&f->scheduler.back_off) == due_in) {
		uv_sleep(1);
		uv_update_time(&f->loop);
	}
	watcher_back_off(&f->sources[1].watcher);
	assert_true(uv_timer_get_due_in(&f->scheduler.back_off) < due_in);
}

/* on_complete runs before the watchers start. The back-off ends long before it. */
static void end_of_back_off_starts_nothing_while_a_batch_is_pending(void **state)
{
	struct fixture *f = *state;

	start(f);
	full_flushes = UINT32_MAX;
	watcher_back_off(&f->sources[0].watcher);
	flush(f);
	while (uv_is_active((uv_handle_t *)&f->scheduler.back_off) && !f->timed_out)
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_false(f->timed_out);
	assert_true(batch_scheduler_has_pending(&f->scheduler));
	for (int i = 0; i < WATCHERS; i++)
		assert_false(is_watched(&f->sources[i]));
	full_flushes = 0;
	run_until(f, &f->completed, 1);
	assert_true(is_watched(&f->sources[0]));
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(watcher_is_called_only_after_start),
		test(stopped_watcher_is_not_called_until_it_starts),
		test(bad_descriptor_is_an_error),
		test(complete_flush_calls_on_complete_at_once),
		test(full_buffer_makes_the_batch_pending_and_stops_all_watchers),
		test(pending_batch_is_flushed_until_it_is_complete),
		test(batch_that_becomes_pending_in_a_turn_stops_the_other_watchers),
		test(watcher_does_not_start_while_a_batch_is_pending),
		test(on_complete_may_flush_the_next_batch),
		test(finish_pending_drops_what_a_last_flush_cannot_send),
		test(finish_pending_drops_nothing_if_the_last_flush_sends_all),
		test(finish_pending_without_a_batch_does_nothing),
		test(close_completes_the_pending_batch),
		test(back_off_stops_only_its_watcher_for_a_while),
		test(second_back_off_does_not_delay_the_first),
		test(end_of_back_off_starts_nothing_while_a_batch_is_pending),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

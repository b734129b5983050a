/* When retired generations are destroyed, and in which order their datagram logs run. The test replaces the functions
 * of generations and of datagram logs, and the clock of the loop (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "daemon/retired_generations.h"

#define GENERATIONS 20

/* A generation with a datagram log; the address of fake is the log. */
struct fake {
	struct generation generation;
	bool closing, handles_open, flushed, writer_stuck, writer_ended;
};

static struct {
	uv_loop_t loop;
	struct retired_generations retired;
	struct generation *active;
	struct fake items[GENERATIONS];
	uint64_t now_ms;
	char events[512]; /* "stop 0, count 0, resume 1, destroy 0, " */
} t;

static struct fake *fake_of(const struct generation *generation)
{
	return (struct fake *)generation;
}

static struct fake *fake_of_log(const struct datagram_log *dlog)
{
	return (struct fake *)dlog;
}

static void add_event(const char *event, const struct fake *fake)
{
	size_t used = strlen(t.events);

	snprintf(t.events + used, sizeof(t.events) - used, "%s %td, ", event, fake - t.items);
}

/* --- Replaced functions --- */

void __wrap_generation_close(struct generation *generation);
bool __wrap_generation_closed(const struct generation *generation);
bool __wrap_generation_log_flushed(const struct generation *generation);
void __wrap_generation_destroy(struct generation *generation);
bool __wrap_datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms);
bool __wrap_datagram_log_ended(const struct datagram_log *dlog);
void __wrap_datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before);
void __wrap_datagram_log_resume(struct datagram_log *dlog);
uint64_t __wrap_uv_now(const uv_loop_t *loop);

void __wrap_generation_close(struct generation *generation)
{
	fake_of(generation)->closing = true;
}

bool __wrap_generation_closed(const struct generation *generation)
{
	return !fake_of(generation)->handles_open;
}

bool __wrap_generation_log_flushed(const struct generation *generation)
{
	return fake_of(generation)->flushed;
}

void __wrap_generation_destroy(struct generation *generation)
{
	add_event("destroy", fake_of(generation));
}

bool __wrap_datagram_log_stop(struct datagram_log *dlog, unsigned timeout_ms)
{
	assert_int_equal(timeout_ms, DATAGRAM_LOG_STOP_MS);
	add_event("stop", fake_of_log(dlog));
	return !fake_of_log(dlog)->writer_stuck;
}

bool __wrap_datagram_log_ended(const struct datagram_log *dlog)
{
	return fake_of_log(dlog)->writer_ended;
}

void __wrap_datagram_log_adopt_counters(struct datagram_log *dlog, const struct datagram_log *before)
{
	assert_ptr_equal(dlog, t.active->datagram_log);
	add_event("count", fake_of_log(before));
}

void __wrap_datagram_log_resume(struct datagram_log *dlog)
{
	add_event("resume", fake_of_log(dlog));
}

uint64_t __wrap_uv_now(const uv_loop_t *loop)
{
	assert_ptr_equal(loop, &t.loop);
	return t.now_ms;
}

/* --- Fixture --- */

static int set_up(void **state)
{
	(void)state;
	memset(&t, 0, sizeof(t));
	assert_int_equal(uv_loop_init(&t.loop), 0);
	retired_generations_init(&t.retired, &t.loop, &t.active);
	for (size_t i = 0; i < GENERATIONS; i++)
		t.items[i].generation.datagram_log = (struct datagram_log *)&t.items[i];
	t.active = &t.items[0].generation;
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	uv_close((uv_handle_t *)&t.retired.timer, NULL);
	uv_run(&t.loop, UV_RUN_DEFAULT);
	return uv_loop_close(&t.loop);
}

/* Retires the generations 0 to count - 1; generation count is then active. */
static void retire(size_t count)
{
	for (size_t i = 0; i < count; i++) {
		t.active = &t.items[i + 1].generation;
		retired_generations_add(&t.retired, &t.items[i].generation);
		assert_true(t.items[i].closing);
	}
}

/* Runs the timer once. The timer alone does not keep the loop running. */
static void run_timer(void)
{
	assert_true(uv_is_active((uv_handle_t *)&t.retired.timer));
	assert_false(uv_has_ref((uv_handle_t *)&t.retired.timer));
	uv_ref((uv_handle_t *)&t.retired.timer);
	uv_run(&t.loop, UV_RUN_ONCE);
	uv_unref((uv_handle_t *)&t.retired.timer);
}

static void assert_events(const char *expected)
{
	assert_string_equal(t.events, expected);
	t.events[0] = '\0';
}

/* --- Tests --- */

static void closed_and_flushed_generation_is_destroyed(void **state)
{
	(void)state;
	retire(1);
	t.items[0].flushed = true;
	assert_events("");
	run_timer();
	assert_events("stop 0, count 0, resume 1, destroy 0, ");
	assert_false(uv_is_active((uv_handle_t *)&t.retired.timer));
	assert_int_equal(t.retired.count, 0);
}

static void open_handles_delay_the_end(void **state)
{
	(void)state;
	retire(1);
	t.items[0].flushed = t.items[0].handles_open = true;
	t.now_ms = 100000;
	run_timer();
	assert_events("");
	t.items[0].handles_open = false;
	run_timer();
	assert_events("stop 0, count 0, resume 1, destroy 0, ");
}

static void waiting_records_get_ten_seconds(void **state)
{
	(void)state;
	t.now_ms = 5000;
	retire(1);
	t.now_ms = 15000;
	run_timer();
	assert_events("");
	t.now_ms = 15001;
	run_timer();
	assert_events("stop 0, count 0, resume 1, destroy 0, ");
}

static void older_generation_comes_first(void **state)
{
	(void)state;
	retire(2);
	t.items[1].flushed = true;
	run_timer();
	assert_events("");
	t.items[0].flushed = true;
	run_timer();
	assert_events("stop 0, count 0, resume 1, destroy 0, stop 1, count 1, resume 2, destroy 1, ");
}

static void too_many_generations_do_not_wait(void **state)
{
	(void)state;
	retire(16);
	run_timer();
	assert_events("");
	t.active = &t.items[17].generation;
	retired_generations_add(&t.retired, &t.items[16].generation);
	run_timer();
	assert_events("stop 0, count 0, resume 1, destroy 0, ");
}

static void blocked_writer_delays_only_its_own_generation(void **state)
{
	(void)state;
	retire(2);
	t.items[0].flushed = t.items[0].writer_stuck = true;
	run_timer();
	assert_events("stop 0, count 0, resume 1, ");
	t.items[1].flushed = true;
	run_timer();
	assert_events("stop 1, count 1, resume 2, destroy 1, ");
	run_timer();
	assert_events("");
	t.items[0].writer_stuck = false;
	t.items[0].writer_ended = true;
	run_timer();
	assert_events("stop 0, destroy 0, ");
	assert_false(uv_is_active((uv_handle_t *)&t.retired.timer));
}

static void finish_destroys_all_generations_in_order(void **state)
{
	(void)state;
	retire(2);
	assert_true(retired_generations_finish(&t.retired));
	assert_events("stop 0, count 0, resume 1, destroy 0, stop 1, count 1, resume 2, destroy 1, ");
	assert_true(retired_generations_finish(&t.retired));
	assert_events("");
}

static void finish_reports_a_blocked_writer(void **state)
{
	(void)state;
	retire(2);
	t.items[0].writer_stuck = true;
	assert_false(retired_generations_finish(&t.retired));
	assert_events("stop 0, count 0, resume 1, ");
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(closed_and_flushed_generation_is_destroyed),
		test(open_handles_delay_the_end),
		test(waiting_records_get_ten_seconds),
		test(older_generation_comes_first),
		test(too_many_generations_do_not_wait),
		test(blocked_writer_delays_only_its_own_generation),
		test(finish_destroys_all_generations_in_order),
		test(finish_reports_a_blocked_writer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

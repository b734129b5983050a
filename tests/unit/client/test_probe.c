#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "client/probe.h"

static const struct probe sample = {0x01020304, 7, UINT64_MAX, 1234567890123456789};

/* Neither side need be aligned, and what follows is the caller's. */
static void what_is_written_is_read(void **state)
{
	uint8_t datagram[1 + PROBE_SIZE + 1];
	struct probe probe;

	(void)state;
	memset(datagram, 'x', sizeof(datagram));
	probe_write(datagram + 1, &sample);
	assert_int_equal(datagram[0], 'x');
	assert_int_equal(datagram[1 + PROBE_SIZE], 'x');
	assert_true(probe_read(datagram + 1, PROBE_SIZE + 1, sample.run, &probe));
	assert_int_equal(probe.run, sample.run);
	assert_int_equal(probe.flow, sample.flow);
	assert_true(probe.seq == sample.seq);
	assert_true(probe.time_ns == sample.time_ns);
}

static void what_is_too_short_or_another_runs_is_refused(void **state)
{
	uint8_t datagram[PROBE_SIZE];
	struct probe probe;

	(void)state;
	probe_write(datagram, &sample);
	assert_true(probe_read(datagram, PROBE_SIZE, sample.run, &probe));
	assert_false(probe_read(datagram, PROBE_SIZE - 1, sample.run, &probe));
	assert_false(probe_read(datagram, 0, sample.run, &probe));
	assert_false(probe_read(datagram, PROBE_SIZE, sample.run + 1, &probe));
}

static void time_is_the_monotonic_clock(void **state)
{
	struct timespec now;
	uint64_t before = probe_now_ns(), between, after;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &now);
	between = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	after = probe_now_ns();
	assert_in_range(between, before, after);
}

/* Of 8 draws, all alike come once in 2^224 times. */
static void runs_differ(void **state)
{
	uint32_t first = probe_new_run(), others = 0;

	(void)state;
	for (int i = 0; i < 7; i++)
		others |= probe_new_run() ^ first;
	assert_int_not_equal(others, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read),
		cmocka_unit_test(what_is_too_short_or_another_runs_is_refused),
		cmocka_unit_test(time_is_the_monotonic_clock),
		cmocka_unit_test(runs_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <time.h>

#include "client/probe.h"

static const struct probe sample = {0x01020304, 7, UINT64_MAX, 1234567890123456789};

/* The buffers may be unaligned, and bytes behind the header are not changed. */
static void test_written_probe_is_read(void **state)
{
	uint8_t datagram[1 + PROBE_SIZE + 1];
	struct probe probe;

	(void)state;
	memset(datagram, 'x', sizeof(datagram));
	probe_write(datagram + 1, &sample);
	assert_int_equal(datagram[0], 'x');
	assert_int_equal(datagram[1 + PROBE_SIZE], 'x');
	assert_true(probe_read(datagram + 1, PROBE_SIZE + 1, sample.run_id, &probe));
	assert_int_equal(probe.run_id, sample.run_id);
	assert_int_equal(probe.flow, sample.flow);
	assert_true(probe.seq == sample.seq);
	assert_true(probe.time_ns == sample.time_ns);
}

static void test_short_or_foreign_probe_is_rejected(void **state)
{
	uint8_t datagram[PROBE_SIZE];
	struct probe probe;

	(void)state;
	probe_write(datagram, &sample);
	assert_true(probe_read(datagram, PROBE_SIZE, sample.run_id, &probe));
	assert_false(probe_read(datagram, PROBE_SIZE - 1, sample.run_id, &probe));
	assert_false(probe_read(datagram, 0, sample.run_id, &probe));
	assert_false(probe_read(datagram, PROBE_SIZE, sample.run_id + 1, &probe));
}

static void test_clock_is_monotonic(void **state)
{
	struct timespec now;
	uint64_t before = probe_now_ns(), between, after;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &now);
	between = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	after = probe_now_ns();
	assert_in_range(between, before, after);
}

/* Eight equal draws have the probability 2^-224. */
static void test_run_ids_differ(void **state)
{
	uint32_t first = probe_new_run_id(), others = 0;

	(void)state;
	for (int i = 0; i < 7; i++)
		others |= probe_new_run_id() ^ first;
	assert_int_not_equal(others, 0);
}

/* --- Sequence numbers --- */

/* Adds the sequence numbers in this order to a new tracker. */
#define ADD(...) add_all((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static struct delivery_counts add_all(const uint64_t *seqs, size_t count)
{
	struct sequence_tracker tracker = {0};
	struct delivery_counts counts = {0};

	for (size_t i = 0; i < count; i++)
		sequence_tracker_add(&tracker, seqs[i], &counts);
	return counts;
}

static void assert_counts(struct delivery_counts counts, uint64_t received, uint64_t duplicated, uint64_t reordered)
{
	assert_int_equal(counts.received, received);
	assert_int_equal(counts.duplicated, duplicated);
	assert_int_equal(counts.reordered, reordered);
	assert_int_equal(counts.misdelivered, 0);
}

static void test_numbers_in_order(void **state)
{
	struct sequence_tracker tracker = {0};
	struct delivery_counts counts = {0};

	(void)state;
	for (uint64_t seq = 0; seq < 3 * SEQUENCE_TRACKER_WINDOW; seq++)
		sequence_tracker_add(&tracker, seq, &counts);
	assert_counts(counts, 3 * SEQUENCE_TRACKER_WINDOW, 0, 0);
}

static void test_gaps_are_not_counted(void **state)
{
	(void)state;
	assert_counts(ADD(3, 5, 9), 3, 0, 0);
}

static void test_repeated_number_is_a_duplicate(void **state)
{
	(void)state;
	assert_counts(ADD(0, 0, 1, 0, 1), 2, 3, 0);
}

/* A datagram that arrives after a later one counts, not the one that overtook it. */
static void test_late_number_is_reordered(void **state)
{
	(void)state;
	assert_counts(ADD(1, 0), 2, 0, 1);
	assert_counts(ADD(3, 0, 1, 2, 4), 5, 0, 3);
	assert_counts(ADD(3, 0, 0), 2, 1, 1);
}

/* When the window moves, old entries are cleared. */
static void test_window_moves_with_the_highest_number(void **state)
{
	(void)state;
	assert_counts(ADD(0, SEQUENCE_TRACKER_WINDOW), 2, 0, 0);
	assert_counts(ADD(0, 1, SEQUENCE_TRACKER_WINDOW + 2, SEQUENCE_TRACKER_WINDOW + 1), 4, 0, 1);
	assert_counts(ADD(5, 2 * SEQUENCE_TRACKER_WINDOW + 9, SEQUENCE_TRACKER_WINDOW + 10), 3, 0, 1);
	assert_counts(ADD(0, UINT64_MAX - 1, UINT64_MAX - 2, UINT64_MAX - 2), 3, 1, 1);
}

/* The oldest number of the window is still known. An older number counts as a duplicate. */
static void test_number_before_the_window_is_a_duplicate(void **state)
{
	(void)state;
	assert_counts(ADD(SEQUENCE_TRACKER_WINDOW, 1), 2, 0, 1);
	assert_counts(ADD(SEQUENCE_TRACKER_WINDOW, 0), 1, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_written_probe_is_read),
		cmocka_unit_test(test_short_or_foreign_probe_is_rejected),
		cmocka_unit_test(test_clock_is_monotonic),
		cmocka_unit_test(test_run_ids_differ),
		cmocka_unit_test(test_numbers_in_order),
		cmocka_unit_test(test_gaps_are_not_counted),
		cmocka_unit_test(test_repeated_number_is_a_duplicate),
		cmocka_unit_test(test_late_number_is_reordered),
		cmocka_unit_test(test_window_moves_with_the_highest_number),
		cmocka_unit_test(test_number_before_the_window_is_a_duplicate),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

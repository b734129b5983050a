#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "client/sequence_tracker.h"

/* The numbers come in this order, to a tracker of their own. */
#define SEE(...) see((const uint64_t[]){__VA_ARGS__}, sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

static struct tally see(const uint64_t *seqs, size_t count)
{
	struct tracker tracker = {0};
	struct tally tally = {0};

	for (size_t i = 0; i < count; i++)
		tracker_see(&tracker, seqs[i], &tally);
	return tally;
}

static void assert_tally(struct tally tally, uint64_t received, uint64_t duplicated, uint64_t reordered)
{
	assert_int_equal(tally.received, received);
	assert_int_equal(tally.duplicated, duplicated);
	assert_int_equal(tally.reordered, reordered);
	assert_int_equal(tally.misdelivered, 0);
}

static void in_order(void **state)
{
	struct tracker tracker = {0};
	struct tally tally = {0};

	(void)state;
	for (uint64_t seq = 0; seq < 3 * TRACKER_WINDOW; seq++)
		tracker_see(&tracker, seq, &tally);
	assert_tally(tally, 3 * TRACKER_WINDOW, 0, 0);
}

static void gaps_are_nothing_but_missing(void **state)
{
	(void)state;
	assert_tally(SEE(3, 5, 9), 3, 0, 0);
}

static void the_same_again_is_a_duplicate(void **state)
{
	(void)state;
	assert_tally(SEE(0, 0, 1, 0, 1), 2, 3, 0);
}

/* Those that come after a later one, not those that have overtaken. */
static void late_ones_are_reordered(void **state)
{
	(void)state;
	assert_tally(SEE(1, 0), 2, 0, 1);
	assert_tally(SEE(3, 0, 1, 2, 4), 5, 0, 3);
	assert_tally(SEE(3, 0, 0), 2, 1, 1);
}

/* Where the window begins anew, what stood there before is forgotten. */
static void numbers_a_window_apart_are_told_apart(void **state)
{
	(void)state;
	assert_tally(SEE(0, TRACKER_WINDOW), 2, 0, 0);
	assert_tally(SEE(0, 1, TRACKER_WINDOW + 2, TRACKER_WINDOW + 1), 4, 0, 1);
	assert_tally(SEE(5, 2 * TRACKER_WINDOW + 9, TRACKER_WINDOW + 10), 3, 0, 1);
	assert_tally(SEE(0, UINT64_MAX - 1, UINT64_MAX - 2, UINT64_MAX - 2), 3, 1, 1);
}

/* The oldest number of the window is known one by one; of what is older it cannot be told whether it came before. */
static void before_the_window_all_are_duplicates(void **state)
{
	(void)state;
	assert_tally(SEE(TRACKER_WINDOW, 1), 2, 0, 1);
	assert_tally(SEE(TRACKER_WINDOW, 0), 1, 1, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_order),
		cmocka_unit_test(gaps_are_nothing_but_missing),
		cmocka_unit_test(the_same_again_is_a_duplicate),
		cmocka_unit_test(late_ones_are_reordered),
		cmocka_unit_test(numbers_a_window_apart_are_told_apart),
		cmocka_unit_test(before_the_window_all_are_duplicates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

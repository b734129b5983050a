#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard/hop_limit.h"

/* Copies that one datagram causes if every copy comes back with the hop limit that it was sent with. */
static uint64_t copies_of_loop(uint8_t received, size_t copies)
{
	uint64_t total = 0, level = copies;

	for (uint8_t hop = hop_limit_next(received, copies); hop; hop = hop_limit_next(hop, copies)) {
		total += level;
		level *= copies;
	}
	return total;
}

static void test_a_loop_causes_at_most_256_copies(void **state)
{
	(void)state;
	for (size_t copies = 1; copies <= 256; copies++) {
		for (unsigned received = 1; received <= UINT8_MAX; received++)
			assert_in_range(copies_of_loop((uint8_t)received, copies), 0, 256);
	}
}

static void test_every_step_is_smaller(void **state)
{
	(void)state;
	for (size_t copies = 1; copies <= 100; copies++) {
		for (unsigned received = 1; received <= UINT8_MAX; received++)
			assert_true(hop_limit_next((uint8_t)received, copies) < received);
	}
}

static void test_usual_senders_are_sent_on(void **state)
{
	static const uint8_t usual[] = {32, 44, 57, 64, 128, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(usual); i++) {
		assert_true(hop_limit_next(usual[i], 1) >= 28);
		assert_true(hop_limit_next(usual[i], 4) >= 12);
		assert_true(hop_limit_next(usual[i], 1000) >= 16);
	}
	assert_int_equal(hop_limit_next(64, 1), HOP_LIMIT_MAX);
	assert_int_equal(hop_limit_next(255, 15), HOP_LIMIT_MAX);
}

static void test_an_unknown_hop_limit_gets_the_largest(void **state)
{
	(void)state;
	assert_int_equal(hop_limit_next(0, 1), HOP_LIMIT_MAX);
	assert_int_equal(hop_limit_next(0, 100), 16);
}

static void test_a_used_up_hop_limit_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(hop_limit_next(1, 1), 0);
	assert_int_equal(hop_limit_next(4, 1), 0);
	assert_int_equal(hop_limit_next(5, 1), 4);
	assert_int_equal(hop_limit_next(16, 16), 0);
	assert_int_equal(hop_limit_next(17, 16), 16);
}

static void test_values_counts_all_results(void **state)
{
	(void)state;
	for (size_t copies = 1; copies <= 40; copies++) {
		uint8_t seen[256] = {0};
		size_t count = 0;

		for (unsigned received = 0; received <= UINT8_MAX; received++) {
			uint8_t next = hop_limit_next((uint8_t)received, copies);

			count += !seen[next];
			seen[next] = 1;
		}
		assert_int_equal(hop_limit_values(copies), count);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_loop_causes_at_most_256_copies),
		cmocka_unit_test(test_every_step_is_smaller),
		cmocka_unit_test(test_usual_senders_are_sent_on),
		cmocka_unit_test(test_an_unknown_hop_limit_gets_the_largest),
		cmocka_unit_test(test_a_used_up_hop_limit_is_dropped),
		cmocka_unit_test(test_values_counts_all_results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard/hop_limit.h"

/* The most datagrams that a datagram with this hop limit can cause, if every copy comes back to a forward, and each
 * forward has the number of peers that is worst at this place. worst[] has the results for smaller hop limits. */
static uint64_t worst_tree(const uint64_t worst[], unsigned received)
{
	uint64_t most = 0;

	for (size_t copies = 1; copies <= HOP_LIMIT_BUDGET; copies++) {
		uint8_t next = hop_limit_next((uint8_t)received, copies);
		uint64_t total = next ? copies * (1 + worst[next]) : 0;

		most = total > most ? total : most;
	}
	return most;
}

static void test_any_tree_of_forwards_has_at_most_256_datagrams(void **state)
{
	uint64_t worst[UINT8_MAX + 1] = {0};

	(void)state;
	for (unsigned received = 1; received <= UINT8_MAX; received++) {
		worst[received] = worst_tree(worst, received);
		assert_in_range(worst[received], 0, HOP_LIMIT_BUDGET);
	}
}

/* The number of forwards with this number of peers that a fresh datagram passes in sequence. */
static unsigned forwards_in_sequence(size_t peers)
{
	unsigned count = 0;

	for (uint8_t hop = hop_limit_next(64, peers); hop; hop = hop_limit_next(hop, peers))
		count++;
	return count;
}

static void test_forwards_in_sequence(void **state)
{
	(void)state;
	assert_int_equal(forwards_in_sequence(1), 8);
	assert_int_equal(forwards_in_sequence(2), 5);
	assert_int_equal(forwards_in_sequence(3), 4);
	assert_int_equal(forwards_in_sequence(5), 3);
	assert_int_equal(forwards_in_sequence(15), 2);
	assert_int_equal(forwards_in_sequence(16), 1);
}

/* The smallest received hop limit that a forward with this number of peers accepts. */
static unsigned least_accepted(size_t peers)
{
	unsigned received = 1;

	while (!hop_limit_next((uint8_t)received, peers))
		received++;
	return received;
}

static void test_more_peers_need_a_larger_hop_limit(void **state)
{
	static const struct {
		size_t peers;
		unsigned received;
	} limits[] = {{1, 17},  {3, 17},  {4, 21},  {6, 21},   {7, 25},   {15, 25},  {16, 29},  {36, 29},
		      {37, 33}, {75, 33}, {76, 37}, {127, 37}, {128, 41}, {255, 41}, {256, 61}, {1000, 61}};

	(void)state;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		assert_int_equal(least_accepted(limits[i].peers), limits[i].received);
}

static void test_every_step_is_smaller(void **state)
{
	(void)state;
	for (size_t copies = 1; copies <= 100; copies++) {
		for (unsigned received = 1; received <= UINT8_MAX; received++)
			assert_true(hop_limit_next((uint8_t)received, copies) < received);
	}
}

/* Hosts start with 64, 128 or 255, and a way through more than 20 routers is rare. */
static void test_usual_senders_are_sent_on(void **state)
{
	static const uint8_t usual[] = {64, 128, 255};

	(void)state;
	for (size_t i = 0; i < sizeof(usual); i++) {
		for (size_t copies = 1; copies < 256; copies++)
			assert_true(hop_limit_next(usual[i] - 20, copies) >= 16);
		assert_int_equal(hop_limit_next(usual[i], 1), HOP_LIMIT_MAX);
	}
	assert_int_equal(hop_limit_next(64, 1000), 16);
}

/* Copies of such a datagram pass one more forward with up to 15 peers. */
static void test_an_unknown_hop_limit_gets_a_small_budget(void **state)
{
	(void)state;
	for (size_t copies = 1; copies <= 16; copies++)
		assert_true(hop_limit_next(hop_limit_next(0, copies), 15));
	assert_int_equal(hop_limit_next(hop_limit_next(0, 1), 16), 0);
	assert_int_equal(hop_limit_next(0, 255), 16);
}

static void test_a_used_up_hop_limit_is_dropped(void **state)
{
	(void)state;
	assert_int_equal(hop_limit_next(1, 1), 0);
	assert_int_equal(hop_limit_next(16, 1), 0);
	assert_int_equal(hop_limit_next(17, 1), 16);
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
		assert_in_range(hop_limit_values(copies), count, count + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_tree_of_forwards_has_at_most_256_datagrams),
		cmocka_unit_test(test_forwards_in_sequence),
		cmocka_unit_test(test_more_peers_need_a_larger_hop_limit),
		cmocka_unit_test(test_every_step_is_smaller),
		cmocka_unit_test(test_usual_senders_are_sent_on),
		cmocka_unit_test(test_an_unknown_hop_limit_gets_a_small_budget),
		cmocka_unit_test(test_a_used_up_hop_limit_is_dropped),
		cmocka_unit_test(test_values_counts_all_results),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

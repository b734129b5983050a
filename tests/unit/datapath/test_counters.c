#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "datapath/counters.h"

static void counter_adds_up(void **state)
{
	counter c = 0;

	(void)state;
	counter_add(&c, 1);
	counter_add(&c, 0);
	counter_add(&c, UINT64_C(1) << 40);
	assert_int_equal(counter_get(&c), (UINT64_C(1) << 40) + 1);
}

/* All members of these structs are counters, so each has a different value. An addition that leaves out a new member
 * fails these tests. */
static void fill(counter *counters, size_t bytes, uint64_t step)
{
	for (size_t i = 0; i < bytes / sizeof(counter); i++)
		counter_add(&counters[i], step * (i + 1));
}

static void assert_filled(const counter *counters, size_t bytes, uint64_t step)
{
	assert_int_equal(bytes % sizeof(counter), 0);
	for (size_t i = 0; i < bytes / sizeof(counter); i++)
		assert_int_equal(counter_get(&counters[i]), step * (i + 1));
}

static void all_counters_of_a_listener_add_up(void **state)
{
	struct listener_counters a = {0}, b = {0};

	(void)state;
	fill((counter *)&a, sizeof(a), 1);
	fill((counter *)&b, sizeof(b), 1000);
	listener_counters_add(&a, &b);
	assert_filled((const counter *)&a, sizeof(a), 1001);
	assert_filled((const counter *)&b, sizeof(b), 1000);
}

static void all_counters_of_a_relay_add_up(void **state)
{
	struct relay_counters a = {0}, b = {0};

	(void)state;
	fill((counter *)&a, sizeof(a), 1);
	fill((counter *)&b, sizeof(b), 1000);
	relay_counters_add(&a, &b);
	assert_filled((counter *)&a, sizeof(a), 1001);
}

static void all_counters_of_a_peer_add_up(void **state)
{
	struct peer_counters a = {0}, b = {0};

	(void)state;
	fill((counter *)&a, sizeof(a), 1);
	fill((counter *)&b, sizeof(b), 1000);
	peer_counters_add(&a, &b);
	assert_filled((const counter *)&a, sizeof(a), 1001);
	assert_filled((const counter *)&b, sizeof(b), 1000);
}

static void all_receive_counters_add_up(void **state)
{
	struct receive_counters a = {0}, b = {0};

	(void)state;
	fill((counter *)&a, sizeof(a), 1);
	fill((counter *)&b, sizeof(b), 1000);
	receive_counters_add(&a, &b);
	assert_filled((counter *)&a, sizeof(a), 1001);
}

static void buckets_are_powers_of_two(void **state)
{
	(void)state;
	assert_int_equal(size_bucket(0), 0);
	for (unsigned bucket = 0; bucket < SIZE_BUCKETS; bucket++) {
		assert_int_equal(size_bucket(1u << bucket), bucket);
		if (bucket + 1 < SIZE_BUCKETS)
			assert_int_equal(size_bucket((1u << bucket) + 1), bucket + 1);
	}
	assert_int_equal(size_bucket(UINT32_MAX), SIZE_BUCKETS - 1);
}

static void drops_total_is_the_sum_of_all_reasons(void **state)
{
	counter drops[DROP_REASONS] = {0};

	(void)state;
	assert_int_equal(drops_total(drops), 0);
	fill(drops, sizeof(drops), 1);
	assert_int_equal(drops_total(drops), DROP_REASONS * (DROP_REASONS + 1) / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counter_adds_up),
		cmocka_unit_test(all_counters_of_a_listener_add_up),
		cmocka_unit_test(all_counters_of_a_relay_add_up),
		cmocka_unit_test(all_counters_of_a_peer_add_up),
		cmocka_unit_test(all_receive_counters_add_up),
		cmocka_unit_test(buckets_are_powers_of_two),
		cmocka_unit_test(drops_total_is_the_sum_of_all_reasons),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

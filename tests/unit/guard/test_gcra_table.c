/* The table of packet rates, with hashes and times that the tests choose. A table of 8 senders has one set, so the tag
 * in the upper 16 bits of the hash alone selects the sender. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "guard/gcra_table.h"
#include "net/train.h"

#define START 123456789 /* start of the clock, in ms */
#define SLOTS 8

static uint64_t sender(uint64_t tag)
{
	return tag << 48;
}

static struct gcra_table *create(size_t senders, uint32_t rate, uint32_t burst)
{
	struct gcra_table *table;

	assert_int_equal(gcra_table_create(&table, senders, rate, burst), 0);
	return table;
}

/* Takes single datagrams until the sender has no credit. Returns their number. */
static uint64_t take_all(struct gcra_table *table, uint64_t hash, uint64_t now_ms)
{
	uint64_t count = 0;

	while (gcra_table_take(table, hash, 1, now_ms))
		count++;
	return count;
}

static void credit_returns_at_the_rate(void **state)
{
	struct gcra_table *table = create(SLOTS, 100, 5);

	(void)state;
	assert_int_equal(take_all(table, sender(1), START), 5);
	assert_int_equal(take_all(table, sender(1), START + 9), 0);
	assert_int_equal(take_all(table, sender(1), START + 10), 1);
	assert_int_equal(take_all(table, sender(1), START + 40), 3);
	assert_int_equal(take_all(table, sender(1), START + 10000), 5);
	gcra_table_destroy(table);
}

static void default_burst_is_one_second(void **state)
{
	struct gcra_table *table = create(SLOTS, 70, 0);

	(void)state;
	assert_int_equal(take_all(table, sender(1), START), 70);
	gcra_table_destroy(table);
}

/* With credit for one datagram, a train is taken whole. The rest is a debt. */
static void train_over_the_credit_becomes_debt(void **state)
{
	struct gcra_table *table = create(SLOTS, 1000, 10);

	(void)state;
	for (int i = 0; i < 9; i++)
		assert_true(gcra_table_take(table, sender(1), 1, START));
	assert_true(gcra_table_take(table, sender(1), TRAIN_MAX, START));
	assert_false(gcra_table_take(table, sender(1), 1, START));
	assert_false(gcra_table_take(table, sender(1), 1, START + TRAIN_MAX - 1));
	assert_true(gcra_table_take(table, sender(1), 1, START + TRAIN_MAX));
	gcra_table_destroy(table);
}

static void train_within_the_credit_costs_each_datagram(void **state)
{
	struct gcra_table *table = create(SLOTS, 1000, 10);

	(void)state;
	assert_true(gcra_table_take(table, sender(1), 7, START));
	assert_int_equal(take_all(table, sender(1), START), 3);
	gcra_table_destroy(table);
}

static void refused_datagram_costs_nothing(void **state)
{
	struct gcra_table *table = create(SLOTS, 1000, 1);

	(void)state;
	assert_true(gcra_table_take(table, sender(1), 1, START));
	for (int i = 0; i < 100; i++)
		assert_false(gcra_table_take(table, sender(1), TRAIN_MAX, START));
	assert_true(gcra_table_take(table, sender(1), 1, START + 1));
	gcra_table_destroy(table);
}

static void senders_of_one_set_have_their_own_credit(void **state)
{
	struct gcra_table *table = create(SLOTS, 1, 10);

	(void)state;
	for (uint64_t tag = 1; tag <= SLOTS; tag++)
		assert_int_equal(take_all(table, sender(tag), START), 10);
	for (uint64_t tag = 1; tag <= SLOTS; tag++)
		assert_int_equal(take_all(table, sender(tag), START), 0);
	gcra_table_destroy(table);
}

/* The lower bits select the set: two sets for 16 senders. */
static void same_tag_in_another_set_is_another_sender(void **state)
{
	struct gcra_table *table = create(2 * SLOTS, 1, 10);

	(void)state;
	assert_int_equal(take_all(table, sender(1), START), 10);
	assert_int_equal(take_all(table, sender(1) + 1, START), 10);
	assert_int_equal(take_all(table, sender(1) + 2, START), 0); /* the first set again */
	gcra_table_destroy(table);
}

/* Sender t of 1 to 8 has used t of its 10 datagrams. */
static void new_sender_evicts_the_one_with_most_credit(void **state)
{
	struct gcra_table *table = create(SLOTS, 1, 10);

	(void)state;
	for (uint32_t tag = SLOTS; tag; tag--)
		assert_true(gcra_table_take(table, sender(tag), tag, START));
	assert_true(gcra_table_take(table, sender(100), 1, START));
	for (uint64_t tag = 2; tag <= SLOTS; tag++)
		assert_int_equal(take_all(table, sender(tag), START), 10 - tag);
	assert_int_equal(take_all(table, sender(1), START), 10); /* evicted, so it has its full burst again */
	gcra_table_destroy(table);
}

static void full_set_of_indebted_senders_admits_a_new_one(void **state)
{
	struct gcra_table *table = create(SLOTS, 1, 10);
	unsigned evicted = 0;

	(void)state;
	for (uint64_t tag = 1; tag <= SLOTS; tag++)
		assert_int_equal(take_all(table, sender(tag), START), 10);
	assert_int_equal(take_all(table, sender(100), START), 10);
	for (uint64_t tag = 1; tag <= SLOTS && !evicted; tag++)
		evicted += gcra_table_take(table, sender(tag), 1, START);
	assert_int_equal(evicted, 1);
	gcra_table_destroy(table);
}

/* 2^31 datagrams per second: 48 bits of time end after 2^17 seconds. */
static void time_wraps_around_in_a_debt(void **state)
{
	const uint32_t rate = UINT32_C(1) << 31, burst = 3000000;
	const uint64_t wrap_ms = UINT64_C(1000) << 17, per_ms = rate / 1000 + 1;
	struct gcra_table *table = create(SLOTS, rate, burst);

	(void)state;
	assert_int_equal(take_all(table, sender(1), wrap_ms - 1), burst); /* paid after the wrap-around */
	assert_int_equal(take_all(table, sender(1), wrap_ms - 1), 0);
	assert_int_equal(take_all(table, sender(2), wrap_ms - 1), burst);
	assert_int_equal(take_all(table, sender(1), wrap_ms), per_ms);
	assert_int_equal(take_all(table, sender(2), wrap_ms), per_ms);
	assert_int_equal(take_all(table, sender(1), wrap_ms + 1000), burst);
	gcra_table_destroy(table);
}

/* A worker with a slow clock must see the debt that another one has charged across the wrap-around. */
static void late_clock_before_the_wrap_around_sees_the_debt(void **state)
{
	const uint32_t rate = UINT32_C(1) << 31, burst = 3000000;
	const uint64_t wrap_ms = UINT64_C(1000) << 17;
	struct gcra_table *table = create(SLOTS, rate, burst);

	(void)state;
	assert_int_equal(take_all(table, sender(1), wrap_ms + 500), burst);
	assert_int_equal(take_all(table, sender(1), wrap_ms - 500), 0);
	gcra_table_destroy(table);
}

static void destroy_accepts_null(void **state)
{
	(void)state;
	gcra_table_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(credit_returns_at_the_rate),
		cmocka_unit_test(default_burst_is_one_second),
		cmocka_unit_test(train_over_the_credit_becomes_debt),
		cmocka_unit_test(train_within_the_credit_costs_each_datagram),
		cmocka_unit_test(refused_datagram_costs_nothing),
		cmocka_unit_test(senders_of_one_set_have_their_own_credit),
		cmocka_unit_test(same_tag_in_another_set_is_another_sender),
		cmocka_unit_test(new_sender_evicts_the_one_with_most_credit),
		cmocka_unit_test(full_set_of_indebted_senders_admits_a_new_one),
		cmocka_unit_test(time_wraps_around_in_a_debt),
		cmocka_unit_test(late_clock_before_the_wrap_around_sees_the_debt),
		cmocka_unit_test(destroy_accepts_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The tests have their own time: `now` in milliseconds. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guard/ring_guard.h"

static uint64_t now;
static struct ring_guard_sampler sampler;
static int allocations_left; /* below 0: all succeed */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return allocations_left < 0 || allocations_left-- > 0 ? __real_calloc(count, size) : NULL;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return allocations_left < 0 || allocations_left-- > 0 ? __real_aligned_alloc(alignment, size) : NULL;
}

static int set_up(void **state)
{
	struct ring_guard *guard;

	allocations_left = -1;
	now = 987654321;
	sampler = ring_guard_sampler_of(0);
	if (ring_guard_create(&guard))
		return -1;
	*state = guard;
	return 0;
}

static int tear_down(void **state)
{
	ring_guard_destroy(*state);
	return 0;
}

static struct address client_at(uint16_t port)
{
	struct address client;

	address_from_ip(&client, "192.0.2.1", port);
	return client;
}

static struct train train_of(const void *data, uint32_t size, uint32_t segment)
{
	struct train train = {.data = (uint8_t *)data, .size = size, .segment = segment};

	train.count = (uint16_t)(size ? (size + segment - 1) / segment : 1);
	train.end = train.count;
	return train;
}

static bool passes_from(struct ring_guard *guard, const struct address *client, enum ring_direction direction,
			const void *data, uint32_t size)
{
	struct train train = train_of(data, size, size);
	bool dropped = ring_guard_check(guard, &sampler, client, direction, &train, now);

	assert_int_equal(dropped, train.drop == DROP_RING);
	return !dropped;
}

/* Returns whether the single datagram passes. */
static bool passes(struct ring_guard *guard, uint16_t port, const void *data, uint32_t size)
{
	struct address client = client_at(port);

	return passes_from(guard, &client, RING_FROM_CLIENT, data, size);
}

/* Sends the same text from one port, at this interval. Returns the number of drops. */
static unsigned drops_of(struct ring_guard *guard, uint16_t port, const char *text, unsigned times,
			 unsigned interval_ms)
{
	unsigned drops = 0;

	for (unsigned i = 0; i < times; i++, now += interval_ms)
		drops += !passes(guard, port, text, (uint32_t)strlen(text));
	return drops;
}

/* --- Loops end --- */

/* The payloads and the sources of the circulating datagrams. */
enum loop_kind { LOOP_EQUAL, LOOP_DIFFERENT, LOOP_MANY_SOURCES };

static bool circulating_passes(struct ring_guard *guard, enum loop_kind kind, unsigned i)
{
	struct address client = client_at(7);
	char text[32];

	snprintf(text, sizeof(text), "payload %u", kind == LOOP_DIFFERENT ? i : 0);
	if (kind == LOOP_MANY_SOURCES)
		client.v4.sin_addr.s_addr += htonl(i);
	return passes_from(guard, &client, RING_FROM_CLIENT, text, (uint32_t)strlen(text));
}

/* Circulates datagrams until all are dropped. Returns the number that passed. */
static uint64_t circulate(struct ring_guard *guard, unsigned count, enum loop_kind kind, unsigned per_ms)
{
	uint64_t passed = 0;
	unsigned left = count;
	bool *gone = calloc(count, sizeof(*gone));

	while (left) {
		for (unsigned i = 0; i < count; i++) {
			if (gone[i])
				continue;
			now += passed % per_ms == 0;
			if (circulating_passes(guard, kind, i)) {
				passed++;
			} else {
				gone[i] = true;
				left--;
			}
			assert_true(passed < UINT64_C(4096) * count);
		}
	}
	free(gone);
	return passed;
}

static void test_a_loop_of_one_datagram_ends(void **state)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < 200; i++, now += 60000)
		total += circulate(*state, 1, LOOP_EQUAL, 20);
	assert_in_range(total / 200, 60, 256);
}

static void test_a_loop_of_many_datagrams_ends(void **state)
{
	static const unsigned counts[] = {40, 4000};

	for (unsigned i = 0; i < 2; i++) {
		now += 60000;
		assert_in_range(circulate(*state, counts[i], LOOP_EQUAL, 20) / counts[i], 150, 256);
		now += 60000;
		assert_in_range(circulate(*state, counts[i], LOOP_DIFFERENT, 20) / counts[i], 150, 256);
	}
}

/* Sources need a meter each, and payloads a place each. */
static void test_many_loops_end(void **state)
{
	assert_in_range(circulate(*state, 6000, LOOP_MANY_SOURCES, 2000) / 6000, 60, 256);
	now += 60000;
	assert_in_range(circulate(*state, 30000, LOOP_DIFFERENT, 200) / 30000, 60, 256);
}

/* More than the tables can hold. */
static void test_overfilled_tables_still_end_loops(void **state)
{
	unsigned drops = 0;

	assert_in_range(circulate(*state, 15000, LOOP_MANY_SOURCES, 3000) / 15000, 60, 300);
	now += 60000;
	for (unsigned i = 0; i < 20 * 90000; i++) {
		now += i % 400 == 0;
		drops += !circulating_passes(*state, LOOP_DIFFERENT, i % 90000);
	}
	assert_in_range(20 * 90000 / drops, 200, 700);
}

static void test_a_loop_with_a_long_delay_ends(void **state)
{
	uint64_t passed = 0;

	for (unsigned round = 0; round < 1000; round++) {
		for (unsigned i = 0; i < 1000; i++, now += 12)
			passed += circulating_passes(*state, LOOP_DIFFERENT, i);
	}
	assert_in_range(passed, 0, 1000 * 1000 - 4000); /* 83 per second: one of 205 is dropped */
}

/* The host of a peer is one sender, although it sends from a new port each time. */
static void test_a_loop_through_new_ports_ends(void **state)
{
	uint64_t total = 0;

	for (unsigned i = 0; i < 100; i++, now += 60000) {
		uint16_t port = 1024;
		struct address peer = client_at(port);

		while (passes_from(*state, &peer, RING_FROM_PEER_HOST, "new port", 8)) {
			address_set_port(&peer, ++port);
			now += ++total % 20 == 0;
			assert_true(total < 4096 * 100);
		}
	}
	assert_in_range(total / 100, 60, 256);
}

static void test_a_slow_loop_ends(void **state)
{
	uint64_t total = 0;

	for (uint16_t port = 1; port <= 100; port++) {
		while (passes(*state, port, "slow", 4)) {
			now += 100; /* 10 per second */
			total++;
		}
		assert_true(total < UINT64_C(4200) * port);
	}
	assert_in_range(total / 100, 1000, 4096);
}

static void test_a_loop_of_trains_ends(void **state)
{
	char data[4000];
	uint64_t passed = 0;
	struct train train;
	struct address client = client_at(7);
	unsigned left = 40;

	for (unsigned i = 0; i < sizeof(data); i++)
		data[i] = (char)(i / 100);
	train = train_of(data, sizeof(data), 100);
	while (left) {
		train = train_of(data, left * 100, 100);
		ring_guard_check(*state, &sampler, &client, RING_FROM_CLIENT, &train, now);
		if (train.drop) {
			left = 0;
		} else if (train.skip) {
			assert_int_equal(train.skip_reason, DROP_RING);
			memmove(data, data + 100, sizeof(data) - 100);
			left--;
		} else if (train.end < train.count) {
			assert_int_equal(train.end_reason, DROP_RING);
			left--;
		}
		passed += left;
		now += 1;
		assert_true(passed < 4096 * 40);
	}
	assert_in_range(passed / 40, 100, 256);
}

/* --- Honest clients --- */

static void test_two_per_second_lose_nothing(void **state)
{
	assert_int_equal(drops_of(*state, 7, "heartbeat", 20000, 501), 0);
}

static void test_fifty_per_second_lose_one_of_4096(void **state)
{
	assert_in_range(drops_of(*state, 7, "beat", 40960, 21), 7, 13);
}

static void test_a_flood_loses_half_a_percent(void **state)
{
	assert_in_range(drops_of(*state, 7, "flood", 400000, 1), 1200, 2000);
}

static void test_different_payloads_lose_nothing(void **state)
{
	char text[32], large[1400];

	memset(large, 'x', sizeof(large));
	for (unsigned i = 0; i < 200000; i++, now += i % 20 == 0) {
		snprintf(text, sizeof(text), "number %u", i);
		assert_true(passes(*state, 7, text, (uint32_t)strlen(text)));
		memcpy(large + 700, &i, sizeof(i)); /* only the middle differs */
		assert_true(passes(*state, 8, large, sizeof(large)));
	}
}

static void test_many_clients_may_send_the_same(void **state)
{
	for (unsigned round = 0; round < 30; round++, now += 1000) {
		for (uint16_t port = 1000; port < 3000; port++)
			assert_true(passes(*state, port, "ping", 4));
	}
}

static void test_replies_do_not_count_as_requests(void **state)
{
	struct address client = client_at(7);

	for (unsigned i = 0; i < 2000; i++, now += 600) {
		struct train request = train_of("same", 4, 4), reply = request;

		assert_false(ring_guard_check(*state, &sampler, &client, RING_FROM_CLIENT, &request, now));
		assert_false(ring_guard_check(*state, &sampler, &client, RING_TO_CLIENT, &reply, now));
	}
}

static void test_a_different_datagram_of_a_train_is_not_dropped(void **state)
{
	struct address client = client_at(7);
	char data[200] = "same";

	for (unsigned i = 0; i < 20000; i++, now++) {
		struct train train = train_of(data, sizeof(data), 100);

		snprintf(data + 100, 100, "number %u", i);
		ring_guard_check(*state, &sampler, &client, RING_FROM_CLIENT, &train, now);
		assert_int_equal(train.drop, DROP_NONE);
		assert_int_equal(train.end, 2);
	}
}

/* Sends trains of 40 at 9 in 10 seconds, of which this number repeats at each end. Returns the number of drops. */
static unsigned drops_of_trains(struct ring_guard *guard, unsigned repeated_ends)
{
	struct address client = client_at(7);
	char data[40 * 16];
	unsigned drops = 0, number = 0;

	for (unsigned i = 0; i < 20000; i++, now += 1111) {
		struct train train = train_of(data, sizeof(data), 16);

		for (unsigned d = 0; d < 40; d++)
			snprintf(data + (size_t)d * 16, 16, "number %07u", number++ % 10000000);
		memset(data, 'h', 16);
		if (repeated_ends > 1)
			memset(data + sizeof(data) - 16, 't', 16);
		drops += ring_guard_check(guard, &sampler, &client, RING_FROM_CLIENT, &train, now);
	}
	return drops;
}

static void test_repeated_headers_of_trains_lose_nothing(void **state)
{
	assert_int_equal(drops_of_trains(*state, 1), 0);
	assert_int_equal(drops_of_trains(*state, 2), 0);
}

static void test_a_flood_of_sources_hides_no_loop(void **state)
{
	uint64_t passed = 0, flood = 0;

	while (passes(*state, 7, "loop", 4)) {
		char text[32];

		for (unsigned i = 0; i < 20; i++, flood++) {
			snprintf(text, sizeof(text), "forged %lu", (unsigned long)flood);
			passes(*state, (uint16_t)(1000 + flood % 60000), text, (uint32_t)strlen(text));
		}
		passed++;
		now += passed % 10 == 0;
		assert_true(passed < 4096);
	}
}

/* --- Details --- */

static void test_a_train_that_is_cut_at_both_ends_is_left_alone(void **state)
{
	struct address client = client_at(7);

	for (unsigned i = 0; i < 10000; i++, now++) {
		struct train train = train_of("aaaabbbbcccc", 12, 4);

		train.skip = 1;
		train.end = 2;
		assert_false(ring_guard_check(*state, &sampler, &client, RING_FROM_CLIENT, &train, now));
	}
}

static void test_empty_datagrams_and_unix_senders_repeat_too(void **state)
{
	struct address client;
	unsigned drops = 0;

	assert_int_equal(address_parse(&client, "unix:/run/client"), 0);
	for (unsigned i = 0; i < 10000; i++, now++) {
		struct train train = train_of("", 0, 0);

		drops += ring_guard_check(*state, &sampler, &client, RING_FROM_CLIENT, &train, now);
	}
	assert_in_range(drops, 20, 70);
}

static void test_create_reports_missing_memory(void **state)
{
	struct ring_guard *guard;

	(void)state;
	for (int i = 0; i < 2; i++) {
		allocations_left = i;
		assert_int_equal(ring_guard_create(&guard), -ENOMEM);
	}
	ring_guard_destroy(NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_a_loop_of_one_datagram_ends),
		test(test_a_loop_of_many_datagrams_ends),
		test(test_many_loops_end),
		test(test_overfilled_tables_still_end_loops),
		test(test_a_loop_with_a_long_delay_ends),
		test(test_a_loop_through_new_ports_ends),
		test(test_a_slow_loop_ends),
		test(test_a_loop_of_trains_ends),
		test(test_two_per_second_lose_nothing),
		test(test_fifty_per_second_lose_one_of_4096),
		test(test_a_flood_loses_half_a_percent),
		test(test_different_payloads_lose_nothing),
		test(test_many_clients_may_send_the_same),
		test(test_replies_do_not_count_as_requests),
		test(test_a_different_datagram_of_a_train_is_not_dropped),
		test(test_repeated_headers_of_trains_lose_nothing),
		test(test_a_flood_of_sources_hides_no_loop),
		test(test_a_train_that_is_cut_at_both_ends_is_left_alone),
		test(test_empty_datagrams_and_unix_senders_repeat_too),
		test(test_create_reports_missing_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The tests set the time: `now` in milliseconds. */
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

#define START 987654321 /* of the clock, in ms */

static uint64_t now;
static struct ring_guard_sampler draw;
static int until_failure; /* allocations that succeed; below 0: all */

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return until_failure < 0 || until_failure-- > 0 ? __real_calloc(count, size) : NULL;
}

static int set_up(void **state)
{
	struct ring_guard *guard;

	until_failure = -1;
	now = START;
	if (ring_guard_create(&guard, ACTION_FORWARD))
		return -1;
	*state = guard;
	return 0;
}

static int set_up_echo(void **state)
{
	struct ring_guard *guard;

	until_failure = -1;
	now = START;
	if (ring_guard_create(&guard, ACTION_ECHO))
		return -1;
	*state = guard;
	return 0;
}

static int tear_down(void **state)
{
	ring_guard_destroy(*state);
	return 0;
}

/* The client is on a host of its own. All other senders are on the host of a peer. */
#define CLIENT 1

static bool admits_train(struct ring_guard *guard, unsigned sender, const char *data, uint32_t segment)
{
	struct address source = {.length = sizeof(struct sockaddr_in)};
	struct train train = {.data = (uint8_t *)data, .size = (uint32_t)strlen(data), .segment = segment};

	train.count = (uint16_t)(segment ? (train.size + segment - 1) / segment : 1);
	source.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)sender)};
	source.v4.sin_addr.s_addr = htonl(sender == CLIENT ? 0xc0000201 : 0xc0000202);
	train.source = source;
	return ring_guard_admits(guard, &draw, &train, sender != CLIENT, now);
}

static bool admits(struct ring_guard *guard, unsigned sender, const char *text)
{
	return admits_train(guard, sender, text, (uint32_t)strlen(text));
}

/* Offers the payload some times in sequence. Returns how often it is admitted. */
static unsigned count_admitted(struct ring_guard *guard, unsigned sender, const char *text, unsigned times)
{
	unsigned count = 0;

	for (unsigned i = 0; i < times; i++)
		count += admits(guard, sender, text);
	return count;
}

static void clients_on_the_host_of_a_peer_are_admitted(void **state)
{
	char text[32];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "different: %u", i);
		assert_true(admits(*state, CLIENT, text));
		assert_true(admits(*state, 2 + i % 3, text));
	}
	assert_int_equal(count_admitted(*state, 7, "one says always the same", 100000), 100000);
	for (unsigned i = 0; i < 100000; i++)
		assert_true(admits(*state, 1000 + i % 40, "all say the same"));
	for (unsigned i = 0; i < 60000; i++)
		assert_true(admits(*state, i, "each says the same, once"));
	assert_int_equal(count_admitted(*state, CLIENT, "from elsewhere", 1000), 1000);
}

static void two_senders_of_the_same_payload_are_admitted(void **state)
{
	uint64_t random = 1;

	for (unsigned i = 0; i < 1000000; i++) {
		random = random * 6364136223846793005 + 1442695040888963407;
		assert_true(admits(*state, 2 + (unsigned)(random >> 63), "tick"));
	}
}

static void returning_copy_is_dropped_after_some_rounds(void **state)
{
	assert_true(admits(*state, CLIENT, "round"));
	assert_int_equal(count_admitted(*state, 5, "round", 1000), RING_RETURNS);
	assert_true(admits(*state, CLIENT, "round"));
}

static void known_ring_is_dropped_at_once_until_a_pause(void **state)
{
	assert_true(admits(*state, CLIENT, "round"));
	assert_int_equal(count_admitted(*state, 5, "round", 1000), RING_RETURNS);
	assert_true(admits(*state, CLIENT, "another"));
	assert_false(admits(*state, 5, "another"));
	assert_true(admits(*state, 5, "its own"));
	assert_true(admits(*state, 6, "another"));
	now += 2001;
	assert_true(admits(*state, CLIENT, "a third"));
	assert_true(admits(*state, 5, "a third"));
}

/* The client looks like a ring. Its payload does not return after a drop, so it is admitted again. */
static void client_with_the_payload_of_another_loses_little(void **state)
{
	unsigned count = 0;

	assert_true(admits(*state, 4, "beat"));
	for (unsigned i = 0; i < 1000; i++, now += 100)
		count += admits(*state, 5, "beat");
	assert_true(count >= 1000 - 22);
	assert_true(count < 1000);
}

/* For rings of several speeds, while the client repeats its payload. */
static void ring_with_a_steady_source_stays_small(void **state)
{
	for (unsigned delay = 1; delay <= 1000; delay *= 10) {
		unsigned waiting[1000] = {0}, round = 0; /* copies that return, by the time in ms */

		now += 10000;
		for (unsigned ms = 0; ms < 20000; ms++, now++) {
			unsigned *back = &waiting[ms % delay], copies = *back;

			*back = 0;
			for (unsigned i = 0; i < copies; i++)
				*back += admits(*state, 5, "fed");
			*back += ms % 10 == 0 && admits(*state, CLIENT, "fed");
			round += ms >= 15000 ? *back : 0;
		}
		assert_true(round < 4 * 500);
	}
}

/* The workers of the hosts have several ports, so a copy returns from several senders. */
static void ring_through_several_workers_is_found(void **state)
{
	unsigned count = 0;

	assert_true(admits(*state, CLIENT, "round"));
	while (admits(*state, 5 + count % 4, "round"))
		assert_true(count++ < 1000);
	assert_int_equal(count, 4 * RING_RETURNS);
}

/* The first sender repeats the payload as often as each of the others. */
static void many_senders_of_the_same_payload_are_admitted(void **state)
{
	for (unsigned senders = 2; senders <= 12; senders++) {
		now += 10000;
		for (unsigned i = 0; i < 50000; i++)
			assert_true(admits(*state, 2 + i % senders, "tick"));
	}
}

static void ring_within_a_train_is_found(void **state)
{
	assert_true(admits_train(*state, CLIENT, "aaaabbbb", 4));
	assert_true(admits_train(*state, CLIENT, "ccccdddd", 4));
	for (unsigned i = 0; i < RING_RETURNS; i++)
		assert_true(admits_train(*state, 5, "bbbbccccdd", 4));
	assert_false(admits_train(*state, 5, "bbbbccccdd", 4));
	assert_true(admits_train(*state, 5, "bbbbdd", 4));
}

static void whole_payload_is_compared(void **state)
{
	char a[301], b[301];

	memset(a, 'a', 300);
	a[300] = 0;
	assert_true(admits(*state, CLIENT, a));
	assert_int_equal(count_admitted(*state, 5, a, 100), RING_RETURNS);
	memcpy(b, a, sizeof(b));
	b[0] = 'b';
	assert_true(admits(*state, 5, b));
	b[0] = 'a', b[299] = 'b';
	assert_true(admits(*state, 5, b));
	assert_true(admits(*state, 5, a + 1));
	assert_true(admits(*state, 5, ""));
	assert_false(admits(*state, 5, a));
}

static void echo_limits_one_payload_of_one_sender(void **state)
{
	unsigned first = 0;

	while (admits(*state, 5, "back and forth"))
		first++;
	assert_in_range(first, RING_ECHO_BURST / 2, RING_ECHO_BURST * 2);
	assert_true(admits(*state, 6, "back and forth"));
	assert_true(admits(*state, 5, "something else"));
	for (first = 0; admits(*state, 5, "the next in the ring"); first++)
		assert_true(first < RING_ECHO_BURST / 2);
	assert_true(first > 1);
	now += 60000;
	for (first = 0; admits(*state, 5, "back and forth"); first++)
		assert_true(first < 200 * RING_ECHO_RATE);
	assert_true(first > 10 * RING_ECHO_RATE);
}

static void echo_admits_a_slow_client(void **state)
{
	for (unsigned i = 0; i < 50000; i++, now += 1000 / RING_ECHO_RATE)
		assert_true(admits(*state, 5, "ping"));
}

static void lack_of_memory_is_an_error(void **state)
{
	struct ring_guard *guard;
	static const enum action_kind actions[] = {ACTION_ECHO, ACTION_FORWARD};

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		until_failure = (int)i / 2;
		assert_int_equal(ring_guard_create(&guard, actions[i % 2]), -ENOMEM);
	}
	ring_guard_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(clients_on_the_host_of_a_peer_are_admitted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(two_senders_of_the_same_payload_are_admitted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(returning_copy_is_dropped_after_some_rounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(known_ring_is_dropped_at_once_until_a_pause, set_up, tear_down),
		cmocka_unit_test_setup_teardown(client_with_the_payload_of_another_loses_little, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_with_a_steady_source_stays_small, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_through_several_workers_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(many_senders_of_the_same_payload_are_admitted, set_up, tear_down),
		cmocka_unit_test_setup_teardown(ring_within_a_train_is_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(whole_payload_is_compared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(echo_limits_one_payload_of_one_sender, set_up_echo, tear_down),
		cmocka_unit_test_setup_teardown(echo_admits_a_slow_client, set_up_echo, tear_down),
		cmocka_unit_test(lack_of_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The ring, with one thread and with two. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "datagram_log/record_ring.h"

static struct eventcount eventcount;
static struct address source, destination;

static struct datagram_record record_of(const char *payload, uint64_t time_us)
{
	return (struct datagram_record){.time_us = time_us,
					.source = &source,
					.destination = &destination,
					.payload = payload,
					.size = (uint32_t)strlen(payload)};
}

static int set_up(void **state)
{
	struct record_ring *ring;

	eventcount_init(&eventcount);
	address_parse(&source, "192.0.2.1:1");
	address_parse(&destination, "[2001:db8::1]:2");
	if (record_ring_create(&ring, 16, 8, &eventcount))
		return -1;
	*state = ring;
	return 0;
}

static int tear_down(void **state)
{
	record_ring_destroy(*state);
	eventcount_finish(&eventcount);
	return 0;
}

static void test_a_record_is_copied(void **state)
{
	struct record_ring *ring = *state;
	char payload[] = "0123456789";
	struct datagram_record record = record_of(payload, 7);
	const struct datagram_record *out;
	uint32_t shown;

	assert_null(record_ring_peek(ring, &shown));
	record_ring_push(ring, &record);
	memset(payload, 'x', sizeof(payload)); /* the ring has a copy */
	out = record_ring_peek(ring, &shown);
	assert_non_null(out);
	assert_int_equal(out->time_us, 7);
	assert_int_equal(out->size, 10);
	assert_int_equal(shown, 8);
	assert_memory_equal(out->payload, "01234567", 8);
	assert_true(out->source != &source && address_equal(out->source, &source));
	assert_true(address_equal(out->destination, &destination));
	record_ring_pop(ring);
	assert_null(record_ring_peek(ring, &shown));
}

static void test_a_full_ring_drops_and_counts(void **state)
{
	struct record_ring *ring = *state;
	uint32_t shown;

	for (uint64_t i = 0; i < 20; i++) {
		struct datagram_record record = record_of("x", i);
		record_ring_push(ring, &record);
	}
	assert_int_equal(record_ring_pushed(ring), 16);
	assert_int_equal(record_ring_dropped(ring), 4);
	for (uint64_t i = 0; i < 16; i++) {
		assert_int_equal(record_ring_peek(ring, &shown)->time_us, i);
		record_ring_pop(ring);
	}
	assert_null(record_ring_peek(ring, &shown));
}

#define RECORDS 200000

static void *produce(void *data)
{
	struct record_ring *ring = data;

	for (uint64_t i = 1; i <= RECORDS; i++) {
		struct datagram_record record = record_of("12345678", i);
		record_ring_push(ring, &record);
		record_ring_wake(ring);
	}
	return NULL;
}

/* Returns false if the ring is empty. */
static bool pop_one(struct record_ring *ring, uint64_t *last)
{
	uint32_t shown;
	const struct datagram_record *record = record_ring_peek(ring, &shown);

	if (!record)
		return false;
	assert_true(record->time_us > *last);
	assert_memory_equal(record->payload, "12345678", 8);
	*last = record->time_us;
	record_ring_pop(ring);
	return true;
}

/* A lost wake-up would show as a wait of a minute. */
static void test_two_threads_lose_no_record_and_no_wakeup(void **state)
{
	struct record_ring *ring = *state;
	uint64_t last = 0, popped = 0, before = clock_monotonic_ms();
	uint32_t shown;
	pthread_t producer;

	assert_int_equal(pthread_create(&producer, NULL, produce, ring), 0);
	while (popped + record_ring_dropped(ring) < RECORDS) {
		if (pop_one(ring, &last)) {
			popped++;
			continue;
		}
		eventcount_prepare(&eventcount);
		if (record_ring_peek(ring, &shown) || popped + record_ring_dropped(ring) == RECORDS)
			eventcount_cancel(&eventcount);
		else
			eventcount_wait(&eventcount, 60000);
	}
	pthread_join(producer, NULL);
	assert_int_equal(popped, record_ring_pushed(ring));
	assert_int_equal(popped + record_ring_dropped(ring), RECORDS);
	assert_true(clock_monotonic_ms() - before < 60000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_record_is_copied, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_ring_drops_and_counts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_threads_lose_no_record_and_no_wakeup, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Wake-ups of one consumer. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>

#include "base/clock.h"
#include "datagram_log/eventcount.h"

/* A wait of this length shows in a test as a lost wake-up. */
#define LONG_WAIT_MS 60000

static struct eventcount eventcount;

static int set_up(void **state)
{
	(void)state;
	eventcount_init(&eventcount);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	eventcount_finish(&eventcount);
	return 0;
}

static int pending_wakeups(void)
{
	int value;

	assert_int_equal(sem_getvalue(&eventcount.semaphore, &value), 0);
	return value;
}

static void test_notify_without_a_waiter_does_nothing(void **state)
{
	(void)state;
	eventcount_notify(&eventcount);
	assert_int_equal(pending_wakeups(), 0);
	eventcount_prepare(&eventcount);
	eventcount_cancel(&eventcount);
	eventcount_notify(&eventcount);
	assert_int_equal(pending_wakeups(), 0);
}

static void test_notify_wakes_a_waiter_once(void **state)
{
	(void)state;
	eventcount_prepare(&eventcount);
	eventcount_notify(&eventcount);
	eventcount_notify(&eventcount);
	assert_int_equal(pending_wakeups(), 1);
}

static void test_notify_before_the_wait_is_not_lost(void **state)
{
	uint64_t before = clock_monotonic_ms();

	(void)state;
	eventcount_prepare(&eventcount);
	eventcount_notify(&eventcount);
	eventcount_wait(&eventcount, LONG_WAIT_MS);
	assert_true(clock_monotonic_ms() - before < LONG_WAIT_MS);
}

static void test_wake_needs_no_prepare(void **state)
{
	uint64_t before = clock_monotonic_ms();

	(void)state;
	eventcount_wake(&eventcount);
	eventcount_wait(&eventcount, LONG_WAIT_MS);
	assert_true(clock_monotonic_ms() - before < LONG_WAIT_MS);
}

static void test_wait_ends_at_its_timeout(void **state)
{
	uint64_t before = clock_monotonic_us();

	(void)state;
	eventcount_prepare(&eventcount);
	eventcount_wait(&eventcount, 20);
	assert_in_range(clock_monotonic_us() - before, 19000, LONG_WAIT_MS * UINT64_C(1000));
	eventcount_notify(&eventcount);
	assert_int_equal(pending_wakeups(), 0);
}

#define ITEMS 100000

static atomic_uint produced;

static void *produce(void *data)
{
	(void)data;
	for (unsigned i = 0; i < ITEMS; i++) {
		atomic_fetch_add_explicit(&produced, 1, memory_order_relaxed);
		eventcount_notify(&eventcount);
	}
	return NULL;
}

static unsigned count_produced(void)
{
	return atomic_load_explicit(&produced, memory_order_relaxed);
}

/* The consumer waits whenever it has seen all items so far. */
static void test_no_wakeup_between_two_threads_is_lost(void **state)
{
	uint64_t before = clock_monotonic_ms();
	pthread_t producer;
	unsigned seen = 0;

	(void)state;
	assert_int_equal(pthread_create(&producer, NULL, produce, NULL), 0);
	while (seen < ITEMS) {
		eventcount_prepare(&eventcount);
		if (count_produced() != seen)
			eventcount_cancel(&eventcount);
		else
			eventcount_wait(&eventcount, LONG_WAIT_MS);
		seen = count_produced();
	}
	pthread_join(producer, NULL);
	assert_true(clock_monotonic_ms() - before < LONG_WAIT_MS);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_notify_without_a_waiter_does_nothing),
		test(test_notify_wakes_a_waiter_once),
		test(test_notify_before_the_wait_is_not_lost),
		test(test_wake_needs_no_prepare),
		test(test_wait_ends_at_its_timeout),
		test(test_no_wakeup_between_two_threads_is_lost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

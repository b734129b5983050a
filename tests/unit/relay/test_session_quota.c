#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/session_quota.h"

static bool no_memory;

void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

void *__wrap_calloc(size_t count, size_t size)
{
	return no_memory ? NULL : __real_calloc(count, size);
}

static struct address address(const char *text)
{
	struct address result = {0};

	assert_int_equal(address_parse(&result, text), 0);
	return result;
}

static bool acquire(struct session_quota *quota, const char *client, uint32_t *place)
{
	struct address from = address(client);

	return source_quota_acquire(quota, &from, false, place);
}

/* Returns how many sessions the source gets, up to 100. */
static unsigned acquire_all(struct session_quota *quota, const char *client)
{
	unsigned count = 0;
	uint32_t place;

	while (count < 100 && acquire(quota, client, &place))
		count++;
	return count;
}

static void test_total_is_limited(void **state)
{
	struct session_quota quota;

	(void)state;
	assert_int_equal(session_quota_init(&quota, 2, 0, 2), 0);
	assert_null(quota.sources);
	assert_true(session_quota_acquire(&quota));
	assert_true(session_quota_acquire(&quota));
	assert_false(session_quota_acquire(&quota));
	session_quota_release(&quota);
	assert_true(session_quota_acquire(&quota));
	assert_int_equal(acquire_all(&quota, "192.0.2.1:1"), 100);
	session_quota_finish(&quota);
}

static void test_source_is_an_ipv4_address_or_an_ipv6_64(void **state)
{
	struct session_quota quota;

	(void)state;
	assert_int_equal(session_quota_init(&quota, 1000, 3, 1000), 0);
	assert_int_equal(acquire_all(&quota, "192.0.2.1:1"), 3);
	assert_int_equal(acquire_all(&quota, "192.0.2.1:2"), 0);
	assert_int_equal(acquire_all(&quota, "[::ffff:192.0.2.1]:3"), 0);
	assert_int_equal(acquire_all(&quota, "192.0.2.2:1"), 3);
	assert_int_equal(acquire_all(&quota, "[2001:db8:0:1::1]:1"), 3);
	assert_int_equal(acquire_all(&quota, "[2001:db8:0:1:ffff::2]:1"), 0);
	assert_int_equal(acquire_all(&quota, "[2001:db8:0:2::1]:1"), 3);
	assert_int_equal(acquire_all(&quota, "unix:/a"), 100);
	session_quota_finish(&quota);
}

static void test_released_session_makes_room(void **state)
{
	struct session_quota quota;
	struct address from = address("192.0.2.1:1");
	uint32_t places[3], place;

	(void)state;
	assert_int_equal(session_quota_init(&quota, 10, 2, 10), 0);
	assert_true(acquire(&quota, "192.0.2.1:1", &places[0]));
	assert_true(acquire(&quota, "192.0.2.1:1", &places[1]));
	assert_true(source_quota_acquire(&quota, &from, true, &places[2])); /* beyond the limit */
	source_quota_release(&quota, places[0]);
	assert_false(acquire(&quota, "192.0.2.1:1", &place));
	source_quota_release(&quota, places[1]);
	assert_true(acquire(&quota, "192.0.2.1:1", &place));
	source_quota_release(&quota, SOURCE_NOT_COUNTED);
	session_quota_finish(&quota);
}

/* The table has two entries for each session, so nearly all sources are counted. */
static void test_full_table_counts_nearly_all_sources(void **state)
{
	enum { SESSIONS = 16384 };
	struct session_quota quota;
	unsigned uncounted = 0, refused = 0;
	uint32_t place;

	(void)state;
	assert_int_equal(session_quota_init(&quota, SESSIONS, 1, SESSIONS), 0);
	for (int round = 0; round < 2; round++) {
		for (unsigned i = 0; i < SESSIONS; i++) {
			char client[32];

			snprintf(client, sizeof(client), "10.%u.%u.1:1", i >> 8, i & 255);
			if (!acquire(&quota, client, &place))
				refused++;
			else
				uncounted += place == SOURCE_NOT_COUNTED;
		}
		assert_in_range(uncounted, 0, (unsigned)(round + 1) * SESSIONS / 200);
	}
	assert_in_range(refused, SESSIONS - SESSIONS / 200, SESSIONS);
	session_quota_finish(&quota);
}

#define THREADS 4
#define ROUNDS 20000

struct contender {
	struct session_quota *quota;
	struct address client;
	unsigned most;
};

/* Never more than the limit of 10 at once: each thread has up to 5. */
static void *contend(void *data)
{
	struct contender *contender = data;
	uint32_t places[5];

	for (int round = 0; round < ROUNDS; round++) {
		unsigned got = 0;

		while (got < 5 && source_quota_acquire(contender->quota, &contender->client, false, &places[got]))
			got++;
		contender->most = got > contender->most ? got : contender->most;
		while (got)
			source_quota_release(contender->quota, places[--got]);
	}
	return NULL;
}

static void test_workers_count_together(void **state)
{
	struct session_quota quota;
	struct contender contenders[THREADS];
	pthread_t threads[THREADS];

	(void)state;
	assert_int_equal(session_quota_init(&quota, 100, 10, 100), 0);
	for (int i = 0; i < THREADS; i++) {
		contenders[i] = (struct contender){.quota = &quota, .client = address("192.0.2.1:1")};
		assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(acquire_all(&quota, "192.0.2.1:1"), 10); /* every session was released */
	session_quota_finish(&quota);
}

static void test_without_memory(void **state)
{
	struct session_quota quota;

	(void)state;
	no_memory = true;
	assert_int_equal(session_quota_init(&quota, 2, 1, 2), -ENOMEM);
	no_memory = false;
	session_quota_finish(&quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_total_is_limited),
		cmocka_unit_test(test_source_is_an_ipv4_address_or_an_ipv6_64),
		cmocka_unit_test(test_released_session_makes_room),
		cmocka_unit_test(test_full_table_counts_nearly_all_sources),
		cmocka_unit_test(test_workers_count_together),
		cmocka_unit_test(test_without_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

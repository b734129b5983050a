/* Each test passes its own time in milliseconds. The linker replaces the allocations, which are counted and can fail.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "guard/source_limit.h"
#include "net/train.h"

#define START 123456789 /* start of the clock, in ms */

static size_t allocated;
static int until_failure; /* allocations that succeed; below 0: all */

void *__real_aligned_alloc(size_t alignment, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

static bool allocates(size_t size)
{
	allocated += size;
	return until_failure < 0 || until_failure-- > 0;
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
	return allocates(size) ? __real_aligned_alloc(alignment, size) : NULL;
}

void *__wrap_calloc(size_t count, size_t size)
{
	return allocates(count * size) ? __real_calloc(count, size) : NULL;
}

static int set_up(void **state)
{
	(void)state;
	allocated = 0;
	until_failure = -1;
	return 0;
}

static struct source_limit *limit_of(uint32_t rate, uint32_t burst)
{
	struct source_limit *limit;

	assert_int_equal(source_limit_create(&limit, rate, burst), 0);
	return limit;
}

static struct address ip(const char *text)
{
	struct address address;

	assert_int_equal(address_from_ip(&address, text, 1000), 0);
	return address;
}

static struct address ip_of(uint32_t number)
{
	struct address address = {.length = sizeof(struct sockaddr_in)};

	address.v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(number)};
	return address;
}

/* Offers count single datagrams. Returns how many are within the limit. */
static unsigned count_taken(struct source_limit *limit, const struct address *source, unsigned count, uint64_t now)
{
	unsigned sum = 0;

	while (count--)
		sum += source_limit_take(limit, source, 1, now);
	return sum;
}

static void assert_burst_and_rate(uint32_t rate, uint32_t burst, uint64_t start)
{
	struct source_limit *limit = limit_of(rate, burst);
	struct address source = ip("192.0.2.1");
	unsigned most = burst ? burst : rate, per_ms = rate / 1000 + 2;
	uint64_t sum = 0;

	assert_int_equal(count_taken(limit, &source, most + 10, start), most);
	for (unsigned ms = 1; ms <= 10000; ms++) {
		sum += count_taken(limit, &source, per_ms, start + ms);
		assert_int_equal(sum, (uint64_t)rate * ms / 1000);
	}
	source_limit_destroy(limit);
}

static void rate_is_exact(void **state)
{
	(void)state;
	assert_burst_and_rate(1, 1, START);
	assert_burst_and_rate(3, 2, START);
	assert_burst_and_rate(7, 0, START);
	assert_burst_and_rate(100, 50, START);
	assert_burst_and_rate(999, 5000, START);
	assert_burst_and_rate(12345, 100, START);
	assert_burst_and_rate(1500, 0, 0);
}

/* Above a million per second, the unit of time is a whole datagram. */
static void rates_above_a_million_are_exact(void **state)
{
	struct source_limit *limit = limit_of(UINT32_MAX, 300000);
	struct address source = ip("192.0.2.1");

	(void)state;
	assert_int_equal(count_taken(limit, &source, 400000, START), 300000);
	assert_int_equal(count_taken(limit, &source, 400000, START + 1), 300000);
	source_limit_destroy(limit);
	assert_burst_and_rate(1234000, 2000, START * UINT64_C(1000));
}

/* A time far ahead of now must not look like one of the past. */
static void largest_burst_is_exact(void **state)
{
	struct source_limit *limit = limit_of(1, UINT32_MAX);
	struct address source = ip("192.0.2.1");

	(void)state;
	for (uint64_t left = UINT32_MAX; left;) {
		uint32_t train = left < 1u << 24 ? (uint32_t)left : 1u << 24;

		assert_true(source_limit_take(limit, &source, train, START));
		left -= train;
	}
	assert_false(source_limit_take(limit, &source, 1, START));
	assert_int_equal(count_taken(limit, &source, 3, START + 2000), 2);
	source_limit_destroy(limit);
}

static void credit_never_exceeds_the_burst(void **state)
{
	struct source_limit *limit = limit_of(10, 5);
	struct address source = ip("192.0.2.1");

	(void)state;
	assert_int_equal(count_taken(limit, &source, 10, START), 5);
	assert_int_equal(count_taken(limit, &source, 10, START + 300), 3);
	assert_int_equal(count_taken(limit, &source, 10, START + 10000), 5);
	/* So late that the 48-bit time has wrapped around. */
	for (uint64_t days = 1; days < 100000; days = days * 3 / 2 + 1)
		assert_int_equal(count_taken(limit, &source, 10, START + days * 24 * 3600 * 1000), 5);
	source_limit_destroy(limit);
}

static void train_over_the_credit_becomes_debt(void **state)
{
	struct source_limit *limit = limit_of(100, 10);
	struct address source = ip("192.0.2.1");

	(void)state;
	assert_true(source_limit_take(limit, &source, 9, START));
	assert_true(source_limit_take(limit, &source, TRAIN_MAX, START));
	assert_false(source_limit_take(limit, &source, 1, START));
	/* The debt of 127 datagrams takes 1270 ms, and the credit for the next one 10 ms. */
	assert_false(source_limit_take(limit, &source, TRAIN_MAX, START + 1279));
	assert_true(source_limit_take(limit, &source, 1, START + 1280));
	assert_false(source_limit_take(limit, &source, 1, START + 1280));
	source_limit_destroy(limit);
}

/* Another worker has read the clock some seconds before. */
static void late_clock_gives_no_credit(void **state)
{
	struct source_limit *limit = limit_of(100, 10);
	struct address source = ip("192.0.2.1");

	(void)state;
	assert_int_equal(count_taken(limit, &source, 20, START), 10);
	assert_int_equal(count_taken(limit, &source, 20, START - 5000), 0);
	assert_int_equal(count_taken(limit, &source, 20, START + 20), 2);
	source_limit_destroy(limit);
}

static void assert_same_source(const char *a, const char *b, bool same)
{
	struct source_limit *limit = limit_of(1, 1);
	struct address first = ip(a), second = ip(b);

	address_set_port(&second, 2000);
	assert_true(source_limit_take(limit, &first, 1, START));
	assert_int_equal(source_limit_take(limit, &second, 1, START), !same);
	source_limit_destroy(limit);
}

static void source_is_an_ipv4_address_or_an_ipv6_64(void **state)
{
	(void)state;
	assert_same_source("192.0.2.1", "192.0.2.1", true);
	assert_same_source("192.0.2.1", "192.0.2.2", false);
	assert_same_source("192.0.2.1", "::ffff:192.0.2.1", true);
	assert_same_source("::ffff:192.0.2.1", "::ffff:192.0.2.2", false);
	assert_same_source("2001:db8:0:1::1", "2001:db8:0:1:ffff:ffff:ffff:ffff", true);
	assert_same_source("2001:db8:0:1::1", "2001:db8:0:2::1", false);
	assert_same_source("2001:db8::1", "3001:db8::1", false);
}

static void unix_senders_have_no_limit(void **state)
{
	struct source_limit *limit = limit_of(1, 1);
	struct address source;

	(void)state;
	assert_int_equal(address_parse(&source, "unix:/x"), 0);
	assert_int_equal(count_taken(limit, &source, 100, START), 100);
	source_limit_destroy(limit);
}

/* 2000 of 64000 are expected. The bounds are nine standard deviations away. */
static void sampler_passes_its_share(void **state)
{
	struct source_limit *limit = limit_of(1, 1);
	struct source_limit_sampler draw = source_limit_sampler_of(0), other = source_limit_sampler_of(1);
	unsigned sum = 0, both = 0;

	(void)state;
	for (int i = 0; i < 64000; i++) {
		bool passes = source_limit_sample(limit, &draw);

		sum += passes;
		both += passes && source_limit_sample(limit, &other);
	}
	assert_in_range(sum, 2000 - 400, 2000 + 400);
	assert_in_range(both, 10, 150);
	source_limit_destroy(limit);
}

static uint32_t random_of(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state;
}

/* A source within the limit is always admitted, whether or not it was evicted. */
static void flood_of_forged_sources_does_not_weaken_the_limit(void **state)
{
	struct source_limit *limit = limit_of(10, 10);
	struct address polite = ip("192.0.2.1"), abuser = ip("192.0.2.2");
	uint32_t seed = 1;
	unsigned polite_taken = 0, abuser_taken = 0;

	(void)state;
	for (unsigned i = 0; i < 1000000; i++) {
		struct address forged = ip_of(random_of(&seed));
		uint64_t now = START + i / 100;

		source_limit_take(limit, &forged, 1, now);
		if (i % 10000 == 0)
			polite_taken += source_limit_take(limit, &polite, 1, now);
		if (i % 100 == 0)
			abuser_taken += source_limit_take(limit, &abuser, 1, now);
	}
	assert_int_equal(polite_taken, 100);
	/* The source with the least credit is never evicted. Once in a thousand runs, a forged source shares its word.
	 */
	assert_in_range(abuser_taken, 10 + 10 * 10 - 2, 10 + 10 * 10 - 1);
	assert_in_range(allocated, 1 << 20, (1 << 20) + 4096);
	source_limit_destroy(limit);
}

static void source_over_the_limit_costs_no_other(void **state)
{
	struct source_limit *limit = limit_of(100, 0);
	struct address polite = ip("2001:db8:0:1::1"), abuser = ip("2001:db8:0:2::1");
	unsigned polite_taken = 0, abuser_taken = 0;

	(void)state;
	for (unsigned ms = 0; ms < 60000; ms++) {
		abuser_taken += source_limit_take(limit, &abuser, 1, START + ms);
		if (ms % 10 == 0)
			polite_taken += source_limit_take(limit, &polite, 1, START + ms);
	}
	assert_int_equal(polite_taken, 6000);
	assert_int_equal(abuser_taken, 100 + 5999);
	source_limit_destroy(limit);
}

static void lack_of_memory_is_an_error(void **state)
{
	struct source_limit *limit = NULL;

	(void)state;
	for (int i = 0; i < 2; i++) {
		until_failure = i;
		assert_int_equal(source_limit_create(&limit, 1, 1), -ENOMEM);
		assert_null(limit);
	}
	source_limit_destroy(NULL);
}

/* --- Threads --- */

enum { THREADS = 4, ROUNDS = 50000, TRAIN = 4 };

struct hammer {
	struct source_limit *limit;
	_Atomic uint64_t now;
	atomic_uint count_taken;
};

static void *hammer(void *data)
{
	struct hammer *h = data;
	struct address source = ip("192.0.2.1");

	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t now = i % 50 ? atomic_load(&h->now) : atomic_fetch_add(&h->now, 1);

		if (source_limit_take(h->limit, &source, TRAIN, now))
			atomic_fetch_add(&h->count_taken, TRAIN);
	}
	return NULL;
}

static void threads_share_the_limit(void **state)
{
	struct hammer h = {.limit = limit_of(1000, 500), .now = START};
	pthread_t threads[THREADS];
	unsigned elapsed;

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hammer, &h), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	elapsed = (unsigned)(atomic_load(&h.now) - START);
	assert_int_equal(elapsed, THREADS * ROUNDS / 50);
	assert_in_range(atomic_load(&h.count_taken), 500, 500 + elapsed + TRAIN - 1);
	source_limit_destroy(h.limit);
}

#define test(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(rate_is_exact),
		test(rates_above_a_million_are_exact),
		test(largest_burst_is_exact),
		test(credit_never_exceeds_the_burst),
		test(train_over_the_credit_becomes_debt),
		test(late_clock_gives_no_credit),
		test(source_is_an_ipv4_address_or_an_ipv6_64),
		test(unix_senders_have_no_limit),
		test(sampler_passes_its_share),
		test(flood_of_forged_sources_does_not_weaken_the_limit),
		test(source_over_the_limit_costs_no_other),
		test(lack_of_memory_is_an_error),
		test(threads_share_the_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>

#include "client/histogram.h"

#define VALUES 20000

static struct histogram *clear_histogram(void **state)
{
	struct histogram *histogram = *state;

	*histogram = (struct histogram){0};
	return histogram;
}

static int set_up(void **state)
{
	*state = malloc(sizeof(struct histogram));
	return !*state;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void test_empty_histogram_returns_zero(void **state)
{
	const struct histogram *histogram = clear_histogram(state);
	struct histogram_bin bins[10];

	assert_int_equal(histogram_count(histogram), 0);
	assert_int_equal(histogram_min(histogram), 0);
	assert_int_equal(histogram_max(histogram), 0);
	assert_true(histogram_mean(histogram) == 0);
	assert_int_equal(histogram_percentile(histogram, 50), 0);
	assert_int_equal(histogram_percentile(histogram, 100), 0);
	assert_int_equal(histogram_bins(histogram, bins, 10), 0);
}

static void test_add_many_equals_single_adds(void **state)
{
	struct histogram *histogram = clear_histogram(state), *one_by_one = malloc(sizeof(*one_by_one));

	assert_non_null(one_by_one);
	*one_by_one = (struct histogram){0};
	histogram_add_many(histogram, 7, 0);
	histogram_add_many(histogram, 1234, 3);
	histogram_add_many(histogram, UINT64_MAX, 2);
	for (int i = 0; i < 3; i++)
		histogram_add(one_by_one, 1234);
	for (int i = 0; i < 2; i++)
		histogram_add(one_by_one, UINT64_MAX);
	assert_memory_equal(histogram, one_by_one, sizeof(*histogram));
	free(one_by_one);
}

static void test_single_value(void **state)
{
	static const double percents[] = {0, 0.1, 50, 99.9, 100};
	struct histogram *histogram = clear_histogram(state);

	histogram_add(histogram, 123456789);
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++)
		assert_int_equal(histogram_percentile(histogram, percents[i]), 123456789);
	assert_int_equal(histogram_min(histogram), 123456789);
	assert_int_equal(histogram_max(histogram), 123456789);
	assert_true(histogram_mean(histogram) == 123456789);
}

static void test_small_values_are_exact(void **state)
{
	struct histogram *histogram = clear_histogram(state);

	for (uint64_t i = 0; i < 256; i++)
		histogram_add(histogram, i);
	assert_int_equal(histogram_percentile(histogram, 0), 0);
	for (uint64_t i = 1; i <= 256; i++)
		assert_int_equal(histogram_percentile(histogram, (double)i / 2.56), i - 1);
}

/* Reads the median of three values, at both ends of every bucket of every power of two. */
static void test_bucket_error_is_below_half_a_percent(void **state)
{
	struct histogram *histogram = *state;

	for (unsigned bits = 1; bits <= 42; bits++) {
		for (uint64_t i = 0; i < 256; i++) {
			uint64_t value = (UINT64_C(1) << (bits - 1)) + (i << bits >> 9);

			value -= value > 1 && i % 2;
			clear_histogram(state);
			histogram_add(histogram, 0);
			histogram_add(histogram, value);
			histogram_add(histogram, HISTOGRAM_VALUE_MAX);
			double found = (double)histogram_percentile(histogram, 50);

			assert_true(fabs(found - (double)value) <= 0.004 * (double)value);
		}
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Compares with the exact percentiles of the sorted values. */
static void test_percentile_error_is_bounded(void **state)
{
	static const double percents[] = {0.01, 1, 10, 50, 90, 99, 99.9, 99.99};
	struct histogram *histogram = clear_histogram(state);
	uint64_t *values = malloc(VALUES * sizeof(*values)), random = 88172645463325252;
	double sum = 0;

	for (size_t i = 0; i < VALUES; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		values[i] = random >> (24 + random % 40);
		sum += (double)values[i];
		histogram_add(histogram, values[i]);
	}
	qsort(values, VALUES, sizeof(*values), compare);
	for (size_t i = 0; i < sizeof(percents) / sizeof(*percents); i++) {
		double exact = (double)values[(size_t)ceil(percents[i] / 100 * VALUES) - 1];

		assert_true(fabs((double)histogram_percentile(histogram, percents[i]) - exact) <= 0.004 * exact);
	}
	assert_int_equal(histogram_count(histogram), VALUES);
	assert_int_equal(histogram_min(histogram), values[0]);
	assert_int_equal(histogram_max(histogram), values[VALUES - 1]);
	assert_true(fabs(histogram_mean(histogram) - sum / VALUES) < 1);
	free(values);
}

static void test_large_values_are_limited(void **state)
{
	struct histogram *histogram = clear_histogram(state);

	histogram_add(histogram, UINT64_MAX);
	histogram_add(histogram, HISTOGRAM_VALUE_MAX + 1);
	assert_int_equal(histogram_count(histogram), 2);
	assert_int_equal(histogram_min(histogram), HISTOGRAM_VALUE_MAX);
	assert_int_equal(histogram_percentile(histogram, 50), HISTOGRAM_VALUE_MAX);
	assert_true(HISTOGRAM_VALUE_MAX > UINT64_C(3600) * 1000000000);
}

static void test_bins_cover_all_values(void **state)
{
	struct histogram *histogram = clear_histogram(state);
	struct histogram_bin bins[3];

	histogram_add(histogram, 1000);
	histogram_add(histogram, 9900);
	histogram_add(histogram, 10100);
	histogram_add(histogram, 99000);
	histogram_add(histogram, 101000);
	histogram_add(histogram, 1000000);
	assert_int_equal(histogram_bins(histogram, bins, 3), 3);
	assert_int_equal(bins[0].low, 1000);
	assert_in_range(bins[0].high, 9999, 10000);
	assert_int_equal(bins[0].count, 2);
	assert_int_equal(bins[1].low, bins[0].high);
	assert_in_range(bins[1].high, 99999, 100000);
	assert_int_equal(bins[1].count, 2);
	assert_int_equal(bins[2].low, bins[1].high);
	assert_int_equal(bins[2].high, 1000001);
	assert_int_equal(bins[2].count, 2);
}

static void test_bins_are_not_narrower_than_buckets(void **state)
{
	struct histogram *histogram = clear_histogram(state);
	struct histogram_bin bins[10];

	histogram_add(histogram, 7);
	assert_int_equal(histogram_bins(histogram, bins, 10), 1);
	assert_int_equal(bins[0].low, 7);
	assert_int_equal(bins[0].high, 8);
	assert_int_equal(bins[0].count, 1);
	histogram_add(histogram, 8);
	assert_int_equal(histogram_bins(histogram, bins, 10), 2);
	assert_int_equal(bins[1].high, 9);
	assert_int_equal(bins[0].count, 1);
	assert_int_equal(bins[1].count, 1);
}

static void test_bins_are_never_empty_ranges(void **state)
{
	struct histogram *histogram = clear_histogram(state);
	struct histogram_bin bins[10];

	for (uint64_t i = 0; i < 1000; i++) {
		uint64_t sum = 0;

		histogram_add(histogram, i * i * i);
		size_t count = histogram_bins(histogram, bins, 10);

		assert_int_equal(bins[0].low, 0);
		assert_int_equal(bins[count - 1].high, i * i * i + 1);
		for (size_t bin = 0; bin < count; bin++) {
			assert_true(bins[bin].low < bins[bin].high);
			assert_true(!bin || bins[bin].low == bins[bin - 1].high);
			sum += bins[bin].count;
		}
		assert_int_equal(sum, i + 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_histogram_returns_zero),
		cmocka_unit_test(test_add_many_equals_single_adds),
		cmocka_unit_test(test_single_value),
		cmocka_unit_test(test_small_values_are_exact),
		cmocka_unit_test(test_bucket_error_is_below_half_a_percent),
		cmocka_unit_test(test_percentile_error_is_bounded),
		cmocka_unit_test(test_large_values_are_limited),
		cmocka_unit_test(test_bins_cover_all_values),
		cmocka_unit_test(test_bins_are_not_narrower_than_buckets),
		cmocka_unit_test(test_bins_are_never_empty_ranges),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}

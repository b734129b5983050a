/* A histogram of times in nanoseconds with fixed memory. Its buckets are log-linear, as in HdrHistogram.
 *
 * A bucket is less than 0.8 % wide. A percentile is the middle of its bucket, so its error is below 0.4 %. Values
 * below 256 ns, the minimum, the maximum and the mean are exact. */
#ifndef UDPRELAYD_CLIENT_HISTOGRAM_H
#define UDPRELAYD_CLIENT_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each power of two has 2^HISTOGRAM_BITS buckets. */
#define HISTOGRAM_BITS 7

/* Larger values are counted as this one: about 73 minutes in nanoseconds. */
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 42) - 1)

#define HISTOGRAM_BUCKETS ((42 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* Zeroed memory is an empty histogram. */
struct histogram {
	uint64_t count, min, max;
	double sum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* Adds the same value several times, or not at all if times is 0. */
void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times);

/* Each of these functions returns 0 for an empty histogram. */
uint64_t histogram_count(const struct histogram *histogram);
uint64_t histogram_min(const struct histogram *histogram);
uint64_t histogram_max(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram);

/* Returns the smallest value that at least percent % of all values do not exceed. 0 returns the minimum, 100 the
 * maximum. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* The values from low up to, but not including, high. */
struct histogram_bin {
	uint64_t low, high, count;
};

/* Divides the range from the minimum to the maximum into at most capacity bins. The ratio of the edges of a bin is
 * the same for all bins. There are fewer bins if they would be narrower than the buckets. The bins together contain
 * all values. Returns the number of bins, 0 for an empty histogram. */
size_t histogram_bins(const struct histogram *histogram, struct histogram_bin *bins, size_t capacity);

#endif

/* How long things took: a histogram in fixed memory, log-linear as HdrHistogram is. A value is known to less than 0.8
 * %, so that percentiles of it, which are told by the middle of a bucket, are less than 0.4 % wrong; values below 256
 * ns are exact, and so are the least, the greatest and the mean. */
#ifndef UDPRELAYD_CLIENT_HISTOGRAM_H
#define UDPRELAYD_CLIENT_HISTOGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Buckets for each power of two: 2 to this. */
#define HISTOGRAM_BITS 7

/* Greater values count as this one: some 73 minutes in nanoseconds. */
#define HISTOGRAM_VALUE_MAX ((UINT64_C(1) << 42) - 1)

#define HISTOGRAM_BUCKETS ((42 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS)

/* Zeroed, it is empty. */
struct histogram {
	uint64_t count, min, max;
	double sum;
	uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, uint64_t value);

/* The same value so many times, or never. */
void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times);

/* Each is 0 where the histogram is empty. */
uint64_t histogram_count(const struct histogram *histogram);
uint64_t histogram_min(const struct histogram *histogram);
uint64_t histogram_max(const struct histogram *histogram);
double histogram_mean(const struct histogram *histogram);

/* The least value that so many of a hundred do not exceed; 0 gives the least of all, 100 the greatest. */
uint64_t histogram_percentile(const struct histogram *histogram, double percent);

/* Values from low up to, but not including, high. */
struct histogram_bin {
	uint64_t low, high, count;
};

/* Divides what was seen, from the least to the greatest, into at most so many bins, each as many times as wide as the
 * one before. They are fewer where they would be narrower than what is known of a value. Returns how many they are, 0
 * for an empty histogram; together they hold every value. */
size_t histogram_bins(const struct histogram *histogram, struct histogram_bin *bins, size_t most);

#endif

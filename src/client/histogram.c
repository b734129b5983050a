#include "client/histogram.h"

#include <math.h>

/* Number of buckets for each power of two. */
#define BUCKETS_PER_OCTAVE (UINT64_C(1) << HISTOGRAM_BITS)

/* Below twice BUCKETS_PER_OCTAVE each bucket holds one value. A larger value loses all bits after its first
 * HISTOGRAM_BITS + 1. The remaining number is from BUCKETS_PER_OCTAVE to 2 * BUCKETS_PER_OCTAVE - 1, and its buckets
 * follow those of values that are one bit shorter. */
static size_t bucket_index(uint64_t value)
{
	unsigned length = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
	unsigned shift = length > HISTOGRAM_BITS + 1 ? length - HISTOGRAM_BITS - 1 : 0;

	return (shift << HISTOGRAM_BITS) + (value >> shift);
}

static uint64_t bucket_middle(size_t bucket)
{
	size_t shift = bucket < 2 * BUCKETS_PER_OCTAVE ? 0 : (bucket >> HISTOGRAM_BITS) - 1;
	uint64_t low = (bucket - (shift << HISTOGRAM_BITS)) << shift;

	return low + (UINT64_C(1) << shift) / 2;
}

static uint64_t clamp_value(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times)
{
	if (!times)
		return;
	value = clamp_value(value, 0, HISTOGRAM_VALUE_MAX);
	if (!histogram->count || value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->count += times;
	histogram->sum += (double)value * (double)times;
	histogram->buckets[bucket_index(value)] += times;
}

void histogram_add(struct histogram *histogram, uint64_t value)
{
	histogram_add_many(histogram, value, 1);
}

uint64_t histogram_count(const struct histogram *histogram)
{
	return histogram->count;
}

uint64_t histogram_min(const struct histogram *histogram)
{
	return histogram->min;
}

uint64_t histogram_max(const struct histogram *histogram)
{
	return histogram->max;
}

double histogram_mean(const struct histogram *histogram)
{
	return histogram->count ? histogram->sum / (double)histogram->count : 0;
}

uint64_t histogram_percentile(const struct histogram *histogram, double percent)
{
	double rank = ceil(percent / 100 * (double)histogram->count);
	uint64_t below = 0;
	size_t bucket = 0;

	if (rank <= 1)
		return histogram->min;
	if (rank >= (double)histogram->count)
		return histogram->max;
	while ((double)(below += histogram->buckets[bucket]) < rank)
		bucket++;
	return clamp_value(bucket_middle(bucket), histogram->min, histogram->max);
}

/* --- Bins --- */

/* Returns the largest number of bins that are not narrower than a bucket. */
static size_t histogram_bin_limit(const struct histogram *histogram, size_t capacity)
{
	size_t buckets = bucket_index(histogram->max) - bucket_index(histogram->min) + 1;

	return buckets < capacity ? buckets : capacity;
}

/* The logarithm of 0 is not defined. */
static double at_least_one(uint64_t value)
{
	return value ? (double)value : 1;
}

static void histogram_set_bin_edges(const struct histogram *histogram, struct histogram_bin *bins, size_t count)
{
	double min = at_least_one(histogram->min), ratio = at_least_one(histogram->max) / min;

	for (size_t i = 0; i < count; i++) {
		uint64_t edge = i ? (uint64_t)(min * pow(ratio, (double)i / (double)count)) : histogram->min;

		if (i && edge <= bins[i - 1].low)
			edge = bins[i - 1].low + 1;
		bins[i] = (struct histogram_bin){.low = edge, .high = histogram->max + 1};
		if (i)
			bins[i - 1].high = edge;
	}
}

/* The middle of a bucket decides to which bin the bucket belongs. */
size_t histogram_bins(const struct histogram *histogram, struct histogram_bin *bins, size_t capacity)
{
	size_t count = histogram_bin_limit(histogram, capacity), bin = 0;

	if (!histogram->count)
		return 0;
	histogram_set_bin_edges(histogram, bins, count);
	for (size_t i = bucket_index(histogram->min); i <= bucket_index(histogram->max); i++) {
		while (bin + 1 < count && bucket_middle(i) >= bins[bin].high)
			bin++;
		bins[bin].count += histogram->buckets[i];
	}
	return count;
}

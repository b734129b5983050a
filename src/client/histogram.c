#include "client/histogram.h"

#include <math.h>

/* The buckets of one power of two. */
#define EACH (UINT64_C(1) << HISTOGRAM_BITS)

/* Below twice EACH a bucket holds one value. Above, the bits behind the first HISTOGRAM_BITS + 1 are left out: then the
 * rest, EACH to 2 EACH - 1, goes on from the buckets of one bit less. */
static size_t bucket_of(uint64_t value)
{
	unsigned length = value ? 64 - (unsigned)__builtin_clzll(value) : 0;
	unsigned left_out = length > HISTOGRAM_BITS + 1 ? length - HISTOGRAM_BITS - 1 : 0;

	return (left_out << HISTOGRAM_BITS) + (value >> left_out);
}

static uint64_t middle_of(size_t bucket)
{
	size_t left_out = bucket < 2 * EACH ? 0 : (bucket >> HISTOGRAM_BITS) - 1;
	uint64_t low = (bucket - (left_out << HISTOGRAM_BITS)) << left_out;

	return low + (UINT64_C(1) << left_out) / 2;
}

static uint64_t clamp(uint64_t value, uint64_t min, uint64_t max)
{
	return value < min ? min : value > max ? max : value;
}

void histogram_add_many(struct histogram *histogram, uint64_t value, uint64_t times)
{
	if (!times)
		return;
	value = clamp(value, 0, HISTOGRAM_VALUE_MAX);
	if (!histogram->count || value < histogram->min)
		histogram->min = value;
	if (value > histogram->max)
		histogram->max = value;
	histogram->count += times;
	histogram->sum += (double)value * (double)times;
	histogram->buckets[bucket_of(value)] += times;
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
	return clamp(middle_of(bucket), histogram->min, histogram->max);
}

/* --- Bins --- */

/* How many bins are not narrower than a bucket. */
static size_t sensible_bins(const struct histogram *histogram, size_t most)
{
	size_t buckets = bucket_of(histogram->max) - bucket_of(histogram->min) + 1;

	return buckets < most ? buckets : most;
}

/* Logarithms have no 0. */
static double from_one(uint64_t value)
{
	return value ? (double)value : 1;
}

static void set_edges(const struct histogram *histogram, struct histogram_bin *bins, size_t count)
{
	double min = from_one(histogram->min), times = from_one(histogram->max) / min;

	for (size_t i = 0; i < count; i++) {
		uint64_t edge = i ? (uint64_t)(min * pow(times, (double)i / (double)count)) : histogram->min;

		if (i && edge <= bins[i - 1].low)
			edge = bins[i - 1].low + 1;
		bins[i] = (struct histogram_bin){.low = edge, .high = histogram->max + 1};
		if (i)
			bins[i - 1].high = edge;
	}
}

/* A bucket is where its middle is. */
size_t histogram_bins(const struct histogram *histogram, struct histogram_bin *bins, size_t most)
{
	size_t count = sensible_bins(histogram, most), bin = 0;

	if (!histogram->count)
		return 0;
	set_edges(histogram, bins, count);
	for (size_t i = bucket_of(histogram->min); i <= bucket_of(histogram->max); i++) {
		while (bin + 1 < count && middle_of(i) >= bins[bin].high)
			bin++;
		bins[bin].count += histogram->buckets[i];
	}
	return count;
}

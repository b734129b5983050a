#include "client/ping/ping_report.h"

#include <assert.h>
#include <inttypes.h>
#include <sysexits.h>

#include "text/json_writer.h"

/* Number of rows of the chart, and the length of its longest bar in columns. */
#define CHART_ROWS 10
#define CHART_BAR_MAX 40

static const struct {
	const char *name;
	double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}};

#define PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

static double ns_to_ms(double ns)
{
	return ns / 1e6;
}

static double ns_to_us(double ns)
{
	return ns / 1e3;
}

void ping_result_add(struct ping_result *result, uint64_t time_ns)
{
	uint64_t last = result->last_ns;

	if (histogram_count(&result->round_trips))
		result->jitter_sum_ns += time_ns > last ? time_ns - last : last - time_ns;
	result->last_ns = time_ns;
	histogram_add(&result->round_trips, time_ns);
}

/* Returns the mean of |D(i-1,i)| of RFC 3550, 6.4.1, for round trips in the order in which they ended. The estimator
 * of the RFC is a moving average that starts at 0. It is far too low for the few datagrams of a ping. */
static double jitter_ns(const struct ping_result *result)
{
	uint64_t count = histogram_count(&result->round_trips);

	return count > 1 ? (double)result->jitter_sum_ns / (double)(count - 1) : 0;
}

uint64_t ping_result_lost(const struct ping_result *result)
{
	uint64_t known = result->counts.received + result->refused;

	return known < result->sent ? result->sent - known : 0;
}

static double ping_lost_percent(const struct ping_result *result)
{
	return result->sent ? 100 * (double)ping_result_lost(result) / (double)result->sent : 0;
}

static const char *ping_outcome(const struct ping_result *result)
{
	return result->counts.received ? "answered" : result->refused ? "refused" : "silent";
}

int ping_result_status(const struct ping_result *result)
{
	return result->counts.received ? 0 : result->refused ? EX_UNAVAILABLE : 1;
}

/* --- Text --- */

void ping_report_reply(FILE *out, const struct ping_result *result, const struct ping_reply *reply)
{
	char text[ADDRESS_TEXT_MAX];

	fprintf(out, "%zu bytes from %s: seq=%" PRIu64 " time=%.3f ms", reply->size,
		address_format(reply->source, text), reply->seq, ns_to_ms((double)reply->time_ns));
	if (reply->duplicate)
		fputs(" (duplicate)", out);
	if (reply->out_of_order)
		fputs(" (out of order)", out);
	if (reply->too_late)
		fputs(" (too late)", out);
	if (reply->size != result->size)
		fprintf(out, " (%zu were sent)", result->size);
	if (reply->other_source)
		fprintf(out, " (not %s)", address_format(&result->destination, text));
	fputc('\n', out);
}

static void ping_print_times(FILE *out, const struct ping_result *result)
{
	const struct histogram *times = &result->round_trips;

	fputs("round trip min/avg", out);
	for (size_t i = 0; i < PERCENTILES; i++)
		fprintf(out, "/%s", percentiles[i].name);
	fprintf(out, "/max = %.3f/%.3f", ns_to_ms((double)histogram_min(times)), ns_to_ms(histogram_mean(times)));
	for (size_t i = 0; i < PERCENTILES; i++)
		fprintf(out, "/%.3f", ns_to_ms((double)histogram_percentile(times, percentiles[i].percent)));
	fprintf(out, "/%.3f ms, jitter %.3f ms\n", ns_to_ms((double)histogram_max(times)), ns_to_ms(jitter_ns(result)));
}

/* Prints a line only for counts that are not 0, because all of these are unusual. */
static void ping_print_anomalies(FILE *out, const struct ping_result *result)
{
	const struct {
		uint64_t count;
		const char *text;
	} anomalies[] = {
		{result->not_sent, "could not be sent"},
		{result->other_source, "replies from another address"},
		{result->other_size, "replies of another size"},
		{result->too_late, "replies too late to distinguish from duplicates"},
		{result->foreign, "datagrams that are not replies"},
	};

	for (size_t i = 0; i < sizeof(anomalies) / sizeof(*anomalies); i++) {
		if (anomalies[i].count)
			fprintf(out, "%s: %" PRIu64 "\n", anomalies[i].text, anomalies[i].count);
	}
}

void ping_report_text(FILE *out, const struct ping_result *result)
{
	const struct delivery_counts *counts = &result->counts;
	char text[ADDRESS_TEXT_MAX];

	fprintf(out, "--- %s ---\n", address_format(&result->destination, text));
	fprintf(out,
		"%" PRIu64 " sent, %" PRIu64 " answered, %" PRIu64 " lost (%g %%), %" PRIu64 " duplicates, %" PRIu64
		" out of order, %" PRIu64 " refused, time %.3f s\n",
		result->sent, counts->received, ping_result_lost(result), ping_lost_percent(result), counts->duplicated,
		counts->reordered, result->refused, (double)result->elapsed_ns / 1e9);
	ping_print_anomalies(out, result);
	if (histogram_count(&result->round_trips))
		ping_print_times(out, result);
}

/* --- JSON --- */

static void ping_json_counts(struct json_writer *json, const struct ping_result *result)
{
	json_writer_number(json, "sent", result->sent);
	json_writer_number(json, "answered", result->counts.received);
	json_writer_number(json, "lost", ping_result_lost(result));
	json_writer_decimal(json, "lost_percent", ping_lost_percent(result));
	json_writer_number(json, "duplicates", result->counts.duplicated);
	json_writer_number(json, "out_of_order", result->counts.reordered);
	json_writer_number(json, "refused", result->refused);
	json_writer_number(json, "not_sent", result->not_sent);
	json_writer_number(json, "other_source", result->other_source);
	json_writer_number(json, "other_size", result->other_size);
	json_writer_number(json, "too_late", result->too_late);
	json_writer_number(json, "foreign", result->foreign);
}

static void ping_json_times(struct json_writer *json, const struct ping_result *result)
{
	const struct histogram *times = &result->round_trips;

	json_writer_begin(json, "round_trip_us", '{');
	json_writer_decimal(json, "min", ns_to_us((double)histogram_min(times)));
	json_writer_decimal(json, "avg", ns_to_us(histogram_mean(times)));
	for (size_t i = 0; i < PERCENTILES; i++)
		json_writer_decimal(json, percentiles[i].name,
				    ns_to_us((double)histogram_percentile(times, percentiles[i].percent)));
	json_writer_decimal(json, "max", ns_to_us((double)histogram_max(times)));
	json_writer_decimal(json, "jitter", ns_to_us(jitter_ns(result)));
	json_writer_end(json, '}');
}

static void ping_json_bins(struct json_writer *json, const struct ping_result *result)
{
	struct histogram_bin bins[CHART_ROWS];
	size_t count = histogram_bins(&result->round_trips, bins, CHART_ROWS);

	json_writer_begin(json, "bins", '[');
	for (size_t i = 0; i < count; i++) {
		json_writer_begin(json, NULL, '{');
		json_writer_decimal(json, "from_us", ns_to_us((double)bins[i].low));
		json_writer_decimal(json, "below_us", ns_to_us((double)bins[i].high));
		json_writer_number(json, "count", bins[i].count);
		json_writer_end(json, '}');
	}
	json_writer_end(json, ']');
}

void ping_report_json(FILE *out, const struct ping_result *result)
{
	struct json_writer json = {.out = out};
	char text[ADDRESS_TEXT_MAX];

	json_writer_begin(&json, NULL, '{');
	json_writer_string(&json, "to", address_format(&result->destination, text));
	json_writer_number(&json, "size", result->size);
	json_writer_string(&json, "outcome", ping_outcome(result));
	ping_json_counts(&json, result);
	json_writer_decimal(&json, "seconds", (double)result->elapsed_ns / 1e9);
	if (histogram_count(&result->round_trips))
		ping_json_times(&json, result);
	else
		json_writer_null(&json, "round_trip_us");
	ping_json_bins(&json, result);
	json_writer_end(&json, '}');
	fputc('\n', out);
}

/* --- Chart --- */

static uint64_t largest_bin_count(const struct histogram_bin *bins, size_t count)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < count; i++)
		largest = bins[i].count > largest ? bins[i].count : largest;
	return largest;
}

/* Rounds up, so that each count above 0 has a bar. */
static int chart_bar_length(uint64_t count, uint64_t largest)
{
	return (int)((count * CHART_BAR_MAX + largest - 1) / largest);
}

void ping_report_chart(FILE *out, const struct ping_result *result)
{
	static const char bar[] = "########################################";
	struct histogram_bin bins[CHART_ROWS];
	size_t count = histogram_bins(&result->round_trips, bins, CHART_ROWS);
	uint64_t largest = largest_bin_count(bins, count);

	static_assert(sizeof(bar) == CHART_BAR_MAX + 1, "the longest bar");
	if (histogram_count(&result->round_trips) < 2)
		return;
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%10.4f to %10.4f ms %8" PRIu64, ns_to_ms((double)bins[i].low),
			ns_to_ms((double)bins[i].high), bins[i].count);
		fprintf(out, "%s%.*s\n", bins[i].count ? " " : "", chart_bar_length(bins[i].count, largest), bar);
	}
}

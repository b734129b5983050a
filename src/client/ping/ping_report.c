#include "client/ping/ping_report.h"

#include <assert.h>
#include <inttypes.h>
#include <sysexits.h>

#include "text/json_writer.h"

/* Rows of the drawing, and columns of its longest bar. */
#define BINS 10
#define BAR 40

static const struct {
	const char *name;
	double percent;
} percentiles[] = {{"p50", 50}, {"p90", 90}, {"p99", 99}};

#define PERCENTILES (sizeof(percentiles) / sizeof(*percentiles))

static double milliseconds(double ns)
{
	return ns / 1e6;
}

static double microseconds(double ns)
{
	return ns / 1e3;
}

void ping_result_add(struct ping_result *result, uint64_t time_ns)
{
	uint64_t last = result->last_ns;

	if (histogram_count(&result->times))
		result->differences_ns += time_ns > last ? time_ns - last : last - time_ns;
	result->last_ns = time_ns;
	histogram_add(&result->times, time_ns);
}

/* The mean of |D(i-1,i)| of RFC 3550, 6.4.1, for round trips in the order in which they ended. That of the RFC, which
 * forgets, begins at 0 and is far too low for the few datagrams of a ping. */
static double jitter_ns(const struct ping_result *result)
{
	uint64_t count = histogram_count(&result->times);

	return count > 1 ? (double)result->differences_ns / (double)(count - 1) : 0;
}

uint64_t ping_result_lost(const struct ping_result *result)
{
	uint64_t known = result->tally.received + result->refused;

	return known < result->sent ? result->sent - known : 0;
}

static double lost_percent(const struct ping_result *result)
{
	return result->sent ? 100 * (double)ping_result_lost(result) / (double)result->sent : 0;
}

static const char *outcome(const struct ping_result *result)
{
	return result->tally.received ? "answered" : result->refused ? "refused" : "silent";
}

int ping_result_status(const struct ping_result *result)
{
	return result->tally.received ? 0 : result->refused ? EX_UNAVAILABLE : 1;
}

/* --- Text --- */

void ping_report_answer(FILE *out, const struct ping_result *result, const struct ping_answer *answer)
{
	char text[ADDRESS_TEXT_MAX];

	fprintf(out, "%zu bytes from %s: seq=%" PRIu64 " time=%.3f ms", answer->size,
		address_format(answer->source, text), answer->seq, milliseconds((double)answer->time_ns));
	if (answer->duplicate)
		fputs(" (duplicate)", out);
	if (answer->out_of_order)
		fputs(" (out of order)", out);
	if (answer->too_late)
		fputs(" (too late)", out);
	if (answer->size != result->size)
		fprintf(out, " (%zu were sent)", result->size);
	if (answer->other_source)
		fprintf(out, " (not %s)", address_format(&result->to, text));
	fputc('\n', out);
}

static void print_times(FILE *out, const struct ping_result *result)
{
	const struct histogram *times = &result->times;

	fputs("round trip min/avg", out);
	for (size_t i = 0; i < PERCENTILES; i++)
		fprintf(out, "/%s", percentiles[i].name);
	fprintf(out, "/max = %.3f/%.3f", milliseconds((double)histogram_min(times)),
		milliseconds(histogram_mean(times)));
	for (size_t i = 0; i < PERCENTILES; i++)
		fprintf(out, "/%.3f", milliseconds((double)histogram_percentile(times, percentiles[i].percent)));
	fprintf(out, "/%.3f ms, jitter %.3f ms\n", milliseconds((double)histogram_max(times)),
		milliseconds(jitter_ns(result)));
}

/* What ought not to happen at all is told only where it did. */
static void print_oddities(FILE *out, const struct ping_result *result)
{
	const struct {
		uint64_t count;
		const char *what;
	} oddities[] = {
		{result->not_sent, "could not be sent"},
		{result->other_source, "answers from another address"},
		{result->other_size, "answers of another size"},
		{result->too_late, "answers too late to be told from duplicates"},
		{result->foreign, "datagrams that are no answers"},
	};

	for (size_t i = 0; i < sizeof(oddities) / sizeof(*oddities); i++) {
		if (oddities[i].count)
			fprintf(out, "%s: %" PRIu64 "\n", oddities[i].what, oddities[i].count);
	}
}

void ping_report_text(FILE *out, const struct ping_result *result)
{
	const struct tally *tally = &result->tally;
	char text[ADDRESS_TEXT_MAX];

	fprintf(out, "--- %s ---\n", address_format(&result->to, text));
	fprintf(out,
		"%" PRIu64 " sent, %" PRIu64 " answered, %" PRIu64 " lost (%g %%), %" PRIu64 " duplicates, %" PRIu64
		" out of order, %" PRIu64 " refused, time %.3f s\n",
		result->sent, tally->received, ping_result_lost(result), lost_percent(result), tally->duplicated,
		tally->reordered, result->refused, (double)result->elapsed_ns / 1e9);
	print_oddities(out, result);
	if (histogram_count(&result->times))
		print_times(out, result);
}

/* --- JSON --- */

static void put_counts(struct json_writer *json, const struct ping_result *result)
{
	json_writer_number(json, "sent", result->sent);
	json_writer_number(json, "answered", result->tally.received);
	json_writer_number(json, "lost", ping_result_lost(result));
	json_writer_decimal(json, "lost_percent", lost_percent(result));
	json_writer_number(json, "duplicates", result->tally.duplicated);
	json_writer_number(json, "out_of_order", result->tally.reordered);
	json_writer_number(json, "refused", result->refused);
	json_writer_number(json, "not_sent", result->not_sent);
	json_writer_number(json, "other_source", result->other_source);
	json_writer_number(json, "other_size", result->other_size);
	json_writer_number(json, "too_late", result->too_late);
	json_writer_number(json, "foreign", result->foreign);
}

static void put_times(struct json_writer *json, const struct ping_result *result)
{
	const struct histogram *times = &result->times;

	json_writer_begin(json, "round_trip_us", '{');
	json_writer_decimal(json, "min", microseconds((double)histogram_min(times)));
	json_writer_decimal(json, "avg", microseconds(histogram_mean(times)));
	for (size_t i = 0; i < PERCENTILES; i++)
		json_writer_decimal(json, percentiles[i].name,
				    microseconds((double)histogram_percentile(times, percentiles[i].percent)));
	json_writer_decimal(json, "max", microseconds((double)histogram_max(times)));
	json_writer_decimal(json, "jitter", microseconds(jitter_ns(result)));
	json_writer_end(json, '}');
}

static void put_bins(struct json_writer *json, const struct ping_result *result)
{
	struct histogram_bin bins[BINS];
	size_t count = histogram_bins(&result->times, bins, BINS);

	json_writer_begin(json, "bins", '[');
	for (size_t i = 0; i < count; i++) {
		json_writer_begin(json, NULL, '{');
		json_writer_decimal(json, "from_us", microseconds((double)bins[i].low));
		json_writer_decimal(json, "below_us", microseconds((double)bins[i].high));
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
	json_writer_string(&json, "to", address_format(&result->to, text));
	json_writer_number(&json, "size", result->size);
	json_writer_string(&json, "outcome", outcome(result));
	put_counts(&json, result);
	json_writer_decimal(&json, "seconds", (double)result->elapsed_ns / 1e9);
	if (histogram_count(&result->times))
		put_times(&json, result);
	else
		json_writer_null(&json, "round_trip_us");
	put_bins(&json, result);
	json_writer_end(&json, '}');
	fputc('\n', out);
}

/* --- Drawing --- */

static uint64_t highest(const struct histogram_bin *bins, size_t count)
{
	uint64_t most = 0;

	for (size_t i = 0; i < count; i++)
		most = bins[i].count > most ? bins[i].count : most;
	return most;
}

/* What was seen at all has some bar. */
static int bar_of(uint64_t count, uint64_t most)
{
	return (int)((count * BAR + most - 1) / most);
}

void ping_report_drawing(FILE *out, const struct ping_result *result)
{
	static const char bar[] = "########################################";
	struct histogram_bin bins[BINS];
	size_t count = histogram_bins(&result->times, bins, BINS);
	uint64_t most = highest(bins, count);

	static_assert(sizeof(bar) == BAR + 1, "the longest bar");
	if (histogram_count(&result->times) < 2)
		return;
	for (size_t i = 0; i < count; i++) {
		fprintf(out, "%10.4f to %10.4f ms %8" PRIu64, milliseconds((double)bins[i].low),
			milliseconds((double)bins[i].high), bins[i].count);
		fprintf(out, "%s%.*s\n", bins[i].count ? " " : "", bar_of(bins[i].count, most), bar);
	}
}

#include "client/load/load_report.h"

#include <inttypes.h>

#include "text/json_writer.h"

/* Time between two progress lines. */
#define PROGRESS_INTERVAL_NS 500000000

/* Returns to the start of the line and clears it. */
#define CLEAR_LINE "\r\033[K"

/* Size of a number with its unit, including the NUL. */
#define UNIT_TEXT_MAX 32

/* --- Numbers --- */

static double per_second(uint64_t count, uint64_t ns)
{
	return ns ? (double)count * 1e9 / (double)ns : 0;
}

/* A rate needs the time between two datagrams. Zero datagrams have the rate 0. */
static bool has_rate(uint64_t count)
{
	return count != 1;
}

static const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

/* Returns the number of payload bits. */
static double payload_bits(const struct load_plan *plan, double datagrams)
{
	return datagrams * plan->size * 8;
}

/* Formats with three or four significant digits. */
static char *format_scaled(char text[UNIT_TEXT_MAX], double value, const char *const units[4])
{
	int i = 0;

	for (; i < 3 && value >= 1000; i++)
		value /= 1000;
	snprintf(text, UNIT_TEXT_MAX, "%.*f %s", value < 10 ? 2 : value < 100 ? 1 : 0, value, units[i]);
	return text;
}

static char *format_bit_rate(char text[UNIT_TEXT_MAX], double rate)
{
	static const char *const units[] = {"bit/s", "kbit/s", "Mbit/s", "Gbit/s"};

	return format_scaled(text, rate, units);
}

static char *load_report_format_duration(char text[UNIT_TEXT_MAX], uint64_t ns)
{
	static const char *const units[] = {"ns", "µs", "ms", "s"};

	return format_scaled(text, (double)ns, units);
}

/* Counts without the session openings, which happen before the load, and the time that the rest took. */
struct load_rates {
	uint64_t sent, received, lost;
	uint64_t receiving_ns; /* to the last reply, but at least the time of sending */
	double lost_percent;
};

static struct load_rates load_rates_of(const struct load_plan *plan, const struct load_result *result)
{
	struct load_rates rates = {.sent = result->sent - result->opening_sent,
				   .received = result->counts.received - result->opening_received,
				   .receiving_ns = result->receiving_ns};
	uint64_t expected = load_expected_replies(plan, result);

	if (rates.receiving_ns < result->sending_ns)
		rates.receiving_ns = result->sending_ns;
	rates.lost = expected - result->counts.received;
	rates.lost_percent = expected ? (double)rates.lost * 100 / (double)expected : 0;
	return rates;
}

/* --- Text --- */

void load_report_plan(FILE *out, const struct load_plan *plan)
{
	char target[ADDRESS_TEXT_MAX];

	fprintf(out, "%s: %u flow%s", address_format(&plan->target, target), plan->flows, plural(plan->flows));
	if (plan->idle)
		fprintf(out, " and %u idle", plan->idle);
	if (plan->rate)
		fprintf(out, ", %u datagram%s per second", plan->rate, plural(plan->rate));
	else
		fprintf(out, ", depth %u", plan->depth);
	fprintf(out, ", %u byte%s", plan->size, plural(plan->size));
	if (plan->train > 1)
		fprintf(out, ", trains of %u", plan->train);
	fprintf(out, ", %g s\n", (double)plan->duration_ns / 1e9);
}

static void print_direction(FILE *out, const struct load_plan *plan, const char *name, uint64_t count, uint64_t ns)
{
	char text[UNIT_TEXT_MAX];
	double rate = per_second(count, ns);

	fprintf(out, "%-13s%" PRIu64 " datagram%s", name, count, plural(count));
	if (has_rate(count))
		fprintf(out, ", %.0f per second, %s", rate, format_bit_rate(text, payload_bits(plan, rate)));
	fputc('\n', out);
}

static void load_print_latency(FILE *out, const struct histogram *latency)
{
	static const struct {
		const char *name;
		double percent;
	} lines[] = {{"min", 0}, {"p50", 50}, {"p90", 90}, {"p99", 99}, {"p99.9", 99.9}, {"max", 100}};
	char text[UNIT_TEXT_MAX];

	if (!histogram_count(latency))
		return;
	fprintf(out, "%-13s", "latency");
	for (size_t i = 0; i < sizeof(lines) / sizeof(*lines); i++)
		fprintf(out, "%s%s %s", i ? ", " : "", lines[i].name,
			load_report_format_duration(text, histogram_percentile(latency, lines[i].percent)));
	fputc('\n', out);
}

void load_report_text(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	struct load_rates rates = load_rates_of(plan, result);

	print_direction(out, plan, "sent", rates.sent, result->sending_ns);
	print_direction(out, plan, plan->receivers ? "arrived" : "back", rates.received, rates.receiving_ns);
	fprintf(out, "%-13s%" PRIu64 " (%.3g %%)\n", "lost", rates.lost, rates.lost_percent);
	fprintf(out, "%-13s%" PRIu64 ", out of order %" PRIu64 ", misdelivered %" PRIu64 "\n", "duplicated",
		result->counts.duplicated, result->counts.reordered, result->counts.misdelivered);
	load_print_latency(out, &result->latency);
	if (result->unsent)
		fprintf(out, "%-13s%" PRIu64 " datagrams were due, but this host could not send them in time\n",
			"unsent", result->unsent);
	if (result->refused)
		fprintf(out, "%-13s%" PRIu64 " (ICMP)\n", "refused", result->refused);
}

/* --- JSON --- */

static void load_json_plan(struct json_writer *json, const struct load_plan *plan)
{
	char target[ADDRESS_TEXT_MAX];

	json_writer_string(json, "target", address_format(&plan->target, target));
	json_writer_number(json, "flows", plan->flows);
	json_writer_number(json, "idle", plan->idle);
	if (plan->rate)
		json_writer_number(json, "rate", plan->rate);
	else
		json_writer_number(json, "depth", plan->depth);
	json_writer_number(json, "size", plan->size);
	json_writer_number(json, "train", plan->train);
}

static void load_json_counts(struct json_writer *json, const struct load_plan *plan, const struct load_result *result)
{
	json_writer_number(json, "sent", result->sent);
	json_writer_number(json, "received", result->counts.received);
	json_writer_number(json, "greeted", result->opening_received);
	json_writer_number(json, "lost", load_rates_of(plan, result).lost);
	json_writer_number(json, "duplicated", result->counts.duplicated);
	json_writer_number(json, "reordered", result->counts.reordered);
	json_writer_number(json, "misdelivered", result->counts.misdelivered);
	json_writer_number(json, "unsent", result->unsent);
	json_writer_number(json, "refused", result->refused);
}

static void load_json_rate(struct json_writer *json, const char *name, uint64_t count, double rate)
{
	if (has_rate(count))
		json_writer_decimal(json, name, rate);
	else
		json_writer_null(json, name);
}

static void load_json_rates(struct json_writer *json, const struct load_plan *plan, const struct load_result *result)
{
	struct load_rates rates = load_rates_of(plan, result);
	double sent = per_second(rates.sent, result->sending_ns);
	double received = per_second(rates.received, rates.receiving_ns);

	json_writer_decimal(json, "seconds", (double)result->sending_ns / 1e9);
	json_writer_decimal(json, "lost_percent", rates.lost_percent);
	load_json_rate(json, "sent_per_second", rates.sent, sent);
	load_json_rate(json, "received_per_second", rates.received, received);
	load_json_rate(json, "sent_bits_per_second", rates.sent, payload_bits(plan, sent));
	load_json_rate(json, "received_bits_per_second", rates.received, payload_bits(plan, received));
}

static void load_json_latency(struct json_writer *json, const struct histogram *latency)
{
	static const struct {
		const char *name;
		double percent;
	} members[] = {{"min_us", 0},  {"p50_us", 50},     {"p90_us", 90},
		       {"p99_us", 99}, {"p99_9_us", 99.9}, {"max_us", 100}};

	for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++) {
		if (histogram_count(latency))
			json_writer_decimal(json, members[i].name,
					    (double)histogram_percentile(latency, members[i].percent) / 1e3);
		else
			json_writer_null(json, members[i].name);
	}
}

void load_report_json(FILE *out, const struct load_plan *plan, const struct load_result *result)
{
	struct json_writer json = {.out = out};

	json_writer_begin(&json, NULL, '{');
	load_json_plan(&json, plan);
	load_json_counts(&json, plan, result);
	load_json_rates(&json, plan, result);
	load_json_latency(&json, &result->latency);
	json_writer_end(&json, '}');
	fputc('\n', out);
}

/* --- Progress --- */

void load_progress_show(struct load_progress *progress, const struct load_result *result, uint64_t elapsed_ns)
{
	const struct load_plan *plan = progress->plan;
	uint64_t interval_ns = elapsed_ns - progress->updated_ns;
	char text[UNIT_TEXT_MAX];

	if (interval_ns < PROGRESS_INTERVAL_NS)
		return;
	double sent = per_second(result->sent - progress->sent, interval_ns);
	double received = per_second(result->counts.received - progress->received, interval_ns);

	fprintf(progress->out, CLEAR_LINE "%.1f s of %g s: %.0f sent/s, %.0f %s/s, %s", (double)elapsed_ns / 1e9,
		(double)plan->duration_ns / 1e9, sent, received, plan->receivers ? "arrived" : "back",
		format_bit_rate(text, payload_bits(plan, received)));
	fflush(progress->out);
	progress->updated_ns = elapsed_ns;
	progress->sent = result->sent;
	progress->received = result->counts.received;
}

void load_progress_clear(struct load_progress *progress)
{
	if (progress->updated_ns)
		fputs(CLEAR_LINE, progress->out);
	fflush(progress->out);
}

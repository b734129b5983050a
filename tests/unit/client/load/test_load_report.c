#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/load/load_report.h"

struct output {
	FILE *out;
	char *text;
	size_t size;
};

static void open_output(struct output *output)
{
	output->out = open_memstream(&output->text, &output->size);
	assert_non_null(output->out);
}

static void assert_output(struct output *output, const char *expected)
{
	fclose(output->out);
	assert_string_equal(output->text, expected);
	free(output->text);
}

static struct load_plan plan_of(unsigned rate, unsigned receivers)
{
	struct load_plan plan = {.flows = 2,
				 .size = 100,
				 .train = 1,
				 .rate = rate,
				 .depth = rate ? 0 : 4,
				 .receivers = receivers,
				 .duration_ns = 2000000000};

	assert_int_equal(address_parse(&plan.target, "127.0.0.1:7788"), 0);
	return plan;
}

/* The load sent 500 datagrams per second for two seconds. The last reply arrived half a second after the last
 * datagram was sent. */
static int set_up(void **state)
{
	struct load_result *result = calloc(1, sizeof(*result));

	if (!result)
		return 1;
	*state = result;
	result->sent = 1000;
	result->counts = (struct delivery_counts){.received = 990, .duplicated = 3, .reordered = 2, .misdelivered = 1};
	result->sending_ns = 2000000000;
	result->receiving_ns = 2500000000;
	for (uint64_t i = 1; i <= 990; i++)
		histogram_add(&result->latency, i < 990 ? 200 : 1500000);
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void test_plan_line(void **state)
{
	struct load_plan closed = plan_of(0, 0), paced = plan_of(5000, 0);
	struct output output;

	(void)state;
	open_output(&output);
	closed.flows = 1;
	load_report_plan(output.out, &closed);
	paced.idle = 70;
	paced.train = 5;
	paced.duration_ns = 1500000000;
	load_report_plan(output.out, &paced);
	assert_output(
		&output,
		"127.0.0.1:7788: 1 flow, depth 4, 100 bytes, 2 s\n"
		"127.0.0.1:7788: 2 flows and 70 idle, 5000 datagrams per second, 100 bytes, trains of 5, 1.5 s\n");
}

static void test_text_report(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct output output;

	open_output(&output);
	load_report_text(output.out, &plan, *state);
	assert_output(&output,
		      "sent         1000 datagrams, 500 per second, 400 kbit/s\n"
		      "back         990 datagrams, 396 per second, 317 kbit/s\n"
		      "lost         10 (1 %)\n"
		      "duplicated   3, out of order 2, misdelivered 1\n"
		      "latency      min 200 ns, p50 200 ns, p90 200 ns, p99 200 ns, p99.9 1.50 ms, max 1.50 ms\n");
}

/* The opening datagrams and their replies are not part of the rates. Each of the two receivers gets each datagram. */
static void test_rates_exclude_session_openings(void **state)
{
	struct load_plan plan = plan_of(0, 2);
	struct load_result *result = *state;
	struct output output;

	result->sent = 500;
	result->opening_sent = 100;
	result->opening_received = 190;
	result->receiving_ns = 1000000000; /* shorter than the time of sending */
	open_output(&output);
	load_report_text(output.out, &plan, result);
	fclose(output.out);
	assert_non_null(strstr(output.text, "sent         400 datagrams, 200 per second, 160 kbit/s\n"));
	assert_non_null(strstr(output.text, "arrived      800 datagrams, 400 per second, 320 kbit/s\n"));
	assert_non_null(strstr(output.text, "lost         10 (1 %)\n"));
	free(output.text);
}

static void test_problems_in_text_report(void **state)
{
	struct load_plan plan = plan_of(5000, 0);
	struct load_result *result = *state;
	struct output output;

	memset(result, 0, sizeof(*result));
	result->unsent = 20;
	result->refused = 7;
	open_output(&output);
	load_report_text(output.out, &plan, result);
	assert_output(&output, "sent         0 datagrams, 0 per second, 0.00 bit/s\n"
			       "back         0 datagrams, 0 per second, 0.00 bit/s\n"
			       "lost         0 (0 %)\n"
			       "duplicated   0, out of order 0, misdelivered 0\n"
			       "unsent       20 datagrams were due, but this host could not send them in time\n"
			       "refused      7 (ICMP)\n");
}

static void test_json_report(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct output output;

	open_output(&output);
	load_report_json(output.out, &plan, *state);
	assert_output(&output,
		      "{\"target\":\"127.0.0.1:7788\",\"flows\":2,\"idle\":0,\"depth\":4,\"size\":100,\"train\":1,"
		      "\"sent\":1000,"
		      "\"received\":990,\"greeted\":0,\"lost\":10,\"duplicated\":3,\"reordered\":2,\"misdelivered\":1,"
		      "\"unsent\":"
		      "0,"
		      "\"refused\":0,\"seconds\":2.000,\"lost_percent\":1.000,\"sent_per_second\":500.000,"
		      "\"received_per_second\":396.000,\"sent_bits_per_second\":400000.000,\"received_bits_per_"
		      "second\":316800."
		      "000,"
		      "\"min_us\":0.200,\"p50_us\":0.200,\"p90_us\":0.200,\"p99_us\":0.200,\"p99_9_us\":1500.000,"
		      "\"max_us\":1500.000}\n");
}

/* Without replies, the latency is null and not 0. */
static void test_json_report_without_replies(void **state)
{
	struct load_plan plan = plan_of(5000, 0);
	struct load_result *result = *state;
	struct output output;

	memset(result, 0, sizeof(*result));
	result->sent = 2;
	open_output(&output);
	load_report_json(output.out, &plan, result);
	fclose(output.out);
	assert_non_null(strstr(output.text, "\"rate\":5000,\"size\""));
	assert_null(strstr(output.text, "depth"));
	assert_non_null(strstr(output.text, "\"min_us\":null,\"p50_us\":null,"));
	assert_non_null(strstr(output.text, "\"lost_percent\":100.000,"));
	free(output.text);
}

/* One datagram has no rate. */
static void test_report_of_one_datagram(void **state)
{
	struct load_plan plan = plan_of(1, 0);
	struct load_result *result = *state;
	struct output output;

	memset(result, 0, sizeof(*result));
	result->sent = 1;
	result->sending_ns = 50000;
	open_output(&output);
	load_report_plan(output.out, &plan);
	load_report_text(output.out, &plan, result);
	load_report_json(output.out, &plan, result);
	fclose(output.out);
	assert_non_null(strstr(output.text, ", 1 datagram per second, "));
	assert_non_null(strstr(output.text, "\nsent         1 datagram\nback         0 datagrams, 0 per second, "));
	assert_non_null(strstr(output.text, "\"sent_per_second\":null,\"received_per_second\":0.000,"
					    "\"sent_bits_per_second\":null,\"received_bits_per_second\":0.000,"));
	free(output.text);
}

/* Each line shows the rates since the last one, at most twice a second. The line is cleared at the end if it was
 * shown. */
static void test_progress_line(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct load_result *result = *state;
	struct load_progress not_shown = {.plan = &plan}, shown = {.plan = &plan};
	struct output output;

	open_output(&output);
	not_shown.out = shown.out = output.out;
	load_progress_show(&not_shown, result, 499999999);
	load_progress_clear(&not_shown);
	load_progress_show(&shown, result, 500000000);
	load_progress_show(&shown, result, 999999999);
	result->sent += 100;
	result->counts.received += 50;
	load_progress_show(&shown, result, 1500000000);
	load_progress_clear(&shown);
	assert_output(&output, "\r\033[K0.5 s of 2 s: 2000 sent/s, 1980 back/s, 1.58 Mbit/s"
			       "\r\033[K1.5 s of 2 s: 100 sent/s, 50 back/s, 40.0 kbit/s"
			       "\r\033[K");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan_line),
		cmocka_unit_test_setup_teardown(test_text_report, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rates_exclude_session_openings, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_problems_in_text_report, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_report, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_report_without_replies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_report_of_one_datagram, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_progress_line, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

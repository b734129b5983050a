#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "client/ping/ping_report.h"

static struct ping_result result;

static struct address address_of(const char *text)
{
	struct address address = {0};

	assert_int_equal(address_parse(&address, text), 0);
	return address;
}

static int set_up(void **state)
{
	(void)state;
	result = (struct ping_result){.destination = address_of("192.0.2.1:7788"), .size = 64};
	return 0;
}

typedef void (*report_function)(FILE *out, const struct ping_result *result);

static void assert_report(report_function report, const char *expected)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	report(out, &result);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
}

/* Adds 100 replies from 1 ms to 2 ms; each takes 10 µs longer than the previous one. */
static void add_hundred_replies(void)
{
	for (uint64_t i = 1; i <= 100; i++)
		ping_result_add(&result, 1000000 + i * 10000);
	result.sent = result.counts.received = 100;
	result.elapsed_ns = 99001600000;
}

static struct ping_reply current;

static void report_current(FILE *out, const struct ping_result *of)
{
	ping_report_reply(out, of, &current);
}

static void test_reply_line(void **state)
{
	struct address destination = address_of("192.0.2.1:7788");

	(void)state;
	current = (struct ping_reply){.source = &destination, .seq = 1, .size = 64, .time_ns = 52400};
	assert_report(report_current, "64 bytes from 192.0.2.1:7788: seq=1 time=0.052 ms\n");
	current.duplicate = true;
	assert_report(report_current, "64 bytes from 192.0.2.1:7788: seq=1 time=0.052 ms (duplicate)\n");
	current.duplicate = false;
	current.out_of_order = true;
	current.time_ns = 1234567890;
	assert_report(report_current, "64 bytes from 192.0.2.1:7788: seq=1 time=1234.568 ms (out of order)\n");
	current.out_of_order = false;
	current.too_late = true;
	assert_report(report_current, "64 bytes from 192.0.2.1:7788: seq=1 time=1234.568 ms (too late)\n");
}

static void test_reply_with_other_source_or_size(void **state)
{
	struct address other = address_of("192.0.2.2:7788");

	(void)state;
	current = (struct ping_reply){.source = &other, .seq = 7, .size = 24, .time_ns = 1000000, .other_source = true};
	assert_report(report_current, "24 bytes from 192.0.2.2:7788: seq=7 time=1.000 ms (64 were sent)"
				      " (not 192.0.2.1:7788)\n");
}

static void test_report_without_replies(void **state)
{
	(void)state;
	result.sent = 3;
	result.elapsed_ns = 4000000000;
	assert_report(ping_report_text, "--- 192.0.2.1:7788 ---\n"
					"3 sent, 0 answered, 3 lost (100 %), 0 duplicates, 0 out of order, 0 refused, "
					"time 4.000 s\n");
	assert_report(ping_report_chart, "");
	assert_report(ping_report_json,
		      "{\"to\":\"192.0.2.1:7788\",\"size\":64,\"outcome\":\"silent\",\"sent\":3,\"answered\":0,"
		      "\"lost\":3,\"lost_percent\":100.000,\"duplicates\":0,\"out_of_order\":0,\"refused\":0,"
		      "\"not_sent\":0,\"other_source\":0,\"other_size\":0,\"too_late\":0,\"foreign\":0,"
		      "\"seconds\":4.000,\"round_trip_us\":null,\"bins\":[]}\n");
	assert_int_equal(ping_result_status(&result), 1);
}

static void test_refused_datagrams_are_not_lost(void **state)
{
	(void)state;
	result.sent = 3;
	result.refused = 2;
	assert_report(ping_report_text,
		      "--- 192.0.2.1:7788 ---\n"
		      "3 sent, 0 answered, 1 lost (33.3333 %), 0 duplicates, 0 out of order, 2 refused, "
		      "time 0.000 s\n");
	assert_int_equal(ping_result_status(&result), EX_UNAVAILABLE);
	result.counts.received = 1;
	assert_int_equal(ping_result_lost(&result), 0);
	assert_int_equal(ping_result_status(&result), 0);
	result.refused = 3; /* several hosts of a group may reply or refuse */
	assert_int_equal(ping_result_lost(&result), 0);
}

static void test_report_without_datagrams(void **state)
{
	(void)state;
	result.not_sent = 2;
	assert_report(ping_report_text, "--- 192.0.2.1:7788 ---\n"
					"0 sent, 0 answered, 0 lost (0 %), 0 duplicates, 0 out of order, 0 refused, "
					"time 0.000 s\n"
					"could not be sent: 2\n");
	assert_int_equal(ping_result_status(&result), 1);
}

static void test_anomalies_are_printed(void **state)
{
	(void)state;
	result.sent = 1;
	result.other_source = 1;
	result.other_size = 2;
	result.too_late = 3;
	result.foreign = 4;
	assert_report(ping_report_text, "--- 192.0.2.1:7788 ---\n"
					"1 sent, 0 answered, 1 lost (100 %), 0 duplicates, 0 out of order, 0 refused, "
					"time 0.000 s\n"
					"replies from another address: 1\n"
					"replies of another size: 2\n"
					"replies too late to distinguish from duplicates: 3\n"
					"datagrams that are not replies: 4\n");
}

static void test_jitter_is_the_mean_difference(void **state)
{
	(void)state;
	ping_result_add(&result, 1000000);
	ping_result_add(&result, 3000000);
	ping_result_add(&result, 2000000);
	result.sent = result.counts.received = 3;
	assert_report(ping_report_text, "--- 192.0.2.1:7788 ---\n"
					"3 sent, 3 answered, 0 lost (0 %), 0 duplicates, 0 out of order, 0 refused, "
					"time 0.000 s\n"
					"round trip min/avg/p50/p90/p99/max = "
					"1.000/2.000/2.003/3.000/3.000/3.000 ms, jitter 1.500 ms\n");
}

static void test_round_trip_line(void **state)
{
	(void)state;
	add_hundred_replies();
	result.counts.duplicated = 2;
	result.counts.reordered = 1;
	assert_report(ping_report_text,
		      "--- 192.0.2.1:7788 ---\n"
		      "100 sent, 100 answered, 0 lost (0 %), 2 duplicates, 1 out of order, 0 refused, time 99.002 s\n"
		      "round trip min/avg/p50/p90/p99/max = "
		      "1.010/1.505/1.503/1.896/1.987/2.000 ms, jitter 0.010 ms\n");
}

static void test_json_has_all_members(void **state)
{
	(void)state;
	ping_result_add(&result, 1000);
	ping_result_add(&result, 1000);
	ping_result_add(&result, 1500);
	result.sent = 4;
	result.counts = (struct delivery_counts){.received = 3, .duplicated = 5, .reordered = 6};
	result.refused = 0;
	result.not_sent = 7;
	result.other_source = 8;
	result.other_size = 9;
	result.too_late = 10;
	result.foreign = 11;
	result.elapsed_ns = 1500000000;
	assert_report(ping_report_json,
		      "{\"to\":\"192.0.2.1:7788\",\"size\":64,\"outcome\":\"answered\",\"sent\":4,\"answered\":3,"
		      "\"lost\":1,\"lost_percent\":25.000,\"duplicates\":5,\"out_of_order\":6,\"refused\":0,"
		      "\"not_sent\":7,\"other_source\":8,\"other_size\":9,\"too_late\":10,\"foreign\":11,"
		      "\"seconds\":1.500,\"round_trip_us\":{\"min\":1.000,\"avg\":1.167,\"p50\":1.002,"
		      "\"p90\":1.500,\"p99\":1.500,\"max\":1.500,\"jitter\":0.250},\"bins\":["
		      "{\"from_us\":1.000,\"below_us\":1.041,\"count\":2},"
		      "{\"from_us\":1.041,\"below_us\":1.084,\"count\":0},"
		      "{\"from_us\":1.084,\"below_us\":1.129,\"count\":0},"
		      "{\"from_us\":1.129,\"below_us\":1.176,\"count\":0},"
		      "{\"from_us\":1.176,\"below_us\":1.224,\"count\":0},"
		      "{\"from_us\":1.224,\"below_us\":1.275,\"count\":0},"
		      "{\"from_us\":1.275,\"below_us\":1.328,\"count\":0},"
		      "{\"from_us\":1.328,\"below_us\":1.383,\"count\":0},"
		      "{\"from_us\":1.383,\"below_us\":1.440,\"count\":0},"
		      "{\"from_us\":1.440,\"below_us\":1.501,\"count\":1}]}\n");
}

static void test_chart_has_a_row_per_bin(void **state)
{
	(void)state;
	add_hundred_replies();
	for (unsigned i = 0; i < 100; i++)
		ping_result_add(&result, 1010000);
	assert_report(ping_report_chart,
		      "    1.0100 to     1.0814 ms      108 ########################################\n"
		      "    1.0814 to     1.1579 ms        7 ###\n"
		      "    1.1579 to     1.2397 ms        8 ###\n"
		      "    1.2397 to     1.3274 ms        9 ####\n"
		      "    1.3274 to     1.4213 ms        9 ####\n"
		      "    1.4213 to     1.5218 ms       11 #####\n"
		      "    1.5218 to     1.6294 ms       11 #####\n"
		      "    1.6294 to     1.7446 ms       11 #####\n"
		      "    1.7446 to     1.8679 ms       12 #####\n"
		      "    1.8679 to     2.0000 ms       14 ######\n");
}

static void test_single_reply_has_no_chart(void **state)
{
	(void)state;
	ping_result_add(&result, 1000000);
	assert_report(ping_report_chart, "");
	ping_result_add(&result, 1000000);
	assert_report(ping_report_chart,
		      "    1.0000 to     1.0000 ms        2 ########################################\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_reply_line, set_up),
		cmocka_unit_test_setup(test_reply_with_other_source_or_size, set_up),
		cmocka_unit_test_setup(test_report_without_replies, set_up),
		cmocka_unit_test_setup(test_refused_datagrams_are_not_lost, set_up),
		cmocka_unit_test_setup(test_report_without_datagrams, set_up),
		cmocka_unit_test_setup(test_anomalies_are_printed, set_up),
		cmocka_unit_test_setup(test_jitter_is_the_mean_difference, set_up),
		cmocka_unit_test_setup(test_round_trip_line, set_up),
		cmocka_unit_test_setup(test_json_has_all_members, set_up),
		cmocka_unit_test_setup(test_chart_has_a_row_per_bin, set_up),
		cmocka_unit_test_setup(test_single_reply_has_no_chart, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The lines of the datagram log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "datagram_log/record.h"

static char utf8[] = "utf-8", gbk[] = "gbk", listener_name[] = "echo";
static char *encodings[] = {utf8, gbk};
static const struct listener_config listener = {.name = listener_name};

struct fixture {
	struct address source, destination;
	struct datagram_record record;
	struct codec *codec;
	char line[8192];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	address_parse(&f->source, "192.168.1.103:54321");
	address_parse(&f->destination, "192.168.1.2:7788");
	f->record = (struct datagram_record){.time_us = UINT64_C(1795344120123456),
					     .listener = &listener,
					     .source = &f->source,
					     .destination = &f->destination,
					     .verdict = VERDICT_ECHOED};
	*state = f;
	return codec_create(&f->codec, encodings, 2, CODEC_BACKSLASHREPLACE, 256);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	codec_destroy(f->codec);
	free(f);
	return 0;
}

static void format(struct fixture *f, const char *payload, uint32_t shown, uint32_t shown_max, enum log_format format)
{
	f->record.payload = payload;
	f->record.size = (uint32_t)strlen(payload);
	f->line[record_format(f->line, &f->record, shown, shown_max, f->codec, format)] = '\0';
}

static void test_text_has_the_fields_in_order(void **state)
{
	struct fixture *f = *state;

	format(f, "你好, udp\n", 12, 256, LOG_FORMAT_TEXT);
	assert_string_equal(f->line, "2026-11-22T10:42:00.123456Z echo 192.168.1.103:54321 > 192.168.1.2:7788 12B "
				     "utf-8 echoed \"你好, udp\\n\"\n");
}

static void test_the_encoding_is_the_one_that_decoded(void **state)
{
	struct fixture *f = *state;

	format(f, "\xc4\xe3\xba\xc3", 4, 256, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 4B gbk echoed \"你好\"\n"));
	format(f, "\xff\xff", 2, 256, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 2B utf-8 echoed \"\\xff\\xff\"\n"));
}

static void test_verdicts_are_written(void **state)
{
	struct fixture *f = *state;

	f->record.verdict = VERDICT_SUNK;
	format(f, "", 0, 256, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 0B utf-8 sunk \"\"\n"));
	f->record.verdict = VERDICT_FORWARDED;
	f->record.sent = 2;
	f->record.copies = 3;
	format(f, "x", 1, 256, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 1B utf-8 forwarded:2/3 \"x\"\n"));
	f->record.verdict = VERDICT_DROPPED;
	f->record.reason = DROP_SOURCE_PORT;
	format(f, "x", 1, 256, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 1B utf-8 dropped:source_port \"x\"\n"));
}

static void test_a_cut_payload_ends_in_an_ellipsis(void **state)
{
	struct fixture *f = *state;

	format(f, "你好", 4, 4, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 6B utf-8 echoed \"你\"…\n"));
	format(f, "你好", 4, 4, LOG_FORMAT_JSON);
	assert_non_null(strstr(f->line, "\"payload\":\"你\",\"truncated\":true}\n"));
}

static void test_payload_can_be_switched_off(void **state)
{
	struct fixture *f = *state;

	format(f, "abc", 0, 0, LOG_FORMAT_TEXT);
	assert_non_null(strstr(f->line, " 3B - echoed\n"));
	format(f, "abc", 0, 0, LOG_FORMAT_JSON);
	assert_non_null(
		strstr(f->line, "\"encoding\":null,\"verdict\":\"echoed\",\"payload\":null,\"truncated\":false}\n"));
}

static void test_json_has_the_same_fields(void **state)
{
	struct fixture *f = *state;

	address_parse(&f->source, "unix:/run/a\\b");
	format(f, "say \"hi\"\n", 9, 256, LOG_FORMAT_JSON);
	assert_string_equal(f->line,
			    "{\"time\":\"2026-11-22T10:42:00.123456Z\",\"listener\":\"echo\","
			    "\"source\":\"unix:/run/a\\\\x5cb\",\"destination\":\"192.168.1.2:7788\",\"size\":9,"
			    "\"encoding\":\"utf-8\",\"verdict\":\"echoed\",\"payload\":\"say \\\"hi\\\"\\u000a\","
			    "\"truncated\":false}\n");
}

static void test_the_size_limit_holds_for_the_worst_payload(void **state)
{
	struct fixture *f = *state;
	char payload[257];

	memset(payload, 0xff, 256);
	payload[256] = '\0';
	memset(&f->source, 0xff, sizeof(f->source));
	f->source.any.sa_family = AF_UNIX;
	f->source.length = sizeof(struct sockaddr_un);
	f->destination = f->source;
	f->record.verdict = VERDICT_DROPPED;
	f->record.reason = DROP_SOURCE_ADDRESS;
	assert_true(record_size_max(256) <= sizeof(f->line));
	for (int i = LOG_FORMAT_TEXT; i <= LOG_FORMAT_JSON; i++) {
		format(f, payload, 256, 256, (enum log_format)i);
		assert_in_range(strlen(f->line), 1000, record_size_max(256));
	}
}

/* A listed peer has its address as its name. */
static void test_the_size_limit_holds_for_the_longest_peer_name(void **state)
{
	char name[PEER_NAME_MAX + 1], verdict[RECORD_VERDICT_MAX], *end;
	struct peer_config peer = {.name = name};
	struct fixture *f = *state;

	memset(name, 'x', PEER_NAME_MAX);
	name[PEER_NAME_MAX] = '\0';
	f->record.peer = &peer;
	f->record.verdict = VERDICT_ANSWERED;
	end = record_format_verdict(verdict, &f->record);
	assert_in_range(end - verdict, PEER_NAME_MAX, RECORD_VERDICT_MAX);
	assert_memory_equal(verdict, "answered:xxx", 12);
}

static void test_drops_are_written(void **state)
{
	char line[RECORD_DROPPED_MAX + 1];

	(void)state;
	line[record_format_dropped(line, 0, 42, LOG_FORMAT_TEXT)] = '\0';
	assert_string_equal(line, "1970-01-01T00:00:00.000000Z records dropped: 42\n");
	line[record_format_dropped(line, 0, 42, LOG_FORMAT_JSON)] = '\0';
	assert_string_equal(line, "{\"time\":\"1970-01-01T00:00:00.000000Z\",\"records_dropped\":42}\n");
	assert_in_range(record_format_dropped(line, 0, UINT64_MAX, LOG_FORMAT_JSON), 1, RECORD_DROPPED_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_text_has_the_fields_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_encoding_is_the_one_that_decoded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_verdicts_are_written, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_cut_payload_ends_in_an_ellipsis, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_payload_can_be_switched_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_json_has_the_same_fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_size_limit_holds_for_the_worst_payload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_the_size_limit_holds_for_the_longest_peer_name, set_up, tear_down),
		cmocka_unit_test(test_drops_are_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

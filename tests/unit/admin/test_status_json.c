#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "admin/status_json.h"
#include "tests/unit/admin/status_fixture.h"

static char *print(const struct status *status, const struct status *before)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	status_json_write(out, status, before);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_part(const char *text, const char *part)
{
	if (!text || !strstr(text, part))
		fail_msg("there is no `%s` in:\n%s", part, text ? text : "");
}

static void all_members_are_written(void **state)
{
	struct status_fixture f;
	char *text, pid[32];

	(void)state;
	fixture_begin(&f);
	text = print(&f.status, NULL);
	snprintf(pid, sizeof(pid), "\"pid\":%d,", getpid());
	assert_part(text, pid);
	assert_part(text, "\"start_time\":\"1970-01-01T00:00:01.500000Z\",\"uptime_seconds\":2.500,");
	assert_part(text, "\"configuration\":{\"path\":\"t.ini\",\"generation\":1,\"reloads_failed\":4,"
			  "\"last_reload_failed\":true},\"faults\":[],");
	assert_part(text, "\"workers\":[{\"number\":0,\"seconds_since_last_turn\":0.000},{\"number\":1,");
	assert_part(text, "{\"name\":\"e\",\"action\":\"echo\",\"addresses\":[\"127.0.0.1:7\"],\"bound\":true,"
			  "\"received\":1000,\"received_bytes\":1001,\"datagrams_per_second\":0.000,");
	assert_part(text, "\"sunk\":1002,\"echoed\":1003,\"forwarded\":1004,\"relayed\":1005,\"dropped\":77,"
			  "\"dropped_by_reason\":{\"too_large\":1007,");
	assert_part(text, "\"relay\":{\"sessions\":5,\"sessions_limit\":16384,\"started\":5000,\"ended\":5001,"
			  "\"ended_by_reason\":{\"idle\":5");
	assert_part(text, "\"refused_by_reason\":{\"too_large\":5");
	assert_part(text, "},\"answers\":5002,\"answer_bytes\":5003,\"answered\":5004,");
	assert_part(text, "{\"name\":\"n\",\"address\":\"name:1\",\"addresses\":[],\"handed\":10000,");
	assert_part(text, "\"datagram_log\":{\"written\":11,\"dropped\":12,\"waiting\":13}}\n");
	free(text);
	fixture_end(&f);
}

static void paths_are_escaped(void **state)
{
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	free(f.config->path);
	f.config->path = strdup("/tmp/\"\n\xff");
	text = print(&f.status, NULL);
	assert_part(text, "\"path\":\"/tmp/\\\"\\u000a\\\\xff\"");
	assert_part(text, "\"address\":\"unix:/a\\\"b\\\\c\\\\xff\"");
	assert_part(text, "{\"address\":\"unix:/a\\\"b\\\\x5cc\\\\xff\",\"up\":true}");
	free(text);
	fixture_end(&f);
}

/* 1000 more datagrams within 2.5 seconds. */
static void rates_are_averages_since_the_earlier_status(void **state)
{
	struct status_fixture f, before;
	char *text;

	(void)state;
	fixture_begin(&f);
	fixture_begin(&before);
	before.status.now_ms = 1000;
	f.listeners[0].counters.received += 1000;
	f.peers[1].counters.sent_bytes += 5;
	text = print(&f.status, &before.status);
	assert_part(text, "\"received\":2000,\"received_bytes\":1001,\"datagrams_per_second\":400.000,"
			  "\"bytes_per_second\":0.000,");
	assert_part(text, "\"sent_bytes\":20007,\"datagrams_per_second\":0.000,\"bytes_per_second\":2.000,");
	free(text);
	before.status.generation = 2;
	text = print(&f.status, &before.status);
	assert_part(text, "\"received\":2000,\"received_bytes\":1001,\"datagrams_per_second\":0.000,");
	free(text);
	fixture_end(&before);
	fixture_end(&f);
}

static void problems_and_a_disabled_datagram_log(void **state)
{
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	f.stalled_ms[1] = 6000;
	f.status.datagram_log.on = false;
	text = print(&f.status, NULL);
	assert_part(text, "\"faults\":[\"worker 1: no progress for 6000 ms\"],");
	assert_part(text, "\"datagram_log\":null}");
	free(text);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_members_are_written),
		cmocka_unit_test(paths_are_escaped),
		cmocka_unit_test(rates_are_averages_since_the_earlier_status),
		cmocka_unit_test(problems_and_a_disabled_datagram_log),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

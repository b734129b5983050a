#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/prometheus.h"
#include "tests/unit/admin/status_fixture.h"

static char *print(const struct status *status)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	prometheus_write(out, status);
	assert_int_equal(fclose(out), 0);
	return text;
}

static void assert_line(const char *text, const char *line)
{
	char whole[512];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	if (!strstr(text, whole))
		fail_msg("there is no line `%s` in:\n%s", line, text);
}

static void assert_label(const char *text, const char *expected)
{
	char *escaped;
	size_t size;
	FILE *out = open_memstream(&escaped, &size);

	prometheus_write_label(out, text);
	fclose(out);
	assert_string_equal(escaped, expected);
	free(escaped);
}

static void labels_are_escaped(void **state)
{
	(void)state;
	assert_label("", "");
	assert_label("a b,c}", "a b,c}");
	assert_label("\"", "\\\"");
	assert_label("\\", "\\\\");
	assert_label("a\nb\\n", "a\\nb\\\\n");
}

static void all_counters_are_written(void **state)
{
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	text = print(&f.status);
	assert_line(text, "# TYPE udprelayd_listener_received_datagrams_total counter");
	assert_line(text, "udprelayd_listener_received_datagrams_total{listener=\"e\"} 1000");
	assert_line(text, "udprelayd_listener_received_bytes_total{listener=\"e\"} 1001");
	assert_line(text, "udprelayd_listener_sunk_datagrams_total{listener=\"e\"} 1002");
	assert_line(text, "udprelayd_listener_echoed_datagrams_total{listener=\"e\"} 1003");
	assert_line(text, "udprelayd_listener_forwarded_datagrams_total{listener=\"e\"} 1004");
	assert_line(text, "udprelayd_listener_relayed_datagrams_total{listener=\"r\"} 2005");
	assert_line(text, "udprelayd_listener_dropped_datagrams_total{listener=\"r\",reason=\"too_large\"} 2007");
	assert_line(text, "udprelayd_listener_kernel_dropped_datagrams_total{listener=\"r\"} 78");
	assert_line(text, "udprelayd_relay_sessions{listener=\"r\"} 5");
	assert_line(text, "udprelayd_relay_sessions_limit{listener=\"r\"} 16384");
	assert_line(text, "udprelayd_relay_sessions_started_total{listener=\"r\"} 5000");
	assert_line(text, "udprelayd_relay_sessions_ended_total{listener=\"r\"} 5001");
	assert_line(text, "udprelayd_relay_received_answers_total{listener=\"r\"} 5002");
	assert_line(text, "udprelayd_relay_received_answer_bytes_total{listener=\"r\"} 5003");
	assert_line(text, "udprelayd_relay_sent_answers_total{listener=\"r\"} 5004");
	assert_line(text, "udprelayd_relay_dropped_answers_total{listener=\"r\",reason=\"too_large\"} 5006");
	assert_non_null(strstr(text, "udprelayd_relay_ended_sessions_total{listener=\"r\",reason=\"replaced\"} 5"));
	assert_non_null(
		strstr(text, "udprelayd_relay_refused_sessions_total{listener=\"r\",reason=\"source_sessions\"} 5"));
	assert_null(strstr(text, "udprelayd_relay_sessions{listener=\"e\"}"));
	assert_line(text, "udprelayd_peer_handed_datagrams_total{peer=\"n\"} 10000");
	assert_line(text, "udprelayd_peer_sent_datagrams_total{peer=\"n\"} 10001");
	assert_line(text, "udprelayd_peer_sent_bytes_total{peer=\"n\"} 10002");
	assert_line(text, "udprelayd_peer_icmp_errors_total{peer=\"p\"} 20003");
	assert_line(text, "udprelayd_peer_dropped_datagrams_total{peer=\"p\",reason=\"too_large\"} 20005");
	assert_line(text, "udprelayd_datagram_log_written_records_total 11");
	assert_line(text, "udprelayd_datagram_log_dropped_records_total 12");
	assert_line(text, "udprelayd_datagram_log_waiting_records 13");
	assert_line(text, "udprelayd_start_time_seconds 1.500000");
	assert_line(text, "udprelayd_workers 2");
	assert_line(text, "udprelayd_reloads_total{result=\"success\"} 0");
	assert_line(text, "udprelayd_reloads_total{result=\"failure\"} 4");
	assert_line(text, "udprelayd_last_reload_successful 0");
	free(text);
	fixture_end(&f);
}

static void peer_addresses_have_their_state(void **state)
{
	static const char up[] = "udprelayd_peer_up{peer=\"p\",address=\"unix:/a\\\"b\\\\x5cc\\\\xff\"} 1";
	static const char down[] = "udprelayd_peer_up{peer=\"p\",address=\"unix:/a\\\"b\\\\x5cc\\\\xff\"} 0";
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	text = print(&f.status);
	assert_line(text, "udprelayd_peer_addresses{peer=\"n\"} 0");
	assert_line(text, "udprelayd_peer_addresses{peer=\"p\"} 1");
	assert_line(text, up);
	assert_null(strstr(text, "udprelayd_peer_up{peer=\"n\""));
	free(text);
	endpoint_set_checked(f.status.snapshot->peers[1].items[0], false);
	text = print(&f.status);
	assert_line(text, down);
	free(text);
	fixture_end(&f);
}

/* Each bucket includes all smaller buckets. */
static void buckets_are_cumulative(void **state)
{
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	f.status.receives = (struct receive_counters){.receives = {4, 2, 1}, .trains = {10, 0, 0, 0, 0, 0, 0, 1}};
	f.status.receives.datagrams = 138;
	text = print(&f.status);
	assert_line(text, "# TYPE udprelayd_receive_trains histogram");
	assert_line(text, "udprelayd_receive_trains_bucket{le=\"1\"} 4");
	assert_line(text, "udprelayd_receive_trains_bucket{le=\"2\"} 6");
	assert_line(text, "udprelayd_receive_trains_bucket{le=\"4\"} 7");
	assert_line(text, "udprelayd_receive_trains_bucket{le=\"128\"} 7");
	assert_line(text, "udprelayd_receive_trains_bucket{le=\"+Inf\"} 7");
	assert_line(text, "udprelayd_receive_trains_count 7");
	assert_line(text, "udprelayd_receive_trains_sum 11");
	assert_line(text, "udprelayd_train_datagrams_bucket{le=\"64\"} 10");
	assert_line(text, "udprelayd_train_datagrams_bucket{le=\"128\"} 11");
	assert_line(text, "udprelayd_train_datagrams_count 11");
	assert_line(text, "udprelayd_train_datagrams_sum 138");
	free(text);
	fixture_end(&f);
}

/* A family without items is not written. */
static void empty_families_are_omitted(void **state)
{
	struct status_fixture f;
	char *text;

	(void)state;
	fixture_begin(&f);
	f.status.listener_count = 1;
	f.status.peer_count = 0;
	f.status.datagram_log.on = false;
	text = print(&f.status);
	assert_null(strstr(text, "udprelayd_relay_"));
	assert_null(strstr(text, "udprelayd_peer_"));
	assert_null(strstr(text, "udprelayd_datagram_log_"));
	free(text);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_are_escaped),
		cmocka_unit_test(all_counters_are_written),
		cmocka_unit_test(peer_addresses_have_their_state),
		cmocka_unit_test(buckets_are_cumulative),
		cmocka_unit_test(empty_families_are_omitted),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

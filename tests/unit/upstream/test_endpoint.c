#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "upstream/endpoint.h"

#define MAX_FAILS 3
#define FAIL_TIMEOUT_MS 10000
#define CHECK_INTERVAL_MS 5000

struct fixture {
	struct peer_config peer;
	endpoint_epoch epoch;
	struct endpoint *endpoint;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct address address;

	*f = (struct fixture){.peer = {.max_fails = MAX_FAILS,
				       .fail_timeout_ms = FAIL_TIMEOUT_MS,
				       .check = {.interval_ms = CHECK_INTERVAL_MS}}};
	assert_int_equal(address_parse(&address, "192.0.2.1:53"), 0);
	f->endpoint = endpoint_create(&f->peer, &address, &f->epoch);
	assert_non_null(f->endpoint);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	endpoint_put(f->endpoint);
	return 0;
}

static unsigned epoch_of(struct fixture *f)
{
	return atomic_load(&f->epoch);
}

static void test_new_endpoint_is_up(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_is_up(f->endpoint, 0));
	assert_true(endpoint_is_up(f->endpoint, 5000));
	assert_ptr_equal(f->endpoint->peer, &f->peer);
	assert_int_equal(address_port(&f->endpoint->address), 53);
	assert_int_equal(epoch_of(f), 0);
}

/* Reports errors of an endpoint whose replies are expected. Returns whether they eject it. */
static bool report(struct fixture *f, unsigned count, uint64_t now_ms)
{
	return endpoint_report_failure(f->endpoint, count, true, now_ms);
}

/* Ejects the endpoint at 6000 by errors from 5000 on. */
static void eject(struct fixture *f)
{
	report(f, 1, 5000);
	assert_true(report(f, MAX_FAILS, 6000));
	assert_false(endpoint_is_up(f->endpoint, 6000));
}

static void test_errors_count_if_replies_are_missing(void **state)
{
	struct fixture *f = *state;

	assert_false(report(f, 1, 5000));
	assert_false(report(f, 1, 6000));
	assert_true(endpoint_is_up(f->endpoint, 6000));
	assert_true(report(f, 1, 6001));
	assert_false(endpoint_is_up(f->endpoint, 6001));
	assert_int_equal(endpoint_ejected_until(f->endpoint), 6001 + FAIL_TIMEOUT_MS);
}

/* A sweep of forged errors comes at once. */
static void test_many_errors_at_once_count_as_one(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 1000; i++)
		assert_false(report(f, 5, 5000 + (unsigned)i % 1000));
	assert_true(endpoint_is_up(f->endpoint, 5999));
	assert_int_equal(atomic_load(&f->endpoint->fails), 1);
}

static void test_errors_after_a_recent_reply_do_not_count(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 1;
	for (unsigned now_ms = 5000; now_ms < 30000; now_ms += 999) {
		assert_false(endpoint_report_reply(f->endpoint, now_ms));
		assert_false(report(f, 100, now_ms));
		assert_false(report(f, 100, now_ms + 998));
	}
	assert_true(endpoint_is_up(f->endpoint, 30000));
	assert_int_equal(epoch_of(f), 0);
}

/* Replies that come now and then, between the errors. */
static void test_one_error_per_interval_counts_between_replies(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 2;
	for (unsigned now_ms = 5000; now_ms < 60000; now_ms += 2000) {
		assert_false(report(f, 10, now_ms));
		assert_false(report(f, 10, now_ms + 100));
		assert_false(endpoint_report_reply(f->endpoint, now_ms + 200));
	}
	assert_true(endpoint_is_up(f->endpoint, 60000));
}

static void test_endpoint_that_is_gone_is_ejected_within_fail_timeout(void **state)
{
	struct fixture *f = *state;
	static const uint64_t timeouts[] = {1500, 2000, 10000, 60000};

	for (size_t i = 0; i < sizeof(timeouts) / sizeof(timeouts[0]); i++) {
		uint64_t replied_ms = 1000000 * (i + 1), now_ms = replied_ms;

		f->peer.fail_timeout_ms = timeouts[i];
		endpoint_report_reply(f->endpoint, replied_ms);
		while (!report(f, 1, now_ms))
			now_ms += 100;
		assert_in_range(now_ms - replied_ms, ENDPOINT_RECENT_MS, timeouts[i]);
	}
}

/* Returns the time from the end of the endpoint until the client, which sends in this period, is at another one. */
static uint64_t time_until_left(struct fixture *f, uint64_t period_ms, uint64_t reply_age_ms, bool replies_expected)
{
	static uint64_t gone_ms = 1000000;
	uint64_t now_ms = gone_ms += 10000000;

	endpoint_report_reply(f->endpoint, gone_ms - reply_age_ms);
	while (endpoint_is_up(f->endpoint, now_ms)) {
		endpoint_report_failure(f->endpoint, 1, replies_expected, now_ms);
		now_ms += period_ms;
	}
	return now_ms - gone_ms;
}

static void test_slow_client_leaves_within_fail_timeout(void **state)
{
	struct fixture *f = *state;
	static const uint64_t timeouts[] = {1, 100, 1000, 2000, 3500, 10000, 60000}, ages[] = {1, 400, 999, 5000};

	f->peer.max_fails = 1000;
	for (size_t i = 0; i < 7; i++) {
		uint64_t timeout_ms = f->peer.fail_timeout_ms = timeouts[i];

		for (uint64_t period_ms = 1; period_ms <= timeout_ms / 2; period_ms += 1 + period_ms / 9) {
			uint64_t third_ms = timeout_ms > ENDPOINT_RECENT_MS ? 0 : timeout_ms / 3 + period_ms;
			uint64_t recent_ms = ENDPOINT_RECENT_MS + third_ms + 2 * period_ms;
			uint64_t limit_ms = timeout_ms > recent_ms ? timeout_ms : recent_ms;

			for (size_t j = 0; j < 4; j++) {
				assert_in_range(time_until_left(f, period_ms, ages[j], true), 0, limit_ms);
				assert_in_range(time_until_left(f, period_ms, ages[j], false), 0, limit_ms);
			}
		}
	}
}

/* The second error is enough. */
static void test_very_slow_client_leaves_with_its_third_datagram(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(time_until_left(f, FAIL_TIMEOUT_MS - 1, 1, true), 2 * (FAIL_TIMEOUT_MS - 1));
}

/* The peer does not reply to clients, and all errors are forged. */
static void test_errors_do_not_count_while_checks_succeed(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ms = 5000;

	f->peer.max_fails = 1;
	f->peer.check.on = true;
	f->peer.check.timeout_ms = 2000;
	for (; now_ms < 60000; now_ms += CHECK_INTERVAL_MS) {
		assert_false(endpoint_report_check_reply(f->endpoint, now_ms));
		for (unsigned i = 0; i < CHECK_INTERVAL_MS + 2000; i++)
			assert_false(endpoint_report_failure(f->endpoint, 5, i % 2, now_ms + i));
	}
	assert_true(endpoint_report_failure(f->endpoint, 1, false, now_ms + 2000)); /* the next reply is late */
	assert_true(endpoint_report_check_reply(f->endpoint, now_ms + 2001));
	assert_true(endpoint_is_up(f->endpoint, now_ms + 2001));
	assert_false(endpoint_replied_recently(f->endpoint, now_ms + 2001)); /* it says nothing to clients */
	f->peer.check.on = false;
	assert_true(endpoint_report_failure(f->endpoint, 1, false, now_ms + 2002));
}

/* Only errors show that the endpoint is gone. */
static void test_without_replies_one_error_per_interval_counts(void **state)
{
	struct fixture *f = *state;
	uint64_t now_ms = 5000;

	while (!endpoint_report_failure(f->endpoint, 1000, false, now_ms))
		now_ms++;
	assert_int_equal(now_ms, 5000 + FAIL_TIMEOUT_MS / 3);
	f->peer.check.interval_ms = 100;
	now_ms += FAIL_TIMEOUT_MS;
	endpoint_report_reply(f->endpoint, now_ms);
	now_ms += ENDPOINT_RECENT_MS;
	assert_false(endpoint_report_failure(f->endpoint, 1000, false, now_ms));
	assert_false(endpoint_report_failure(f->endpoint, 1000, false, now_ms + 100));
	assert_false(endpoint_report_failure(f->endpoint, 1000, false, now_ms + 199));
	assert_true(endpoint_report_failure(f->endpoint, 1000, false, now_ms + 200));
}

static void test_reply_resets_failures(void **state)
{
	struct fixture *f = *state;

	report(f, 1, 5000);
	report(f, MAX_FAILS - 2, 6000);
	assert_int_equal(atomic_load(&f->endpoint->fails), MAX_FAILS - 1);
	assert_false(endpoint_report_reply(f->endpoint, 6001));
	assert_int_equal(atomic_load(&f->endpoint->fails), 0);
	assert_false(report(f, MAX_FAILS, 8000)); /* the first one counts at most once again */
	assert_true(endpoint_is_up(f->endpoint, 8000));
}

static void test_ejection_ends_after_fail_timeout(void **state)
{
	struct fixture *f = *state;

	eject(f);
	assert_false(endpoint_is_up(f->endpoint, 6000 + FAIL_TIMEOUT_MS - 1));
	assert_true(endpoint_is_up(f->endpoint, 6000 + FAIL_TIMEOUT_MS));
}

/* Errors of datagrams that were sent before the ejection still arrive during it. */
static void test_failures_do_not_extend_ejection(void **state)
{
	struct fixture *f = *state;

	eject(f);
	assert_false(report(f, MAX_FAILS, 6500));
	assert_int_equal(endpoint_ejected_until(f->endpoint), 6000 + FAIL_TIMEOUT_MS);
	assert_int_equal(epoch_of(f), 1);
}

static void test_one_failure_after_ejection_ejects_again(void **state)
{
	struct fixture *f = *state;
	uint64_t end_ms = 6000 + FAIL_TIMEOUT_MS;

	eject(f);
	assert_true(report(f, 1, end_ms));
	assert_false(endpoint_is_up(f->endpoint, end_ms));
	assert_int_equal(endpoint_ejected_until(f->endpoint), end_ms + FAIL_TIMEOUT_MS);
}

/* A reply proves that the endpoint is up. */
static void test_reply_ends_ejection(void **state)
{
	struct fixture *f = *state;

	eject(f);
	assert_true(endpoint_report_reply(f->endpoint, 6001));
	assert_true(endpoint_is_up(f->endpoint, 6001));
	assert_true(endpoint_replied_recently(f->endpoint, 7000));
	assert_false(endpoint_replied_recently(f->endpoint, 7001));
	assert_int_equal(epoch_of(f), 2);
	assert_false(endpoint_report_reply(f->endpoint, 6002));
	assert_int_equal(epoch_of(f), 2);
	assert_false(report(f, MAX_FAILS, 20000));
}

static void test_max_fails_1_ejects_at_first_failure(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 1;
	assert_true(report(f, 1, 5000));
	assert_true(report(f, 1, 5000 + FAIL_TIMEOUT_MS));
}

static void test_max_fails_0_never_ejects(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 0;
	for (unsigned i = 0; i < 100; i++)
		assert_false(report(f, 10, 5000 + 1000 * i));
	assert_true(endpoint_is_up(f->endpoint, 5000));
	assert_int_equal(epoch_of(f), 0);
}

static void test_check_takes_endpoint_down_and_up(void **state)
{
	struct fixture *f = *state;

	endpoint_set_checked(f->endpoint, false);
	assert_false(endpoint_is_up(f->endpoint, 5000));
	endpoint_set_checked(f->endpoint, true);
	assert_true(endpoint_is_up(f->endpoint, 5000));
}

static void test_endpoint_is_up_only_without_ejection_and_failed_check(void **state)
{
	struct fixture *f = *state;

	eject(f);
	endpoint_set_checked(f->endpoint, false);
	assert_false(endpoint_is_up(f->endpoint, 6000 + FAIL_TIMEOUT_MS));
	endpoint_set_checked(f->endpoint, true);
	assert_false(endpoint_is_up(f->endpoint, 6000));
	assert_true(endpoint_is_up(f->endpoint, 6000 + FAIL_TIMEOUT_MS));
}

static void test_epoch_counts_changes(void **state)
{
	struct fixture *f = *state;

	endpoint_set_checked(f->endpoint, true);
	assert_int_equal(epoch_of(f), 0);
	endpoint_set_checked(f->endpoint, false);
	endpoint_set_checked(f->endpoint, false);
	assert_int_equal(epoch_of(f), 1);
	endpoint_set_checked(f->endpoint, true);
	assert_int_equal(epoch_of(f), 2);
	report(f, 1, 5000);
	assert_int_equal(epoch_of(f), 2);
	report(f, MAX_FAILS, 6000);
	assert_int_equal(epoch_of(f), 3);
	endpoint_report_reply(f->endpoint, 6000 + FAIL_TIMEOUT_MS); /* the ejection is over by itself */
	assert_int_equal(epoch_of(f), 3);
}

/* A sanitizer reports memory that is freed too early, or never. */
static void test_last_reference_frees(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(endpoint_get(f->endpoint), f->endpoint);
	endpoint_put(f->endpoint);
	assert_true(endpoint_is_up(f->endpoint, 5000));
	endpoint_put(NULL);
}

/* --- Snapshots --- */

static void test_snapshot_copies_lists_and_holds_references(void **state)
{
	struct fixture *f = *state;
	struct endpoint *items[] = {f->endpoint, endpoint_create(&f->peer, &f->endpoint->address, &f->epoch)};
	struct endpoint *first = items[0], *second = items[1];
	struct peer_endpoints peers[] = {{items, 1}, {NULL, 0}, {items, 2}};
	struct endpoints_snapshot *snapshot = endpoints_snapshot_create(peers, 3);

	assert_non_null(snapshot);
	items[0] = items[1] = NULL;
	endpoint_put(second); /* the snapshot has the last reference */
	assert_int_equal(snapshot->peer_count, 3);
	assert_int_equal(snapshot->peers[0].count, 1);
	assert_ptr_equal(snapshot->peers[0].items[0], first);
	assert_int_equal(snapshot->peers[1].count, 0);
	assert_int_equal(snapshot->peers[2].count, 2);
	assert_ptr_equal(snapshot->peers[2].items[0], first);
	assert_ptr_equal(snapshot->peers[2].items[1], second);
	assert_int_equal(atomic_load(&first->references), 3);
	assert_int_equal(atomic_load(&second->references), 1);
	endpoints_snapshot_put(snapshot);
	assert_int_equal(atomic_load(&first->references), 1);
}

static void test_snapshot_lives_until_last_reference(void **state)
{
	struct fixture *f = *state;
	struct peer_endpoints peer = {&f->endpoint, 1};
	struct endpoints_snapshot *snapshot = endpoints_snapshot_create(&peer, 1);

	assert_non_null(snapshot);
	assert_ptr_equal(endpoints_snapshot_get(snapshot), snapshot);
	endpoints_snapshot_put(snapshot);
	assert_int_equal(atomic_load(&f->endpoint->references), 2);
	endpoints_snapshot_put(snapshot);
	assert_int_equal(atomic_load(&f->endpoint->references), 1);
	endpoints_snapshot_put(NULL);
}

static void test_snapshot_without_peers(void **state)
{
	struct endpoints_snapshot *snapshot = endpoints_snapshot_create(NULL, 0);

	(void)state;
	assert_non_null(snapshot);
	assert_int_equal(snapshot->peer_count, 0);
	endpoints_snapshot_put(snapshot);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_new_endpoint_is_up),
		test(test_errors_count_if_replies_are_missing),
		test(test_many_errors_at_once_count_as_one),
		test(test_errors_after_a_recent_reply_do_not_count),
		test(test_one_error_per_interval_counts_between_replies),
		test(test_endpoint_that_is_gone_is_ejected_within_fail_timeout),
		test(test_slow_client_leaves_within_fail_timeout),
		test(test_very_slow_client_leaves_with_its_third_datagram),
		test(test_errors_do_not_count_while_checks_succeed),
		test(test_without_replies_one_error_per_interval_counts),
		test(test_reply_resets_failures),
		test(test_ejection_ends_after_fail_timeout),
		test(test_failures_do_not_extend_ejection),
		test(test_one_failure_after_ejection_ejects_again),
		test(test_reply_ends_ejection),
		test(test_max_fails_1_ejects_at_first_failure),
		test(test_max_fails_0_never_ejects),
		test(test_check_takes_endpoint_down_and_up),
		test(test_endpoint_is_up_only_without_ejection_and_failed_check),
		test(test_epoch_counts_changes),
		test(test_last_reference_frees),
		test(test_snapshot_copies_lists_and_holds_references),
		test(test_snapshot_lives_until_last_reference),
		test(test_snapshot_without_peers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

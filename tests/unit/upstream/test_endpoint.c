#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "upstream/endpoint.h"

#define MAX_FAILS 3
#define FAIL_TIMEOUT_MS 1000

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

	*f = (struct fixture){.peer = {.max_fails = MAX_FAILS, .fail_timeout_ms = FAIL_TIMEOUT_MS}};
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

static void test_consecutive_failures_eject(void **state)
{
	struct fixture *f = *state;

	assert_false(endpoint_report_failure(f->endpoint, 1, 5000));
	assert_false(endpoint_report_failure(f->endpoint, 1, 5001));
	assert_true(endpoint_is_up(f->endpoint, 5001));
	assert_true(endpoint_report_failure(f->endpoint, 1, 5002));
	assert_false(endpoint_is_up(f->endpoint, 5002));
	assert_int_equal(endpoint_ejected_until(f->endpoint), 5002 + FAIL_TIMEOUT_MS);
}

static void test_failures_in_one_report_eject(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->endpoint, 10 * MAX_FAILS, 5000));
	assert_false(endpoint_is_up(f->endpoint, 5000));
}

static void test_reply_resets_failures(void **state)
{
	struct fixture *f = *state;

	assert_false(endpoint_report_failure(f->endpoint, MAX_FAILS - 1, 5000));
	endpoint_report_success(f->endpoint);
	assert_false(endpoint_report_failure(f->endpoint, MAX_FAILS - 1, 5000));
	assert_true(endpoint_is_up(f->endpoint, 5000));
	assert_true(endpoint_report_failure(f->endpoint, 1, 5000));
}

static void test_ejection_ends_after_fail_timeout(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->endpoint, MAX_FAILS, 5000));
	assert_false(endpoint_is_up(f->endpoint, 5000 + FAIL_TIMEOUT_MS - 1));
	assert_true(endpoint_is_up(f->endpoint, 5000 + FAIL_TIMEOUT_MS));
}

/* Errors of datagrams that were sent before the ejection still arrive during it. */
static void test_failures_do_not_extend_ejection(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->endpoint, MAX_FAILS, 5000));
	assert_false(endpoint_report_failure(f->endpoint, MAX_FAILS, 5500));
	assert_int_equal(endpoint_ejected_until(f->endpoint), 5000 + FAIL_TIMEOUT_MS);
	assert_int_equal(epoch_of(f), 1);
}

static void test_one_failure_after_ejection_ejects_again(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->endpoint, MAX_FAILS, 5000));
	assert_true(endpoint_report_failure(f->endpoint, 1, 7000));
	assert_false(endpoint_is_up(f->endpoint, 7000));
	assert_int_equal(endpoint_ejected_until(f->endpoint), 7000 + FAIL_TIMEOUT_MS);
}

static void test_reply_after_ejection_resets_failures(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->endpoint, MAX_FAILS, 5000));
	endpoint_report_success(f->endpoint);
	assert_false(endpoint_is_up(f->endpoint, 5000)); /* a reply does not end the ejection */
	assert_false(endpoint_report_failure(f->endpoint, MAX_FAILS - 1, 7000));
	assert_true(endpoint_is_up(f->endpoint, 7000));
}

static void test_max_fails_1_ejects_at_first_failure(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 1;
	assert_true(endpoint_report_failure(f->endpoint, 1, 5000));
	assert_true(endpoint_report_failure(f->endpoint, 1, 5000 + FAIL_TIMEOUT_MS));
}

static void test_max_fails_0_never_ejects(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 0;
	for (int i = 0; i < 100; i++)
		assert_false(endpoint_report_failure(f->endpoint, 10, 5000));
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

	endpoint_report_failure(f->endpoint, MAX_FAILS, 5000);
	endpoint_set_checked(f->endpoint, false);
	assert_false(endpoint_is_up(f->endpoint, 5000 + FAIL_TIMEOUT_MS));
	endpoint_set_checked(f->endpoint, true);
	assert_false(endpoint_is_up(f->endpoint, 5000));
	assert_true(endpoint_is_up(f->endpoint, 5000 + FAIL_TIMEOUT_MS));
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
	endpoint_report_failure(f->endpoint, MAX_FAILS - 1, 5000);
	assert_int_equal(epoch_of(f), 2);
	endpoint_report_failure(f->endpoint, 1, 5000);
	assert_int_equal(epoch_of(f), 3);
	endpoint_report_success(f->endpoint);
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
		test(test_consecutive_failures_eject),
		test(test_failures_in_one_report_eject),
		test(test_reply_resets_failures),
		test(test_ejection_ends_after_fail_timeout),
		test(test_failures_do_not_extend_ejection),
		test(test_one_failure_after_ejection_ejects_again),
		test(test_reply_after_ejection_resets_failures),
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

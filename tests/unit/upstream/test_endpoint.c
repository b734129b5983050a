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
	endpoint_epoch news;
	struct endpoint *target;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	struct address address;

	*f = (struct fixture){.peer = {.max_fails = MAX_FAILS, .fail_timeout_ms = FAIL_TIMEOUT_MS}};
	assert_int_equal(address_parse(&address, "192.0.2.1:53"), 0);
	f->target = endpoint_create(&f->peer, &address, &f->news);
	assert_non_null(f->target);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	endpoint_put(f->target);
	return 0;
}

static unsigned news(struct fixture *f)
{
	return atomic_load(&f->news);
}

static void a_new_target_is_up(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_is_up(f->target, 0));
	assert_true(endpoint_is_up(f->target, 5000));
	assert_ptr_equal(f->target->peer, &f->peer);
	assert_int_equal(address_port(&f->target->address), 53);
	assert_int_equal(news(f), 0);
}

static void fails_in_a_row_begin_a_rest(void **state)
{
	struct fixture *f = *state;

	assert_false(endpoint_report_failure(f->target, 1, 5000));
	assert_false(endpoint_report_failure(f->target, 1, 5001));
	assert_true(endpoint_is_up(f->target, 5001));
	assert_true(endpoint_report_failure(f->target, 1, 5002));
	assert_false(endpoint_is_up(f->target, 5002));
	assert_int_equal(endpoint_ejected_until(f->target), 5002 + FAIL_TIMEOUT_MS);
}

static void fails_may_come_all_at_once(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->target, 10 * MAX_FAILS, 5000));
	assert_false(endpoint_is_up(f->target, 5000));
}

static void an_answer_ends_the_row(void **state)
{
	struct fixture *f = *state;

	assert_false(endpoint_report_failure(f->target, MAX_FAILS - 1, 5000));
	endpoint_report_success(f->target);
	assert_false(endpoint_report_failure(f->target, MAX_FAILS - 1, 5000));
	assert_true(endpoint_is_up(f->target, 5000));
	assert_true(endpoint_report_failure(f->target, 1, 5000));
}

static void a_rest_ends_by_itself(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->target, MAX_FAILS, 5000));
	assert_false(endpoint_is_up(f->target, 5000 + FAIL_TIMEOUT_MS - 1));
	assert_true(endpoint_is_up(f->target, 5000 + FAIL_TIMEOUT_MS));
}

/* What was sent before it is still reported during it. */
static void fails_during_a_rest_do_not_prolong_it(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->target, MAX_FAILS, 5000));
	assert_false(endpoint_report_failure(f->target, MAX_FAILS, 5500));
	assert_int_equal(endpoint_ejected_until(f->target), 5000 + FAIL_TIMEOUT_MS);
	assert_int_equal(news(f), 1);
}

static void one_fail_after_a_rest_is_enough(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->target, MAX_FAILS, 5000));
	assert_true(endpoint_report_failure(f->target, 1, 7000));
	assert_false(endpoint_is_up(f->target, 7000));
	assert_int_equal(endpoint_ejected_until(f->target), 7000 + FAIL_TIMEOUT_MS);
}

static void after_a_rest_an_answer_forgives_all(void **state)
{
	struct fixture *f = *state;

	assert_true(endpoint_report_failure(f->target, MAX_FAILS, 5000));
	endpoint_report_success(f->target);
	assert_false(endpoint_is_up(f->target, 5000)); /* a rest that has begun goes on */
	assert_false(endpoint_report_failure(f->target, MAX_FAILS - 1, 7000));
	assert_true(endpoint_is_up(f->target, 7000));
}

static void where_one_fail_is_allowed_the_first_begins_a_rest(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 1;
	assert_true(endpoint_report_failure(f->target, 1, 5000));
	assert_true(endpoint_report_failure(f->target, 1, 5000 + FAIL_TIMEOUT_MS));
}

static void without_max_fails_they_are_not_minded(void **state)
{
	struct fixture *f = *state;

	f->peer.max_fails = 0;
	for (int i = 0; i < 100; i++)
		assert_false(endpoint_report_failure(f->target, 10, 5000));
	assert_true(endpoint_is_up(f->target, 5000));
	assert_int_equal(news(f), 0);
}

static void the_check_takes_it_down_and_up(void **state)
{
	struct fixture *f = *state;

	endpoint_set_checked(f->target, false);
	assert_false(endpoint_is_up(f->target, 5000));
	endpoint_set_checked(f->target, true);
	assert_true(endpoint_is_up(f->target, 5000));
}

static void it_is_up_only_where_the_check_and_the_fails_agree(void **state)
{
	struct fixture *f = *state;

	endpoint_report_failure(f->target, MAX_FAILS, 5000);
	endpoint_set_checked(f->target, false);
	assert_false(endpoint_is_up(f->target, 5000 + FAIL_TIMEOUT_MS));
	endpoint_set_checked(f->target, true);
	assert_false(endpoint_is_up(f->target, 5000));
	assert_true(endpoint_is_up(f->target, 5000 + FAIL_TIMEOUT_MS));
}

static void news_are_what_changes(void **state)
{
	struct fixture *f = *state;

	endpoint_set_checked(f->target, true);
	assert_int_equal(news(f), 0);
	endpoint_set_checked(f->target, false);
	endpoint_set_checked(f->target, false);
	assert_int_equal(news(f), 1);
	endpoint_set_checked(f->target, true);
	assert_int_equal(news(f), 2);
	endpoint_report_failure(f->target, MAX_FAILS - 1, 5000);
	assert_int_equal(news(f), 2);
	endpoint_report_failure(f->target, 1, 5000);
	assert_int_equal(news(f), 3);
	endpoint_report_success(f->target);
	assert_int_equal(news(f), 3);
}

/* A sanitizer would tell of memory that is freed too early, or never. */
static void the_last_reference_frees(void **state)
{
	struct fixture *f = *state;

	assert_ptr_equal(endpoint_get(f->target), f->target);
	endpoint_put(f->target);
	assert_true(endpoint_is_up(f->target, 5000));
	endpoint_put(NULL);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_new_target_is_up),
		test(fails_in_a_row_begin_a_rest),
		test(fails_may_come_all_at_once),
		test(an_answer_ends_the_row),
		test(a_rest_ends_by_itself),
		test(fails_during_a_rest_do_not_prolong_it),
		test(one_fail_after_a_rest_is_enough),
		test(after_a_rest_an_answer_forgives_all),
		test(where_one_fail_is_allowed_the_first_begins_a_rest),
		test(without_max_fails_they_are_not_minded),
		test(the_check_takes_it_down_and_up),
		test(it_is_up_only_where_the_check_and_the_fails_agree),
		test(news_are_what_changes),
		test(the_last_reference_frees),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

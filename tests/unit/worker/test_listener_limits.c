/* The limits that the workers of a listener share, over several configurations. The linker replaces the functions that
 * create and destroy tables, so that the tests know which tables exist. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "worker/listener_limits.h"

/* Tables that exist, and creations until one fails (-1: none fails). */
static int source_limits, ring_guards, until_failure;

int __real_source_limit_create(struct source_limit **limit, uint32_t rate, uint32_t burst);
int __wrap_source_limit_create(struct source_limit **limit, uint32_t rate, uint32_t burst);
void __real_source_limit_destroy(struct source_limit *limit);
void __wrap_source_limit_destroy(struct source_limit *limit);
int __real_ring_guard_create(struct ring_guard **guard);
int __wrap_ring_guard_create(struct ring_guard **guard);
void __real_ring_guard_destroy(struct ring_guard *guard);
void __wrap_ring_guard_destroy(struct ring_guard *guard);

static bool fails(void)
{
	return until_failure >= 0 && until_failure-- == 0;
}

int __wrap_source_limit_create(struct source_limit **limit, uint32_t rate, uint32_t burst)
{
	if (fails())
		return -ENOMEM;
	source_limits++;
	return __real_source_limit_create(limit, rate, burst);
}

void __wrap_source_limit_destroy(struct source_limit *limit)
{
	source_limits -= limit != NULL;
	__real_source_limit_destroy(limit);
}

int __wrap_ring_guard_create(struct ring_guard **guard)
{
	if (fails())
		return -ENOMEM;
	ring_guards++;
	return __real_ring_guard_create(guard);
}

void __wrap_ring_guard_destroy(struct ring_guard *guard)
{
	ring_guards -= guard != NULL;
	__real_ring_guard_destroy(guard);
}

#define LISTENERS 2

struct generation {
	struct listener_config listeners[LISTENERS];
	struct config config;
	struct listener_limits *limits;
};

struct fixture {
	struct generation old, new;
};

/* An echo and a relay, each with a limit per source. */
static void describe(struct generation *generation)
{
	generation->listeners[0] = (struct listener_config){.name = (char *)"echo",
							    .action = ACTION_ECHO,
							    .loop_guard = true,
							    .ring_guard = true,
							    .source_limit = 10,
							    .source_burst = 5};
	generation->listeners[1] = (struct listener_config){.name = (char *)"relay",
							    .action = ACTION_RELAY,
							    .loop_guard = true,
							    .source_limit = 20,
							    .source_burst = 5,
							    .max_sessions = 1000};
	generation->config = (struct config){.listeners = generation->listeners, .listener_count = LISTENERS};
}

static int set_up(void **state)
{
	static struct fixture fixture;

	source_limits = ring_guards = 0;
	until_failure = -1;
	memset(&fixture, 0, sizeof(fixture));
	describe(&fixture.old);
	describe(&fixture.new);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	listener_limits_destroy(f->new.limits, &f->new.config);
	listener_limits_destroy(f->old.limits, &f->old.config);
	assert_int_equal(source_limits, 0);
	assert_int_equal(ring_guards, 0);
	return 0;
}

static void create_old(struct fixture *f)
{
	assert_int_equal(listener_limits_create(&f->old.limits, &f->old.config, 100000, NULL, NULL), 0);
}

static void create_new(struct fixture *f)
{
	assert_int_equal(listener_limits_create(&f->new.limits, &f->new.config, 100000, f->old.limits, &f->old.config),
			 0);
}

static void adopt(struct fixture *f)
{
	listener_limits_adopt(f->new.limits, &f->new.config);
	listener_limits_destroy(f->old.limits, &f->old.config);
	f->old.limits = NULL;
}

static void tables_exist_only_where_the_configuration_has_them(void **state)
{
	struct fixture *f = *state;

	f->old.listeners[1].source_limit = 0;
	create_old(f);
	assert_non_null(f->old.limits[0].source_limit);
	assert_non_null(f->old.limits[0].ring_guard);
	assert_null(f->old.limits[1].source_limit);
	assert_null(f->old.limits[1].ring_guard);
}

static void ring_guard_needs_loop_guard_and_an_action_that_sends(void **state)
{
	struct fixture *f = *state;

	f->old.listeners[0].loop_guard = false;
	f->old.listeners[1].ring_guard = true;
	create_old(f);
	assert_null(f->old.limits[0].ring_guard);
	assert_non_null(f->old.limits[1].ring_guard);
	f->new.listeners[0].action = ACTION_SINK;
	create_new(f);
	assert_null(f->new.limits[0].ring_guard);
}

static void same_limits_share_the_tables(void **state)
{
	struct fixture *f = *state;

	create_old(f);
	create_new(f);
	for (int i = 0; i < LISTENERS; i++)
		assert_ptr_equal(f->new.limits[i].source_limit, f->old.limits[i].source_limit);
	assert_ptr_equal(f->new.limits[0].ring_guard, f->old.limits[0].ring_guard);
	assert_int_equal(source_limits, 2);
	assert_int_equal(ring_guards, 1);
}

static void listeners_are_found_by_name(void **state)
{
	struct fixture *f = *state;
	struct listener_config echo = f->new.listeners[0];

	f->new.listeners[0] = f->new.listeners[1];
	f->new.listeners[1] = echo;
	create_old(f);
	create_new(f);
	assert_ptr_equal(f->new.limits[1].source_limit, f->old.limits[0].source_limit);
	assert_ptr_equal(f->new.limits[0].source_limit, f->old.limits[1].source_limit);
}

static void listener_with_a_new_name_has_new_tables(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[0].name = (char *)"another";
	create_old(f);
	create_new(f);
	assert_ptr_not_equal(f->new.limits[0].source_limit, f->old.limits[0].source_limit);
	assert_ptr_not_equal(f->new.limits[0].ring_guard, f->old.limits[0].ring_guard);
	assert_null(f->new.limits[0].before);
}

static void another_rate_or_burst_has_a_new_table(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[0].source_limit++;
	f->new.listeners[1].source_burst++;
	create_old(f);
	create_new(f);
	for (int i = 0; i < LISTENERS; i++)
		assert_ptr_not_equal(f->new.limits[i].source_limit, f->old.limits[i].source_limit);
	assert_ptr_equal(f->new.limits[0].ring_guard, f->old.limits[0].ring_guard);
}

static void another_action_has_a_new_ring_guard(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[0].action = ACTION_FORWARD;
	create_old(f);
	create_new(f);
	assert_non_null(f->new.limits[0].ring_guard);
	assert_ptr_not_equal(f->new.limits[0].ring_guard, f->old.limits[0].ring_guard);
	assert_ptr_equal(f->new.limits[0].source_limit, f->old.limits[0].source_limit);
}

/* A reload that fails after this point destroys the new array. The previous configuration continues. */
static void destroy_before_adopt_leaves_shared_tables(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[1].source_limit++;
	create_old(f);
	create_new(f);
	assert_int_equal(source_limits, 3);
	listener_limits_destroy(f->new.limits, &f->new.config);
	f->new.limits = NULL;
	assert_int_equal(source_limits, 2);
	assert_int_equal(ring_guards, 1);
}

static void adopt_makes_the_new_array_the_only_owner(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[1].source_limit++;
	create_old(f);
	create_new(f);
	adopt(f);
	assert_int_equal(source_limits, 2);
	assert_int_equal(ring_guards, 1);
	for (int i = 0; i < LISTENERS; i++)
		assert_null(f->new.limits[i].before);
}

/* The third configuration must not free tables of the first one, which the second one has adopted. */
static void tables_continue_over_several_configurations(void **state)
{
	struct fixture *f = *state;
	struct source_limit *first;

	create_old(f);
	first = f->old.limits[0].source_limit;
	for (int i = 0; i < 3; i++) {
		create_new(f);
		adopt(f);
		assert_ptr_equal(f->new.limits[0].source_limit, first);
		f->old.limits = f->new.limits;
		f->new.limits = NULL;
	}
	assert_int_equal(source_limits, 2);
	assert_int_equal(ring_guards, 1);
}

static void limit_that_is_switched_off_is_freed_with_the_previous_array(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[0].source_limit = f->new.listeners[0].source_burst = 0;
	f->new.listeners[0].ring_guard = false;
	create_old(f);
	create_new(f);
	adopt(f);
	assert_null(f->new.limits[0].source_limit);
	assert_null(f->new.limits[0].ring_guard);
	assert_int_equal(source_limits, 1);
	assert_int_equal(ring_guards, 0);
}

static void failure_frees_new_tables_and_leaves_shared_ones(void **state)
{
	struct fixture *f = *state;

	f->new.listeners[0].source_limit++;
	f->new.listeners[1].source_limit++;
	create_old(f);
	for (int i = 0; i < 2; i++) {
		until_failure = i;
		assert_int_equal(
			listener_limits_create(&f->new.limits, &f->new.config, 1, f->old.limits, &f->old.config),
			-ENOMEM);
		assert_null(f->new.limits);
		assert_int_equal(source_limits, 2);
		assert_int_equal(ring_guards, 1);
	}
}

/* --- Quotas --- */

static void two_relays(struct generation *generation, uint32_t first, uint32_t second)
{
	generation->listeners[0].action = ACTION_RELAY;
	generation->listeners[0].max_sessions = first;
	generation->listeners[1].max_sessions = second;
}

static void quota_is_max_sessions_if_descriptors_suffice(void **state)
{
	struct fixture *f = *state;

	two_relays(&f->old, 3000, 1000);
	assert_int_equal(listener_limits_create(&f->old.limits, &f->old.config, 4000, NULL, NULL), 0);
	assert_int_equal(f->old.limits[0].quota.max, 3000);
	assert_int_equal(f->old.limits[1].quota.max, 1000);
	assert_int_equal(atomic_load(&f->old.limits[1].quota.open), 0);
}

static void few_descriptors_are_shared_in_proportion(void **state)
{
	struct fixture *f = *state;

	two_relays(&f->old, 3000, 1000);
	assert_int_equal(listener_limits_create(&f->old.limits, &f->old.config, 1001, NULL, NULL), 0);
	assert_int_equal(f->old.limits[0].quota.max, 750);
	assert_int_equal(f->old.limits[1].quota.max, 250);
}

static void largest_quotas_do_not_overflow(void **state)
{
	struct fixture *f = *state;

	two_relays(&f->old, UINT32_MAX, UINT32_MAX);
	assert_int_equal(listener_limits_create(&f->old.limits, &f->old.config, (uint64_t)UINT32_MAX + 1, NULL, NULL),
			 0);
	assert_int_equal(f->old.limits[0].quota.max, (UINT32_MAX / 2) + 1);
	assert_int_equal(f->old.limits[1].quota.max, (UINT32_MAX / 2) + 1);
}

/* The sessions move with their relay (relay_adopt_config()), not here. */
static void open_sessions_are_not_shared(void **state)
{
	struct fixture *f = *state;

	create_old(f);
	atomic_store(&f->old.limits[1].quota.open, 7);
	create_new(f);
	adopt(f);
	assert_int_equal(atomic_load(&f->new.limits[1].quota.open), 0);
}

static void destroy_accepts_null(void **state)
{
	struct fixture *f = *state;

	listener_limits_destroy(NULL, &f->old.config);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(tables_exist_only_where_the_configuration_has_them),
		test(ring_guard_needs_loop_guard_and_an_action_that_sends),
		test(same_limits_share_the_tables),
		test(listeners_are_found_by_name),
		test(listener_with_a_new_name_has_new_tables),
		test(another_rate_or_burst_has_a_new_table),
		test(another_action_has_a_new_ring_guard),
		test(destroy_before_adopt_leaves_shared_tables),
		test(adopt_makes_the_new_array_the_only_owner),
		test(tables_continue_over_several_configurations),
		test(limit_that_is_switched_off_is_freed_with_the_previous_array),
		test(failure_frees_new_tables_and_leaves_shared_ones),
		test(quota_is_max_sessions_if_descriptors_suffice),
		test(few_descriptors_are_shared_in_proportion),
		test(largest_quotas_do_not_overflow),
		test(open_sessions_are_not_shared),
		test(destroy_accepts_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

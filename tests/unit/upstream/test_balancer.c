#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "upstream/balancer.h"

#define TARGETS 4
#define DRAWS 6000

struct fixture {
	struct balancer_target targets[TARGETS];
	struct balancer *balancer;
	unsigned chosen[TARGETS];
};

static int set_up(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	for (unsigned i = 0; i < TARGETS; i++) {
		struct address address;

		address_from_ip(&address, "192.0.2.1", (uint16_t)(1000 + i));
		f.targets[i] = (struct balancer_target){
			.identity = balancer_identity("peer", &address), .weight = 1, .up = true};
	}
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	balancer_destroy(f->balancer);
	return 0;
}

static struct address client(unsigned i, uint16_t port)
{
	struct address address = {.length = sizeof(address.v4), .v4 = {.sin_family = AF_INET}};

	address.v4.sin_addr.s_addr = htonl(0xc6336400 + i);
	address_set_port(&address, port);
	return address;
}

static void create(struct fixture *f, enum balance balance)
{
	assert_int_equal(balancer_create(&f->balancer, balance, f->targets, TARGETS, 0), 0);
}

/* Counts the choices for so many clients. */
static void draw(struct fixture *f, unsigned draws)
{
	memset(f->chosen, 0, sizeof(f->chosen));
	for (unsigned i = 0; i < draws; i++) {
		struct address from = client(i, 1);

		f->chosen[balancer_choose(f->balancer, &from)]++;
	}
}

static void turns_follow_the_weights(void **state)
{
	struct fixture *f = *state;
	const size_t turns[] = {0, 0, 1, 0, 2, 0, 0}; /* of weights 5, 1, 1: spread, as nginx does */

	f->targets[0].weight = 5;
	f->targets[3].up = false;
	create(f, BALANCE_ROUND_ROBIN);
	for (unsigned i = 0; i < 14; i++) {
		struct address from = client(0, 1);
		assert_int_equal(balancer_choose(f->balancer, &from), turns[i % 7]);
	}
}

static void chance_follows_the_weights(void **state)
{
	struct fixture *f = *state;

	f->targets[1].weight = 3;
	create(f, BALANCE_RANDOM);
	draw(f, DRAWS);
	assert_in_range(f->chosen[0], DRAWS / 6 - 200, DRAWS / 6 + 200);
	assert_in_range(f->chosen[1], DRAWS / 2 - 300, DRAWS / 2 + 300);
}

static void a_host_keeps_its_target_whatever_its_port(void **state)
{
	struct fixture *f = *state;
	size_t first[256];
	unsigned moved = 0;

	create(f, BALANCE_HASH);
	draw(f, DRAWS);
	for (unsigned i = 0; i < TARGETS; i++)
		assert_in_range(f->chosen[i], DRAWS / TARGETS - 200, DRAWS / TARGETS + 200);
	for (unsigned i = 0; i < 256; i++) {
		struct address from = client(i, 1), again = client(i, 2);

		first[i] = balancer_choose(f->balancer, &from);
		assert_int_equal(balancer_choose(f->balancer, &again), first[i]);
	}
	f->targets[2].up = false;
	balancer_update(f->balancer);
	for (unsigned i = 0; i < 256; i++) {
		struct address from = client(i, 1);
		size_t now = balancer_choose(f->balancer, &from);

		assert_int_not_equal(now, 2);
		moved += first[i] != 2 && now != first[i];
	}
	assert_in_range(moved, 0, 256 / 20);
}

static void the_least_busy_is_taken_by_weight(void **state)
{
	struct fixture *f = *state;
	struct address from = client(0, 1);

	f->targets[3].weight = 3;
	create(f, BALANCE_LEAST_SESSIONS);
	for (unsigned i = 0; i < 60; i++)
		f->targets[balancer_choose(f->balancer, &from)].sessions++;
	assert_int_equal(f->targets[0].sessions, 10);
	assert_int_equal(f->targets[1].sessions, 10);
	assert_int_equal(f->targets[2].sessions, 10);
	assert_int_equal(f->targets[3].sessions, 30);
}

static void the_first_that_is_up_takes_all(void **state)
{
	struct fixture *f = *state;

	f->targets[0].up = false;
	create(f, BALANCE_FAILOVER);
	draw(f, 10);
	assert_int_equal(f->chosen[1], 10);
	f->targets[0].up = true;
	balancer_update(f->balancer);
	draw(f, 10);
	assert_int_equal(f->chosen[0], 10);
}

static void backups_wait_until_all_others_are_down(void **state)
{
	static const enum balance kinds[] = {BALANCE_HASH, BALANCE_ROUND_ROBIN, BALANCE_RANDOM, BALANCE_LEAST_SESSIONS,
					     BALANCE_FAILOVER};
	struct fixture *f = *state;

	f->targets[1].backup = true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		f->targets[0].up = f->targets[1].up = f->targets[2].up = f->targets[3].up = true;
		create(f, kinds[i]);
		draw(f, 100);
		assert_int_equal(f->chosen[1], 0);
		f->targets[0].up = f->targets[2].up = f->targets[3].up = false;
		balancer_update(f->balancer);
		draw(f, 100);
		assert_int_equal(f->chosen[1], 100);
		assert_false(balancer_fails_open(f->balancer));
		f->targets[1].up = false;
		balancer_update(f->balancer);
		draw(f, 100);
		assert_int_equal(f->chosen[1], 0);
		assert_int_equal(f->chosen[0] + f->chosen[2] + f->chosen[3], 100);
		assert_true(balancer_fails_open(f->balancer));
		balancer_destroy(f->balancer);
		f->balancer = NULL;
	}
}

static void without_targets_there_is_none(void **state)
{
	struct fixture *f = *state;
	struct address from = client(0, 1);

	assert_int_equal(balancer_create(&f->balancer, BALANCE_HASH, f->targets, 0, 0), 0);
	assert_true(balancer_choose(f->balancer, &from) == BALANCER_NONE);
	assert_false(balancer_fails_open(f->balancer));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(turns_follow_the_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(chance_follows_the_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_host_keeps_its_target_whatever_its_port, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_least_busy_is_taken_by_weight, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_first_that_is_up_takes_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(backups_wait_until_all_others_are_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(without_targets_there_is_none, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

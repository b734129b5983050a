#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "upstream/balancer.h"

#define TARGETS 4
#define CLIENTS 6000

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

/* Chooses a target for each of count clients, and counts how often each target is chosen. */
static void choose_for_clients(struct fixture *f, unsigned count)
{
	memset(f->chosen, 0, sizeof(f->chosen));
	for (unsigned i = 0; i < count; i++) {
		struct address from = client(i, 1);

		f->chosen[balancer_choose(f->balancer, &from)]++;
	}
}

static void test_round_robin_follows_weights(void **state)
{
	struct fixture *f = *state;
	const size_t expected[] = {0, 0, 1, 0, 2, 0, 0}; /* weights 5, 1, 1; the same order as nginx */

	f->targets[0].weight = 5;
	f->targets[3].up = false;
	create(f, BALANCE_ROUND_ROBIN);
	for (unsigned i = 0; i < 14; i++) {
		struct address from = client(0, 1);
		assert_int_equal(balancer_choose(f->balancer, &from), expected[i % 7]);
	}
}

static void test_random_follows_weights(void **state)
{
	struct fixture *f = *state;

	f->targets[1].weight = 3;
	create(f, BALANCE_RANDOM);
	choose_for_clients(f, CLIENTS);
	assert_in_range(f->chosen[0], CLIENTS / 6 - 200, CLIENTS / 6 + 200);
	assert_in_range(f->chosen[1], CLIENTS / 2 - 300, CLIENTS / 2 + 300);
}

static void test_hash_ignores_port_and_moves_few_clients(void **state)
{
	struct fixture *f = *state;
	size_t first[256];
	unsigned moved = 0;

	create(f, BALANCE_HASH);
	choose_for_clients(f, CLIENTS);
	for (unsigned i = 0; i < TARGETS; i++)
		assert_in_range(f->chosen[i], CLIENTS / TARGETS - 200, CLIENTS / TARGETS + 200);
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

static void test_least_sessions_follows_weights(void **state)
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

static void test_failover_uses_first_target_that_is_up(void **state)
{
	struct fixture *f = *state;

	f->targets[0].up = false;
	create(f, BALANCE_FAILOVER);
	choose_for_clients(f, 10);
	assert_int_equal(f->chosen[1], 10);
	f->targets[0].up = true;
	balancer_update(f->balancer);
	choose_for_clients(f, 10);
	assert_int_equal(f->chosen[0], 10);
}

static void test_backups_are_used_only_when_others_are_down(void **state)
{
	static const enum balance kinds[] = {BALANCE_HASH, BALANCE_ROUND_ROBIN, BALANCE_RANDOM, BALANCE_LEAST_SESSIONS,
					     BALANCE_FAILOVER};
	struct fixture *f = *state;

	f->targets[1].backup = true;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		f->targets[0].up = f->targets[1].up = f->targets[2].up = f->targets[3].up = true;
		create(f, kinds[i]);
		choose_for_clients(f, 100);
		assert_int_equal(f->chosen[1], 0);
		f->targets[0].up = f->targets[2].up = f->targets[3].up = false;
		balancer_update(f->balancer);
		choose_for_clients(f, 100);
		assert_int_equal(f->chosen[1], 100);
		assert_false(balancer_fails_open(f->balancer));
		f->targets[1].up = false;
		balancer_update(f->balancer);
		choose_for_clients(f, 100);
		assert_int_equal(f->chosen[1], 0);
		assert_int_equal(f->chosen[0] + f->chosen[2] + f->chosen[3], 100);
		assert_true(balancer_fails_open(f->balancer));
		balancer_destroy(f->balancer);
		f->balancer = NULL;
	}
}

static void test_no_targets(void **state)
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
		cmocka_unit_test_setup_teardown(test_round_robin_follows_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random_follows_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hash_ignores_port_and_moves_few_clients, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_least_sessions_follows_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_failover_uses_first_target_that_is_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_backups_are_used_only_when_others_are_down, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_targets, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

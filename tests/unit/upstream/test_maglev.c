#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/siphash.h"
#include "upstream/maglev.h"

#define TARGETS_MAX 100

struct fixture {
	struct maglev *maglev;
	struct maglev_target targets[TARGETS_MAX];
	size_t before[MAGLEV_SIZE]; /* copy of a table */
};

static int set_up(void **state)
{
	static struct fixture f;
	const struct siphash_key key = {1, 2};

	*state = &f;
	for (unsigned i = 0; i < TARGETS_MAX; i++)
		f.targets[i] = (struct maglev_target){siphash(&key, &i, sizeof(i)), 1};
	return maglev_create(&f.maglev, TARGETS_MAX);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	maglev_destroy(f->maglev);
	return 0;
}

static void save_table(struct fixture *f)
{
	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		f->before[i] = maglev_look_up(f->maglev, i);
}

static size_t count_entries(const struct fixture *f, size_t target)
{
	size_t entries = 0;

	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		entries += maglev_look_up(f->maglev, i) == target;
	return entries;
}

static void test_equal_weights_get_equal_shares(void **state)
{
	struct fixture *f = *state;

	for (size_t count = 1; count <= TARGETS_MAX; count += 11) {
		maglev_build(f->maglev, f->targets, count);
		for (size_t i = 0; i < count; i++)
			assert_in_range(count_entries(f, i), MAGLEV_SIZE / count, MAGLEV_SIZE / count + 1);
	}
}

static void test_shares_follow_weights(void **state)
{
	struct fixture *f = *state;

	f->targets[1].weight = 2;
	f->targets[2].weight = 5;
	maglev_build(f->maglev, f->targets, 3);
	assert_in_range(count_entries(f, 0), MAGLEV_SIZE / 8 - 2, MAGLEV_SIZE / 8 + 2);
	assert_in_range(count_entries(f, 1), MAGLEV_SIZE * 2 / 8 - 2, MAGLEV_SIZE * 2 / 8 + 2);
	assert_in_range(count_entries(f, 2), MAGLEV_SIZE * 5 / 8 - 2, MAGLEV_SIZE * 5 / 8 + 2);
}

/* Removing a target moves its own entries and at most a hundredth of the other entries. */
static void test_removing_a_target_moves_few_entries(void **state)
{
	struct fixture *f = *state;

	for (size_t count = 2; count <= TARGETS_MAX; count += 7) {
		size_t moved = 0;

		maglev_build(f->maglev, f->targets, count);
		save_table(f);
		maglev_build(f->maglev, f->targets, count - 1);
		for (size_t i = 0; i < MAGLEV_SIZE; i++)
			moved += maglev_look_up(f->maglev, i) != f->before[i];
		assert_in_range(moved, MAGLEV_SIZE / count, MAGLEV_SIZE / count + MAGLEV_SIZE / 100);
	}
}

static void test_order_of_targets_does_not_matter(void **state)
{
	struct fixture *f = *state;
	struct maglev_target reversed[5];

	for (size_t i = 0; i < 5; i++)
		reversed[i] = f->targets[4 - i];
	maglev_build(f->maglev, f->targets, 5);
	save_table(f);
	maglev_build(f->maglev, reversed, 5);
	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		assert_int_equal(maglev_look_up(f->maglev, i), 4 - f->before[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_equal_weights_get_equal_shares, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_shares_follow_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_removing_a_target_moves_few_entries, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_order_of_targets_does_not_matter, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

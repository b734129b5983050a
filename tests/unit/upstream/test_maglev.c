#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/siphash.h"
#include "upstream/maglev.h"

#define MOST 100

struct fixture {
	struct maglev *maglev;
	struct maglev_target targets[MOST];
	size_t before[MAGLEV_SIZE]; /* what a table said, for comparisons */
};

static int set_up(void **state)
{
	static struct fixture f;
	const struct siphash_key key = {1, 2};

	*state = &f;
	for (unsigned i = 0; i < MOST; i++)
		f.targets[i] = (struct maglev_target){siphash(&key, &i, sizeof(i)), 1};
	return maglev_create(&f.maglev, MOST);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	maglev_destroy(f->maglev);
	return 0;
}

static void remember(struct fixture *f)
{
	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		f->before[i] = maglev_look_up(f->maglev, i);
}

static size_t share(const struct fixture *f, size_t target)
{
	size_t entries = 0;

	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		entries += maglev_look_up(f->maglev, i) == target;
	return entries;
}

static void shares_are_equal(void **state)
{
	struct fixture *f = *state;

	for (size_t count = 1; count <= MOST; count += 11) {
		maglev_build(f->maglev, f->targets, count);
		for (size_t i = 0; i < count; i++)
			assert_in_range(share(f, i), MAGLEV_SIZE / count, MAGLEV_SIZE / count + 1);
	}
}

static void shares_follow_the_weights(void **state)
{
	struct fixture *f = *state;

	f->targets[1].weight = 2;
	f->targets[2].weight = 5;
	maglev_build(f->maglev, f->targets, 3);
	assert_in_range(share(f, 0), MAGLEV_SIZE / 8 - 2, MAGLEV_SIZE / 8 + 2);
	assert_in_range(share(f, 1), MAGLEV_SIZE * 2 / 8 - 2, MAGLEV_SIZE * 2 / 8 + 2);
	assert_in_range(share(f, 2), MAGLEV_SIZE * 5 / 8 - 2, MAGLEV_SIZE * 5 / 8 + 2);
}

/* Taking one of N away moves its own share, and at most a hundredth of the others. */
static void few_move_when_one_goes(void **state)
{
	struct fixture *f = *state;

	for (size_t count = 2; count <= MOST; count += 7) {
		size_t moved = 0;

		maglev_build(f->maglev, f->targets, count);
		remember(f);
		maglev_build(f->maglev, f->targets, count - 1);
		for (size_t i = 0; i < MAGLEV_SIZE; i++)
			moved += maglev_look_up(f->maglev, i) != f->before[i];
		assert_in_range(moved, MAGLEV_SIZE / count, MAGLEV_SIZE / count + MAGLEV_SIZE / 100);
	}
}

static void the_order_of_the_targets_does_not_matter(void **state)
{
	struct fixture *f = *state;
	struct maglev_target turned[5];

	for (size_t i = 0; i < 5; i++)
		turned[i] = f->targets[4 - i];
	maglev_build(f->maglev, f->targets, 5);
	remember(f);
	maglev_build(f->maglev, turned, 5);
	for (size_t i = 0; i < MAGLEV_SIZE; i++)
		assert_int_equal(maglev_look_up(f->maglev, i), 4 - f->before[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(shares_are_equal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(shares_follow_the_weights, set_up, tear_down),
		cmocka_unit_test_setup_teardown(few_move_when_one_goes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_order_of_the_targets_does_not_matter, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

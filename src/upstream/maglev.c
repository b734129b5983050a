#include "upstream/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAGLEV_FREE UINT16_MAX /* a table entry without a target */

/* The order in which a target claims table entries. MAGLEV_SIZE is a prime, so each step size visits every entry
 * once. */
struct maglev_preference {
	uint16_t target;
	uint64_t identity;
	uint32_t next, step; /* entries */
	uint64_t weight;
	uint64_t claimed_weight; /* the largest weight of all, times the number of entries claimed */
};

struct maglev {
	uint16_t table[MAGLEV_SIZE];
	struct maglev_preference preferences[];
};

int maglev_create(struct maglev **maglev, size_t max)
{
	*maglev = calloc(1, sizeof(**maglev) + max * sizeof(struct maglev_preference));
	return *maglev ? 0 : -ENOMEM;
}

void maglev_destroy(struct maglev *maglev)
{
	free(maglev);
}

static int maglev_compare_identities(const void *a, const void *b)
{
	const struct maglev_preference *x = a, *y = b;

	return (x->identity > y->identity) - (x->identity < y->identity);
}

/* Sorts by identity, so that the order of the list does not matter. Returns the largest weight. */
static uint64_t maglev_init_preferences(struct maglev_preference *preferences, const struct maglev_target *targets,
					size_t count)
{
	uint64_t max_weight = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t identity = targets[i].identity;

		preferences[i] = (struct maglev_preference){
			.target = (uint16_t)i,
			.identity = identity,
			.next = (uint32_t)identity % MAGLEV_SIZE,
			.step = (uint32_t)(identity >> 32) % (MAGLEV_SIZE - 1) + 1,
			.weight = targets[i].weight,
		};
		max_weight = targets[i].weight > max_weight ? targets[i].weight : max_weight;
	}
	qsort(preferences, count, sizeof(*preferences), maglev_compare_identities);
	return max_weight;
}

static void maglev_claim_entry(uint16_t *table, struct maglev_preference *preference)
{
	while (table[preference->next] != MAGLEV_FREE)
		preference->next = (preference->next + preference->step) % MAGLEV_SIZE;
	table[preference->next] = preference->target;
}

/* The target with the largest weight claims one entry per round. The others claim one in proportion to their weights:
 * a target of half that weight claims one in every second round. */
static void maglev_fill_table(uint16_t *table, struct maglev_preference *preferences, size_t count, uint64_t max_weight)
{
	unsigned claimed = 0;

	for (uint64_t round = 1;; round++) {
		for (size_t i = 0; i < count; i++) {
			if (round * preferences[i].weight < preferences[i].claimed_weight + max_weight)
				continue;
			preferences[i].claimed_weight += max_weight;
			maglev_claim_entry(table, &preferences[i]);
			if (++claimed == MAGLEV_SIZE)
				return;
		}
	}
}

void maglev_build(struct maglev *maglev, const struct maglev_target *targets, size_t count)
{
	uint64_t max_weight = maglev_init_preferences(maglev->preferences, targets, count);

	memset(maglev->table, 0xff, sizeof(maglev->table)); /* every entry is MAGLEV_FREE */
	maglev_fill_table(maglev->table, maglev->preferences, count, max_weight);
}

size_t maglev_look_up(const struct maglev *maglev, uint64_t hash)
{
	return maglev->table[hash % MAGLEV_SIZE];
}

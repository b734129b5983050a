#include "upstream/maglev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FREE UINT16_MAX

/* A target's order of preference: every entry once, from first on, by steps. */
struct preference {
	uint16_t target;
	uint64_t identity;
	uint32_t next, step;
	uint64_t weight, due; /* it takes an entry whenever the round times its weight has come to what is due */
};

struct maglev {
	uint16_t table[MAGLEV_SIZE];
	struct preference preferences[];
};

int maglev_create(struct maglev **maglev, size_t max)
{
	*maglev = calloc(1, sizeof(**maglev) + max * sizeof(struct preference));
	return *maglev ? 0 : -ENOMEM;
}

void maglev_destroy(struct maglev *maglev)
{
	free(maglev);
}

static int compare(const void *a, const void *b)
{
	const struct preference *x = a, *y = b;

	return (x->identity > y->identity) - (x->identity < y->identity);
}

/* In an order that does not depend on how they were listed. Returns the largest weight. */
static uint64_t prepare(struct preference *preferences, const struct maglev_target *targets, size_t count)
{
	uint64_t most = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t identity = targets[i].identity;

		preferences[i] = (struct preference){
			.target = (uint16_t)i,
			.identity = identity,
			.next = (uint32_t)identity % MAGLEV_SIZE,
			.step = (uint32_t)(identity >> 32) % (MAGLEV_SIZE - 1) + 1,
			.weight = targets[i].weight,
		};
		most = targets[i].weight > most ? targets[i].weight : most;
	}
	qsort(preferences, count, sizeof(*preferences), compare);
	return most;
}

static void take_entry(uint16_t *table, struct preference *preference)
{
	while (table[preference->next] != FREE)
		preference->next = (preference->next + preference->step) % MAGLEV_SIZE;
	table[preference->next] = preference->target;
}

/* In each round the heaviest takes an entry; the others take theirs as often as their weights say. */
static void fill(uint16_t *table, struct preference *preferences, size_t count, uint64_t most)
{
	unsigned taken = 0;

	for (uint64_t round = 1;; round++) {
		for (size_t i = 0; i < count; i++) {
			if (round * preferences[i].weight < preferences[i].due + most)
				continue;
			preferences[i].due += most;
			take_entry(table, &preferences[i]);
			if (++taken == MAGLEV_SIZE)
				return;
		}
	}
}

void maglev_build(struct maglev *maglev, const struct maglev_target *targets, size_t count)
{
	uint64_t most = prepare(maglev->preferences, targets, count);

	memset(maglev->table, 0xff, sizeof(maglev->table));
	fill(maglev->table, maglev->preferences, count, most);
}

size_t maglev_look_up(const struct maglev *maglev, uint64_t hash)
{
	return maglev->table[hash % MAGLEV_SIZE];
}

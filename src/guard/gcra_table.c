/* GCRA needs one number for each sender: its theoretical arrival time, at which a sender that keeps to the rate would
 * have sent everything that it has sent so far. This time and a tag of the sender fit into one 64-bit word. A sender
 * without credit changes nothing. */
#include "guard/gcra_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "net/train.h"

/* A sender may use any slot of its set. A set is one cache line. */
#define SLOTS 8

/* A word has a tag of 16 bits and a time of 48 bits. */
#define TIME_BITS 48
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

/* Each worker reads the clock once per turn, so their times differ. */
#define SKEW_SECONDS 10

struct gcra_set {
	_Atomic uint64_t slots[SLOTS];
};

/* Time is counted in units. A datagram costs a whole number of them, so nothing is rounded: a unit is a thousandth of a
 * datagram, which a clock of milliseconds can express; above a million datagrams per second it is one datagram. */
struct gcra_table {
	uint64_t units; /* units per second; less than 2^32 */
	uint64_t cost; /* cost of a datagram, in units */
	uint64_t burst;
	uint64_t ahead_max; /* no valid time is further ahead of now */
	size_t set_count;
	struct gcra_set *sets;
};

int gcra_table_create(struct gcra_table **out, size_t senders, uint32_t rate, uint32_t burst)
{
	size_t count = senders / SLOTS;
	struct gcra_table *table = calloc(1, sizeof(*table));
	struct gcra_set *sets = aligned_alloc(sizeof(struct gcra_set), count * sizeof(struct gcra_set));

	if (!table || !sets) {
		free(table);
		free(sets);
		return -ENOMEM;
	}
	memset(sets, 0, count * sizeof(struct gcra_set));
	table->sets = sets;
	table->set_count = count;
	table->cost = rate < 1000000 ? 1000 : 1;
	table->units = rate * table->cost;
	table->burst = (burst ? burst : rate) * table->cost;
	table->ahead_max = table->burst + TRAIN_MAX * table->cost + SKEW_SECONDS * table->units;
	*out = table;
	return 0;
}

void gcra_table_destroy(struct gcra_table *table)
{
	if (!table)
		return;
	free(table->sets);
	free(table);
}

/* Converts seconds and milliseconds separately, so that no product exceeds 64 bits. */
static uint64_t gcra_time(const struct gcra_table *table, uint64_t now_ms)
{
	return now_ms / 1000 * table->units + now_ms % 1000 * table->units / 1000;
}

/* Returns how far the time in a word is ahead of now. 0 means that the sender has its full burst. A difference of more
 * than ahead_max is a time in the past: 48 bits wrap around after 18 hours or more. */
static uint64_t gcra_ahead(const struct gcra_table *table, uint64_t word, uint64_t now)
{
	uint64_t ahead = (word - now) & TIME_MASK;

	return ahead <= table->ahead_max ? ahead : 0;
}

/* Returns the slot whose sender has the most credit. Each key is a time with the number of its slot below it, so that
 * the search is a minimum without branches: the processor could not predict them in a flood. */
static unsigned gcra_find_victim(const struct gcra_table *table, const uint64_t words[SLOTS], uint64_t now)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < SLOTS; i++) {
		uint64_t key = gcra_ahead(table, words[i], now) * SLOTS + i;

		least = key < least ? key : least;
	}
	return least % SLOTS;
}

/* Returns the sender's slot and word, or the slot of the victim if the sender is not in its set. Reads each word only
 * once, because another thread can add the sender at any moment. */
static _Atomic uint64_t *gcra_find(const struct gcra_table *table, uint64_t hash, uint64_t now, uint64_t *word,
				   uint64_t *ahead)
{
	struct gcra_set *set = &table->sets[hash % table->set_count];
	uint64_t words[SLOTS];
	unsigned slot;

	for (slot = 0; slot < SLOTS; slot++) {
		*word = words[slot] = atomic_load_explicit(&set->slots[slot], memory_order_relaxed);
		if (*word >> TIME_BITS == hash >> TIME_BITS) {
			*ahead = gcra_ahead(table, *word, now);
			return &set->slots[slot];
		}
	}
	slot = gcra_find_victim(table, words, now);
	*word = words[slot];
	*ahead = 0;
	return &set->slots[slot];
}

/* The exchange fails only if that of another worker succeeds, so the loop ends. */
bool gcra_table_take(struct gcra_table *table, uint64_t hash, uint32_t datagrams, uint64_t now_ms)
{
	uint64_t now = gcra_time(table, now_ms), word, ahead, next;
	_Atomic uint64_t *slot;

	do {
		slot = gcra_find(table, hash, now, &word, &ahead);
		if (ahead + table->cost > table->burst)
			return false;
		next = (hash & ~TIME_MASK) | ((now + ahead + datagrams * table->cost) & TIME_MASK);
	} while (!atomic_compare_exchange_strong_explicit(slot, &word, next, memory_order_relaxed,
							  memory_order_relaxed));
	return true;
}

/* The generic cell rate algorithm (ITU-T I.371) needs one number for each sender: the time at which all that it sent
 * would have come, had it kept to the rate. That time and a tag of the sender fit into one word, which is changed by
 * compare-exchange; a sender that is over its limit changes nothing at all. */
#include "guard/gcra_table.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "net/train.h"

/* A sender's words are those of its set: one cache line. */
#define WAYS 8

/* The tag is 16 bits, the time 48. */
#define TIME_BITS 48
#define TIME_MASK ((UINT64_C(1) << TIME_BITS) - 1)

/* Workers read the clock once a turn, so that one's `now` is older than another's. */
#define SKEW_SECONDS 10

struct set {
	_Atomic uint64_t ways[WAYS];
};

/* Time is counted in units of which a datagram costs a whole number, so that nothing is ever rounded: thousandths of a
 * datagram, which a clock of milliseconds tells exactly; above a million a second, datagrams. */
struct gcra_table {
	uint64_t units; /* in a second, less than 2^32 */
	uint64_t cost; /* of a datagram */
	uint64_t burst;
	uint64_t ahead_max; /* no time in the table is further ahead */
	size_t set_count;
	struct set *sets;
};

int gcra_table_create(struct gcra_table **out, size_t senders, uint32_t rate, uint32_t burst)
{
	size_t count = senders / WAYS;
	struct gcra_table *table = calloc(1, sizeof(*table));
	struct set *sets = aligned_alloc(sizeof(struct set), count * sizeof(struct set));

	if (!table || !sets) {
		free(table);
		free(sets);
		return -ENOMEM;
	}
	memset(sets, 0, count * sizeof(struct set));
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

/* Seconds and the rest apart, so that no product leaves 64 bits. */
static uint64_t time_of(const struct gcra_table *table, uint64_t now_ms)
{
	return now_ms / 1000 * table->units + now_ms % 1000 * table->units / 1000;
}

/* How far the word's time is ahead of now. What is past says nothing any more; nor does what is too far ahead, which is
 * past as well, by so much that 48 bits cannot tell (18 hours at the very least). */
static uint64_t ahead_of(const struct gcra_table *table, uint64_t word, uint64_t now)
{
	uint64_t ahead = (word - now) & TIME_MASK;

	return ahead <= table->ahead_max ? ahead : 0;
}

/* The way of the words that says least. Numbers of ways stand below their times, which makes it a matter of minima
 * without branches: in a flood nobody could predict them. */
static unsigned find_least(const struct gcra_table *table, const uint64_t words[WAYS], uint64_t now)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t its = ahead_of(table, words[i], now) * WAYS + i;

		least = its < least ? its : least;
	}
	return least % WAYS;
}

/* The sender's way and its word; without one, the way that says least, whose word the sender takes over. Each word is
 * read once: the sender may come into the set at any moment. */
static _Atomic uint64_t *find(const struct gcra_table *table, uint64_t hash, uint64_t now, uint64_t *word,
			      uint64_t *ahead)
{
	struct set *set = &table->sets[hash % table->set_count];
	uint64_t words[WAYS];
	unsigned way;

	for (way = 0; way < WAYS; way++) {
		*word = words[way] = atomic_load_explicit(&set->ways[way], memory_order_relaxed);
		if (*word >> TIME_BITS == hash >> TIME_BITS) {
			*ahead = ahead_of(table, *word, now);
			return &set->ways[way];
		}
	}
	way = find_least(table, words, now);
	*word = words[way];
	*ahead = 0;
	return &set->ways[way];
}

/* An exchange fails only where another worker's succeeded. */
bool gcra_table_take(struct gcra_table *table, uint64_t hash, uint32_t datagrams, uint64_t now_ms)
{
	uint64_t now = time_of(table, now_ms), word, ahead, next;
	_Atomic uint64_t *way;

	do {
		way = find(table, hash, now, &word, &ahead);
		if (ahead + table->cost > table->burst)
			return false;
		next = (hash & ~TIME_MASK) | ((now + ahead + datagrams * table->cost) & TIME_MASK);
	} while (
		!atomic_compare_exchange_strong_explicit(way, &word, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}

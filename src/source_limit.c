/* The generic cell rate algorithm (ITU-T I.371) needs one number for each source: the time at which all that it sent
 * would have come, had it kept to the rate. That time and a tag of the source fit into one word, which is changed by
 * compare-exchange; a source that is over its limit changes nothing at all. */
#include "source_limit.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "batch.h"
#include "siphash.h"

/* A source's words are those of its set: one cache line. */
#define WAYS 8
#define SETS (SOURCE_LIMIT_SOURCES / WAYS)

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
struct source_limit {
	uint64_t units; /* in a second, less than 2^32 */
	uint64_t cost; /* of a datagram */
	uint64_t burst;
	uint64_t ahead_max; /* no time in the table is further ahead */
	struct siphash_key key, draw_key;
	struct set *sets;
};

int source_limit_create(struct source_limit **out, uint32_t rate, uint32_t burst)
{
	struct source_limit *limit = calloc(1, sizeof(*limit));
	struct set *sets = aligned_alloc(sizeof(struct set), SETS * sizeof(struct set));

	if (!limit || !sets) {
		free(limit);
		free(sets);
		return -ENOMEM;
	}
	memset(sets, 0, SETS * sizeof(struct set));
	limit->sets = sets;
	limit->cost = rate < 1000000 ? 1000 : 1;
	limit->units = rate * limit->cost;
	limit->burst = (burst ? burst : rate) * limit->cost;
	limit->ahead_max = limit->burst + TRAIN_MAX * limit->cost + SKEW_SECONDS * limit->units;
	siphash_key_random(&limit->key);
	siphash_key_random(&limit->draw_key);
	*out = limit;
	return 0;
}

void source_limit_destroy(struct source_limit *limit)
{
	if (!limit)
		return;
	free(limit->sets);
	free(limit);
}

/* Four bytes for IPv4 and eight for IPv6 never hash alike: the size is hashed, too. */
static uint64_t hash_source(const struct source_limit *limit, const struct address *source)
{
	const uint8_t *ip = source->v6.sin6_addr.s6_addr;

	if (source->any.sa_family == AF_INET)
		return siphash(&limit->key, &source->v4.sin_addr, 4);
	if (IN6_IS_ADDR_V4MAPPED(&source->v6.sin6_addr))
		return siphash(&limit->key, ip + 12, 4);
	return siphash(&limit->key, ip, 8);
}

/* Seconds and the rest apart, so that no product leaves 64 bits. */
static uint64_t time_of(const struct source_limit *limit, uint64_t now_ms)
{
	return now_ms / 1000 * limit->units + now_ms % 1000 * limit->units / 1000;
}

/* How far the word's time is ahead of now. What is past says nothing any more; nor does what is too far ahead, which is
 * past as well, by so much that 48 bits cannot tell (18 hours at the very least). */
static uint64_t ahead_of(const struct source_limit *limit, uint64_t word, uint64_t now)
{
	uint64_t ahead = (word - now) & TIME_MASK;

	return ahead <= limit->ahead_max ? ahead : 0;
}

/* The way of the words that says least. Numbers of ways stand below their times, which makes it a matter of minima
 * without branches: in a flood nobody could predict them. */
static unsigned find_least(const struct source_limit *limit, const uint64_t words[WAYS], uint64_t now)
{
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < WAYS; i++) {
		uint64_t its = ahead_of(limit, words[i], now) * WAYS + i;

		least = its < least ? its : least;
	}
	return least % WAYS;
}

/* The source's way and its word; without one, the way that says least, whose word the source takes over. Each word is
 * read once: the source may come into the set at any moment. */
static _Atomic uint64_t *find(const struct source_limit *limit, uint64_t hash, uint64_t now, uint64_t *word,
			      uint64_t *ahead)
{
	struct set *set = &limit->sets[hash % SETS];
	uint64_t words[WAYS];
	unsigned way;

	for (way = 0; way < WAYS; way++) {
		*word = words[way] = atomic_load_explicit(&set->ways[way], memory_order_relaxed);
		if (*word >> TIME_BITS == hash >> TIME_BITS) {
			*ahead = ahead_of(limit, *word, now);
			return &set->ways[way];
		}
	}
	way = find_least(limit, words, now);
	*word = words[way];
	*ahead = 0;
	return &set->ways[way];
}

/* An exchange fails only where another worker's succeeded. */
bool source_limit_take(struct source_limit *limit, const struct address *source, uint32_t datagrams, uint64_t now_ms)
{
	uint64_t now = time_of(limit, now_ms), hash, word, ahead, next;
	_Atomic uint64_t *way;

	if (source->any.sa_family == AF_UNIX)
		return true;
	hash = hash_source(limit, source);
	do {
		way = find(limit, hash, now, &word, &ahead);
		if (ahead + limit->cost > limit->burst)
			return false;
		next = (hash & ~TIME_MASK) | ((now + ahead + datagrams * limit->cost) & TIME_MASK);
	} while (
		!atomic_compare_exchange_strong_explicit(way, &word, next, memory_order_relaxed, memory_order_relaxed));
	return true;
}

bool source_limit_spares(const struct source_limit *limit, struct source_draw *draw)
{
	uint64_t number = draw->next++;

	return siphash(&limit->draw_key, &number, sizeof(number)) % SOURCE_LIMIT_SHARE == 0;
}

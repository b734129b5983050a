#include "guard/ring_guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

/* The first hash covers this number of bytes at each end of the payload. */
#define END_BYTES 64
#define END_WORDS (2 * END_BYTES / sizeof(uint32_t))

/* Words of a source in the hash: direction, port and IP address. */
#define SOURCE_WORDS 6
#define KEY_WORDS (END_WORDS + SOURCE_WORDS)

/* Remembered payloads, in sets of one cache line: 65,536 in 512 KiB. */
#define SEEN_SLOTS 8
#define SEEN_SETS 8192u

/* In a set without an old payload, one of this number of new payloads is stored, on average. So if more payloads
 * circulate than the table has slots, most slots keep their payload for several rounds. */
#define SEEN_SHARE 8

/* A remembered payload: a tag of its source and its ends (28 bits), a tag of all its bytes (20 bits; 0: not known yet),
 * and the time when it was seen last (16 bits, in ticks). */
#define TICK_SHIFT 6
#define MEMORY_TICKS (16000 >> TICK_SHIFT)

/* Sources that repeat themselves, in sets of one cache line: 8,192 in 128 KiB. */
#define METER_SLOTS 4
#define METER_SETS 2048u

/* Rates of repeated datagrams, and how many may come at once before a rate counts as exceeded. */
#define SLOW_INTERVAL_MS 500 /* 2 per second */
#define SLOW_BURST 8
#define FAST_INTERVAL_MS 20 /* 50 per second */
#define FAST_BURST 25

/* Repeated datagrams between two drops, on average, of a slow source. A datagram of a fast source counts FAST_WEIGHT
 * times, so that one of 205 is dropped. */
#define DROP_INTERVAL 4096
#define FAST_WEIGHT 20

struct seen_set {
	_Atomic uint64_t slots[SEEN_SLOTS];
};

/* The meter of one source. Workers may overwrite each other's updates: the count is then a little too low. */
struct meter {
	_Atomic uint64_t identity; /* tag of the source (32 bits) and the countdown to the next drop (32 bits) */
	_Atomic uint64_t levels; /* when the slow and the fast bucket will be empty (32 bits each, in ms) */
};

struct meter_set {
	struct meter meters[METER_SLOTS];
};

struct ring_tables {
	struct seen_set seen[SEEN_SETS];
	struct meter_set sources[METER_SETS];
};

struct ring_guard {
	uint32_t key[KEY_WORDS];
	struct siphash_key random_key, long_key;
	struct ring_tables *tables;
};

int ring_guard_create(struct ring_guard **out)
{
	struct ring_guard *guard = calloc(1, sizeof(*guard));

	if (!guard)
		return -ENOMEM;
	guard->tables = aligned_alloc(sizeof(struct seen_set), sizeof(*guard->tables));
	if (!guard->tables) {
		free(guard);
		return -ENOMEM;
	}
	memset(guard->tables, 0, sizeof(*guard->tables)); /* no page fault delays a datagram */
	siphash_key_random(&guard->random_key);
	siphash_key_random(&guard->long_key);
	for (unsigned i = 0; i < KEY_WORDS; i++) {
		struct siphash_key key;

		siphash_key_random(&key);
		memcpy(&guard->key[i], &key, sizeof(guard->key[i]));
	}
	*out = guard;
	return 0;
}

void ring_guard_destroy(struct ring_guard *guard)
{
	if (!guard)
		return;
	free(guard->tables);
	free(guard);
}

/* --- Hashes --- */

/* Every bit of the result depends on every bit of the hash (the finalizer of MurmurHash3). */
static uint64_t ring_mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

/* NH, the fast part of UMAC (RFC 4418, 5.2.2). Different words have the same hash with a probability of 2^-32, because
 * the key is secret. */
static uint64_t ring_nh(const uint32_t *key, const uint32_t *words, unsigned count)
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < count; i += 2)
		hash += (uint64_t)(words[i] + key[i]) * (words[i + 1] + key[i + 1]);
	return hash;
}

static uint64_t ring_hash_source(const struct ring_guard *guard, const struct address *client,
				 enum ring_direction direction)
{
	bool has_port = direction != RING_FROM_PEER_HOST;
	uint32_t words[SOURCE_WORDS] = {direction};

	if (client->any.sa_family == AF_UNIX)
		return ring_mix(siphash(&guard->long_key, &client->any, client->length) + direction);
	if (client->any.sa_family == AF_INET) {
		words[1] = has_port ? client->v4.sin_port : 0;
		memcpy(&words[2], &client->v4.sin_addr, sizeof(client->v4.sin_addr));
	} else {
		words[1] = has_port ? client->v6.sin6_port : 0;
		memcpy(&words[2], &client->v6.sin6_addr, sizeof(client->v6.sin6_addr));
	}
	return ring_mix(ring_nh(guard->key + END_WORDS, words, SOURCE_WORDS));
}

static uint64_t ring_hash_ends(const struct ring_guard *guard, const uint8_t *data, uint32_t size)
{
	uint32_t words[END_WORDS] = {0};

	if (size <= 2 * END_BYTES) {
		memcpy(words, data, size);
	} else {
		memcpy(words, data, END_BYTES);
		memcpy(&words[END_WORDS / 2], data + size - END_BYTES, END_BYTES);
	}
	return ring_nh(guard->key, words, END_WORDS) + size;
}

/* --- Repeated payloads --- */

static uint64_t ring_random(const struct ring_guard *guard, struct ring_guard_sampler *sampler)
{
	uint64_t seed;

	memcpy(&seed, &guard->random_key, sizeof(seed));
	return ring_mix(seed ^ ++sampler->next);
}

static uint16_t seen_age(uint64_t word, uint16_t now)
{
	return (uint16_t)(now - (uint16_t)word);
}

/* Returns the slot with this tag that is not too old. If there is none, returns the slot to overwrite: the oldest one.
 */
static _Atomic uint64_t *seen_find(struct seen_set *set, uint64_t tag, uint16_t now, bool *found, bool *is_full)
{
	unsigned oldest = 0;
	uint16_t oldest_age = 0;

	for (unsigned i = 0; i < SEEN_SLOTS; i++) {
		uint64_t word = atomic_load_explicit(&set->slots[i], memory_order_relaxed);
		uint16_t age = word ? seen_age(word, now) : UINT16_MAX;

		if (word >> 36 == tag && age <= MEMORY_TICKS) {
			*found = true;
			return &set->slots[i];
		}
		if (age >= oldest_age) {
			oldest = i;
			oldest_age = age;
		}
	}
	*found = false;
	*is_full = oldest_age <= MEMORY_TICKS;
	return &set->slots[oldest];
}

/* A train that is checked. */
struct ring_check {
	struct ring_guard *guard;
	struct ring_guard_sampler *sampler;
	const struct train *train;
	uint64_t source; /* hash of the source */
	uint64_t now_ms;
};

/* Returns whether the source has sent this payload lately, and remembers it. Payloads whose ends are equal are compared
 * by a hash of all bytes; the first time that the ends repeat, that hash is not known yet. */
static bool ring_is_repeated(const struct ring_check *check, uint32_t i)
{
	struct ring_guard *guard = check->guard;
	const uint8_t *data = check->train->data + (size_t)i * check->train->segment;
	uint32_t size = train_datagram_size(check->train, i);
	uint64_t hash = ring_mix(check->source + ring_hash_ends(guard, data, size)), tag = hash >> 36, all = 1;
	uint16_t now = (uint16_t)(check->now_ms >> TICK_SHIFT);
	bool found, is_full;
	_Atomic uint64_t *slot = seen_find(&guard->tables->seen[hash % SEEN_SETS], tag, now, &found, &is_full);
	uint64_t known = found ? atomic_load_explicit(slot, memory_order_relaxed) >> 16 & 0xfffff : 0;

	if (!found && is_full && ring_random(guard, check->sampler) % SEEN_SHARE)
		return false;
	if (size > 2 * END_BYTES)
		all = found ? siphash(&guard->long_key, data, size) % 0xfffff + 1 : 0;
	atomic_store_explicit(slot, tag << 36 | all << 16 | now, memory_order_relaxed);
	return found && known == all;
}

/* --- Rates --- */

/* Adds a datagram to a leaky bucket. Returns whether it is over its burst. The level does not grow beyond the burst, so
 * that the result is true exactly while the rate is exceeded. */
static bool bucket_add(uint32_t *empty_ms, uint32_t now_ms, uint32_t interval_ms, uint32_t burst, uint32_t count)
{
	uint32_t max = (burst + 1) * interval_ms, level = *empty_ms - now_ms;

	if (level > max) /* in the past */
		level = 0;
	level += count * interval_ms;
	*empty_ms = now_ms + (level < max ? level : max);
	return level > burst * interval_ms;
}

/* Returns the source's meter. If there is none, returns the meter to overwrite: the one whose buckets are empty
 * first. */
static struct meter *meter_find(struct meter_set *set, uint32_t tag, uint32_t now_ms, bool *is_new)
{
	struct meter *victim = &set->meters[0];
	int32_t least = INT32_MAX;

	for (unsigned i = 0; i < METER_SLOTS; i++) {
		struct meter *meter = &set->meters[i];
		int32_t level =
			(int32_t)((uint32_t)atomic_load_explicit(&meter->levels, memory_order_relaxed) - now_ms);

		if (atomic_load_explicit(&meter->identity, memory_order_relaxed) >> 32 == tag) {
			*is_new = false;
			return meter;
		}
		if (level < least) {
			victim = meter;
			least = level;
		}
	}
	*is_new = least <= 0;
	return victim;
}

/* Counts repeated datagrams of a source. Returns whether one of them must be dropped. The distance between two drops is
 * random, so that no sender can predict which datagram is dropped. If all meters of a set are in use, a further source
 * continues the count of another one, so that many sources cannot hide each other. */
static bool ring_count_repeated(const struct ring_check *check, uint32_t count)
{
	struct ring_guard *guard = check->guard;
	uint32_t tag = (uint32_t)(check->source >> 32) | 1, now_ms = (uint32_t)check->now_ms;
	uint32_t slow_ms = now_ms, fast_ms = now_ms;
	bool is_new, slow, fast, drop;
	struct meter *meter = meter_find(&guard->tables->sources[check->source % METER_SETS], tag, now_ms, &is_new);
	int32_t countdown;

	if (is_new) {
		countdown = 1 + (int32_t)(ring_random(guard, check->sampler) % DROP_INTERVAL);
	} else {
		uint64_t levels = atomic_load_explicit(&meter->levels, memory_order_relaxed);

		slow_ms = (uint32_t)levels;
		fast_ms = (uint32_t)(levels >> 32);
		countdown = (int32_t)atomic_load_explicit(&meter->identity, memory_order_relaxed);
	}
	slow = bucket_add(&slow_ms, now_ms, SLOW_INTERVAL_MS, SLOW_BURST, count);
	fast = bucket_add(&fast_ms, now_ms, FAST_INTERVAL_MS, FAST_BURST, count);
	if (slow)
		countdown -= (int32_t)(fast ? FAST_WEIGHT * count : count);
	drop = countdown <= 0;
	if (drop) /* from two thirds to four thirds of the interval */
		countdown +=
			DROP_INTERVAL * 2 / 3 + (int32_t)(ring_random(guard, check->sampler) % (DROP_INTERVAL * 2 / 3));
	atomic_store_explicit(&meter->levels, (uint64_t)fast_ms << 32 | slow_ms, memory_order_relaxed);
	atomic_store_explicit(&meter->identity, (uint64_t)tag << 32 | (uint32_t)countdown, memory_order_relaxed);
	return drop;
}

/* --- Trains --- */

static void ring_exclude(struct train *train, bool first)
{
	if (train->end - train->skip == 1 && train->count == 1) {
		train->drop = DROP_RING;
	} else if (first) {
		train->skip++;
		train->skip_reason = DROP_RING;
	} else {
		train->end--;
		train->end_reason = DROP_RING;
	}
}

/* Estimates how many datagrams of the train are repeated, if its first or last one is: all, if one inside the train is
 * repeated, too. In a loop, few different ones are chosen, so that the guard knows them soon. */
static uint32_t ring_estimate_repeated(const struct ring_check *check, bool first)
{
	uint32_t count = check->train->count, quarter = count / 4, distance = 1;

	if (count == 1)
		return 1;
	if (quarter)
		distance = quarter * (1 + (uint32_t)(ring_random(check->guard, check->sampler) % 3));
	return ring_is_repeated(check, first ? distance : count - 1 - distance) ? count : 1;
}

bool ring_guard_check(struct ring_guard *guard, struct ring_guard_sampler *sampler, const struct address *client,
		      enum ring_direction direction, struct train *train, uint64_t now_ms)
{
	bool may_be_first = !train->skip, may_be_last = train->end == train->count;
	bool first = may_be_first && (!may_be_last || train->count == 1 || ring_random(guard, sampler) & 1);
	struct ring_check check = {.guard = guard, .sampler = sampler, .train = train, .now_ms = now_ms};

	if (!may_be_first && !may_be_last)
		return false;
	check.source = ring_hash_source(guard, client, direction);
	if (!ring_is_repeated(&check, first ? 0 : train->count - 1u) ||
	    !ring_count_repeated(&check, ring_estimate_repeated(&check, first)))
		return false;
	ring_exclude(train, first);
	return true;
}

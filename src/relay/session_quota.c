#include "relay/session_quota.h"

#include <errno.h>
#include <stdlib.h>

#include "base/siphash.h"

/* A bucket fills a cache line. */
#define BUCKET_ENTRIES 8

/* How often a search is repeated because another thread took the free entry. */
#define SEARCHES_MAX 4

/* The upper half of an entry is the tag of its source, the lower half its number of sessions. An entry without sessions
 * is free. */
struct source_table {
	struct siphash_key key;
	uint32_t max; /* sessions per source */
	uint32_t mask; /* number of buckets - 1 */
	_Atomic uint64_t entries[];
};

int session_quota_init(struct session_quota *quota, unsigned max, unsigned max_per_source, size_t table_size)
{
	size_t buckets = 1, bytes;

	quota->max = max;
	atomic_init(&quota->open, 0);
	quota->sources = NULL;
	if (!max_per_source)
		return 0;
	while (buckets * BUCKET_ENTRIES < 2 * table_size)
		buckets *= 2;
	bytes = buckets * BUCKET_ENTRIES * sizeof(quota->sources->entries[0]);
	quota->sources = calloc(1, sizeof(*quota->sources) + bytes);
	if (!quota->sources)
		return -ENOMEM;
	quota->sources->max = max_per_source;
	quota->sources->mask = (uint32_t)(buckets - 1);
	siphash_key_random(&quota->sources->key);
	return 0;
}

void session_quota_finish(struct session_quota *quota)
{
	free(quota->sources);
	quota->sources = NULL;
}

void session_quota_release(struct session_quota *quota)
{
	atomic_fetch_sub_explicit(&quota->open, 1, memory_order_relaxed);
}

bool session_quota_acquire(struct session_quota *quota)
{
	if (atomic_fetch_add_explicit(&quota->open, 1, memory_order_relaxed) < quota->max)
		return true;
	session_quota_release(quota);
	return false;
}

/* --- Sources --- */

static uint32_t entry_sessions(uint64_t entry)
{
	return (uint32_t)entry;
}

/* Returns the place of the source's entry, or of a free one, or SOURCE_NOT_COUNTED. entry: its content. */
static uint32_t source_table_find(struct source_table *table, uint64_t hash, uint64_t *entry)
{
	uint32_t tag = (uint32_t)(hash >> 32), low = (uint32_t)hash;
	uint32_t buckets[] = {low & table->mask, (low ^ (tag | 1) * 0x9e3779b1) & table->mask};
	uint32_t free_place = SOURCE_NOT_COUNTED;

	for (unsigned i = 0; i < 2 * BUCKET_ENTRIES; i++) {
		uint32_t place = buckets[i / BUCKET_ENTRIES] * BUCKET_ENTRIES + i % BUCKET_ENTRIES;
		uint64_t content = atomic_load_explicit(&table->entries[place], memory_order_relaxed);

		if (entry_sessions(content) && content >> 32 == tag) {
			*entry = content;
			return place;
		}
		if (!entry_sessions(content) && free_place == SOURCE_NOT_COUNTED) {
			free_place = place;
			*entry = content;
		}
	}
	return free_place;
}

bool source_quota_acquire(struct session_quota *quota, const struct address *client, bool force, uint32_t *place)
{
	struct source_table *table = quota->sources;
	uint64_t hash, entry = 0;

	*place = SOURCE_NOT_COUNTED;
	if (!table || client->any.sa_family == AF_UNIX)
		return true;
	hash = address_source_hash(client, &table->key);
	for (int i = 0; i < SEARCHES_MAX; i++) {
		uint32_t found = source_table_find(table, hash, &entry);
		uint64_t more;

		if (found == SOURCE_NOT_COUNTED)
			return true;
		if (entry_sessions(entry) >= table->max && !force) {
			*place = found;
			return false;
		}
		more = entry_sessions(entry) ? entry + 1 : (hash >> 32 << 32 | 1);
		if (atomic_compare_exchange_strong(&table->entries[found], &entry, more)) {
			*place = found;
			return true;
		}
	}
	return true;
}

void source_quota_release(struct session_quota *quota, uint32_t place)
{
	if (quota->sources && place != SOURCE_NOT_COUNTED)
		atomic_fetch_sub_explicit(&quota->sources->entries[place], 1, memory_order_relaxed);
}

#include "relay/session_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

/* The largest key of one address: family, length and an AF_UNIX path. */
#define KEY_BYTES (1 + sizeof(socklen_t) + sizeof(struct sockaddr_un))

SLIST_HEAD(session_bucket, session_node);

struct session_table {
	struct siphash_key key;
	size_t max, count;
	size_t mask; /* number of buckets - 1 */
	struct session_bucket *buckets;
	struct session_lru lru[SESSION_CLASSES];
};

int session_table_create(struct session_table **out, size_t max)
{
	struct session_table *table = calloc(1, sizeof(*table));
	size_t buckets = 16;

	if (!table)
		return -ENOMEM;
	while (buckets < max)
		buckets *= 2;
	table->max = max;
	table->mask = buckets - 1;
	table->buckets = calloc(buckets, sizeof(*table->buckets)); /* zeroed memory is an empty SLIST */
	if (!table->buckets) {
		free(table);
		return -ENOMEM;
	}
	for (int i = 0; i < SESSION_CLASSES; i++)
		TAILQ_INIT(&table->lru[i]);
	siphash_key_random(&table->key);
	*out = table;
	return 0;
}

void session_table_destroy(struct session_table *table)
{
	if (!table)
		return;
	free(table->buckets);
	free(table);
}

size_t session_table_count(const struct session_table *table)
{
	return table->count;
}

/* --- Search --- */

static uint8_t *key_put(uint8_t *out, const void *data, size_t size)
{
	memcpy(out, data, size);
	return out + size;
}

/* Writes exactly the bytes that address_equal() compares. The family is first, so that keys of two families differ. */
static uint8_t *key_put_address(uint8_t *out, const struct address *address)
{
	*out++ = (uint8_t)address->any.sa_family;
	if (address->any.sa_family == AF_INET) {
		out = key_put(out, &address->v4.sin_port, sizeof(address->v4.sin_port));
		return key_put(out, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
	}
	if (address->any.sa_family == AF_INET6) {
		out = key_put(out, &address->v6.sin6_port, sizeof(address->v6.sin6_port));
		out = key_put(out, &address->v6.sin6_scope_id, sizeof(address->v6.sin6_scope_id));
		return key_put(out, &address->v6.sin6_addr, sizeof(address->v6.sin6_addr));
	}
	size_t offset = offsetof(struct sockaddr_un, sun_path), length = address->length;

	out = key_put(out, &address->length, sizeof(address->length));
	return key_put(out, address->local.sun_path, length < offset ? 0 : length - offset);
}

static uint64_t session_table_hash(const struct session_table *table, const struct address *client,
				   const struct address *local)
{
	uint8_t bytes[2 * KEY_BYTES];
	uint8_t *end = key_put_address(key_put_address(bytes, client), local);

	return siphash(&table->key, bytes, (size_t)(end - bytes));
}

struct session_node *session_table_find(const struct session_table *table, const struct address *client,
					const struct address *local)
{
	uint64_t hash = session_table_hash(table, client, local);
	struct session_node *node;

	SLIST_FOREACH(node, &table->buckets[hash & table->mask], chain)
	{
		if (node->hash == hash && address_equal(&node->client, client) && address_equal(&node->local, local))
			break;
	}
	return node;
}

/* --- Order of last use --- */

void session_table_touch(struct session_table *table, struct session_node *node, enum session_class class,
			 uint64_t now_ms)
{
	node->used_ms = now_ms;
	if (TAILQ_LAST(&table->lru[class], session_lru) == node)
		return;
	TAILQ_REMOVE(&table->lru[node->class], node, lru);
	node->class = class;
	TAILQ_INSERT_TAIL(&table->lru[class], node, lru);
}

const struct session_lru *session_table_lru(const struct session_table *table, enum session_class class)
{
	return &table->lru[class];
}

struct session_node *session_table_lru_first(const struct session_table *table)
{
	struct session_node *first = NULL;

	for (int i = 0; i < SESSION_CLASSES; i++) {
		struct session_node *node = TAILQ_FIRST(&table->lru[i]);

		if (node && (!first || node->used_ms < first->used_ms))
			first = node;
	}
	return first;
}

/* --- Addition and removal --- */

void session_table_add(struct session_table *table, struct session_node *node, uint64_t now_ms)
{
	assert(table->count < table->max);
	node->hash = session_table_hash(table, &node->client, &node->local);
	node->used_ms = now_ms;
	SLIST_INSERT_HEAD(&table->buckets[node->hash & table->mask], node, chain);
	TAILQ_INSERT_TAIL(&table->lru[node->class], node, lru);
	table->count++;
}

void session_table_remove(struct session_table *table, struct session_node *node)
{
	SLIST_REMOVE(&table->buckets[node->hash & table->mask], node, session_node, chain);
	TAILQ_REMOVE(&table->lru[node->class], node, lru);
	table->count--;
}

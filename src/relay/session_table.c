#include "relay/session_table.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"

/* The most that put_address() writes: the family, a length, and a path. */
#define KEY_BYTES (1 + sizeof(socklen_t) + sizeof(struct sockaddr_un))

struct session_table {
	struct siphash_key key;
	size_t max, count;
	size_t mask; /* buckets, less one */
	struct session_node **buckets;
	struct session_node *oldest, *newest;
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
	table->buckets = calloc(buckets, sizeof(*table->buckets));
	if (!table->buckets) {
		free(table);
		return -ENOMEM;
	}
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

size_t session_table_max(const struct session_table *table)
{
	return table->max;
}

/* --- Finding --- */

static uint8_t *put(uint8_t *out, const void *data, size_t size)
{
	memcpy(out, data, size);
	return out + size;
}

/* What address_equal() looks at, and nothing else; each family has a beginning of its own. */
static uint8_t *put_address(uint8_t *out, const struct address *address)
{
	*out++ = (uint8_t)address->any.sa_family;
	if (address->any.sa_family == AF_INET) {
		out = put(out, &address->v4.sin_port, sizeof(address->v4.sin_port));
		return put(out, &address->v4.sin_addr, sizeof(address->v4.sin_addr));
	}
	if (address->any.sa_family == AF_INET6) {
		out = put(out, &address->v6.sin6_port, sizeof(address->v6.sin6_port));
		out = put(out, &address->v6.sin6_scope_id, sizeof(address->v6.sin6_scope_id));
		return put(out, &address->v6.sin6_addr, sizeof(address->v6.sin6_addr));
	}
	size_t before = offsetof(struct sockaddr_un, sun_path), length = address->length;

	out = put(out, &address->length, sizeof(address->length));
	return put(out, address->local.sun_path, length < before ? 0 : length - before);
}

static uint64_t hash_of(const struct session_table *table, const struct address *client, const struct address *local)
{
	uint8_t bytes[2 * KEY_BYTES];
	uint8_t *end = put_address(put_address(bytes, client), local);

	return siphash(&table->key, bytes, (size_t)(end - bytes));
}

struct session_node *session_table_find(const struct session_table *table, const struct address *client,
					const struct address *local)
{
	uint64_t hash = hash_of(table, client, local);
	struct session_node *node = table->buckets[hash & table->mask];

	while (node &&
	       !(node->hash == hash && address_equal(&node->client, client) && address_equal(&node->local, local)))
		node = node->chain;
	return node;
}

/* --- Order of use --- */

static void unlink_use(struct session_table *table, struct session_node *node)
{
	*(node->older ? &node->older->newer : &table->oldest) = node->newer;
	*(node->newer ? &node->newer->older : &table->newest) = node->older;
}

static void link_newest(struct session_table *table, struct session_node *node, uint64_t now_ms)
{
	node->used_ms = now_ms;
	node->older = table->newest;
	node->newer = NULL;
	*(table->newest ? &table->newest->newer : &table->oldest) = node;
	table->newest = node;
}

void session_table_touch(struct session_table *table, struct session_node *node, uint64_t now_ms)
{
	node->used_ms = now_ms;
	if (table->newest == node)
		return;
	unlink_use(table, node);
	link_newest(table, node, now_ms);
}

struct session_node *session_table_first(const struct session_table *table)
{
	return table->oldest;
}

struct session_node *session_table_last(const struct session_table *table)
{
	return table->newest;
}

/* --- Coming and going --- */

void session_table_add(struct session_table *table, struct session_node *node, uint64_t now_ms)
{
	assert(table->count < table->max);
	node->hash = hash_of(table, &node->client, &node->local);
	struct session_node **bucket = &table->buckets[node->hash & table->mask];

	node->chain = *bucket;
	*bucket = node;
	link_newest(table, node, now_ms);
	table->count++;
}

void session_table_remove(struct session_table *table, struct session_node *node)
{
	struct session_node **at = &table->buckets[node->hash & table->mask];

	while (*at != node)
		at = &(*at)->chain;
	*at = node->chain;
	unlink_use(table, node);
	table->count--;
}

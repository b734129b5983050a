/* The sessions of one listener on one worker, found by who wrote to which of our addresses. The table is bounded, its
 * hash is keyed with a secret, and every operation costs O(1). */
#ifndef UDPRELAYD_RELAY_SESSION_TABLE_H
#define UDPRELAYD_RELAY_SESSION_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Part of a session: its place in the table. */
struct session_node {
	struct session_node *chain; /* the next in its bucket */
	struct session_node *older, *newer; /* by last use */
	uint64_t hash;
	uint64_t used_ms; /* monotonic */
	struct address client, local; /* AF_UNIX ones have no port, but are addresses too */
};

struct session_table;

/* For at most max sessions. Returns 0 or -ENOMEM. */
int session_table_create(struct session_table **table, size_t max);

/* The sessions in it are their owner's. NULL is accepted. */
void session_table_destroy(struct session_table *table);

size_t session_table_count(const struct session_table *table);
size_t session_table_max(const struct session_table *table);

/* The session of client with local, or NULL. */
struct session_node *session_table_find(const struct session_table *table, const struct address *client,
					const struct address *local);

/* Adds a session with its addresses, which must not be in the table, as used at now_ms. The table must have room. The
 * node must stay where it is until it is removed. */
void session_table_add(struct session_table *table, struct session_node *node, uint64_t now_ms);

void session_table_remove(struct session_table *table, struct session_node *node);

/* The session was used. now_ms must not go backwards from call to call. */
void session_table_touch(struct session_table *table, struct session_node *node, uint64_t now_ms);

/* The session that has not been used for longest, or NULL. */
struct session_node *session_table_first(const struct session_table *table);

/* The one that was used last, or NULL; its ->older one was used before, and so on. */
struct session_node *session_table_last(const struct session_table *table);

#endif

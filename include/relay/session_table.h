/* The session table of a relay: finds a session by the client's address and the local address that it wrote to, and
 * keeps the sessions of each class in the order of their last use. The table is bounded and every operation costs O(1).
 * The hash has a secret key (SipHash), so that clients cannot choose colliding addresses.
 *
 * One worker owns a table; no other thread uses it. The nodes belong to the sessions. */
#ifndef UDPRELAYD_RELAY_SESSION_TABLE_H
#define UDPRELAYD_RELAY_SESSION_TABLE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/address.h"

/* The value of a session when there is no room for a new one. */
enum session_class {
	SESSION_SINGLE, /* its client has sent one datagram: it may be forged */
	SESSION_UNANSWERED, /* no reply has come */
	SESSION_CONVERSATION, /* client and peer exchange datagrams */
	SESSION_CLASSES, /* number of classes */
};

/* The part of a session that the table uses. */
struct session_node {
	SLIST_ENTRY(session_node) chain; /* in its bucket */
	TAILQ_ENTRY(session_node) lru; /* in its class */
	enum session_class class;
	uint64_t hash;
	uint64_t used_ms; /* monotonic; last use */
	struct address client, local; /* AF_UNIX addresses, too */
};

/* Sessions in the order of their last use: the least recently used one is first. */
TAILQ_HEAD(session_lru, session_node);

struct session_table;

/* Allocates a table for at most max sessions. Returns 0 or -ENOMEM. */
int session_table_create(struct session_table **table, size_t max);

/* Accepts NULL. Does not touch the nodes. */
void session_table_destroy(struct session_table *table);

size_t session_table_count(const struct session_table *table);

/* Returns the session of this client with this local address, or NULL. */
struct session_node *session_table_find(const struct session_table *table, const struct address *client,
					const struct address *local);

/* Adds a node, last used at now_ms. Its addresses and class are set, and the table has no node with the same addresses.
 * The table must have room. The node must not move until it is removed. */
void session_table_add(struct session_table *table, struct session_node *node, uint64_t now_ms);

void session_table_remove(struct session_table *table, struct session_node *node);

/* Records that the session is used and belongs to the class from now on. now_ms must not decrease from call to call. */
void session_table_touch(struct session_table *table, struct session_node *node, enum session_class class,
			 uint64_t now_ms);

/* Returns the sessions of a class in the order of their last use. */
const struct session_lru *session_table_lru(const struct session_table *table, enum session_class class);

/* Returns the least recently used session of all classes, or NULL. */
struct session_node *session_table_lru_first(const struct session_table *table);

#endif

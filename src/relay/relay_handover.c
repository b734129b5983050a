/* How a relay and its sessions continue under another configuration. */
#include <string.h>

#include "relay/relay_private.h"

bool relay_can_adopt_config(const struct listener_config *config)
{
	return action_traits[config->action].has_sessions;
}

/* Returns the index of the listener's peer of this name, or peer_count. */
static size_t relay_peer_index(const struct listener_config *config, const char *name)
{
	size_t i = 0;

	while (i < config->peer_count && strcmp(config->peers[i]->name, name) != 0)
		i++;
	return i;
}

/* The handover of a relay's sessions to a new configuration. */
struct relay_handover {
	struct relay *relay;
	const struct relay_setup *setup;
	const struct relay_rebinding *rebinding;
};

/* Calls the function for each session, which it may end. */
static void relay_for_each_session(const struct relay_handover *handover,
				   void (*function)(const struct relay_handover *handover, struct session *session))
{
	for (int i = 0; i < SESSION_CLASSES; i++) {
		const struct session_lru *sessions = session_table_lru(handover->relay->table, (enum session_class)i);
		struct session_node *next;

		for (struct session_node *node = TAILQ_FIRST(sessions); node; node = next) {
			next = TAILQ_NEXT(node, lru);
			function(handover, session_of(node));
		}
	}
}

/* Returns whether the peer still has the address: the same one is written, or the same name. */
static bool relay_peer_has_endpoint(const struct peer_config *peer, const struct endpoint *endpoint)
{
	if (!peer->host)
		return address_equal(&peer->address, &endpoint->address);
	return peer_config_same_name(peer, endpoint->peer);
}

/* Ends a session whose peer or local address the new configuration does not have. */
static void relay_end_unconfigured(const struct relay_handover *handover, struct session *session)
{
	const struct listener_config *config = handover->setup->config;
	const struct relay_rebinding *rebinding = handover->rebinding;
	const struct endpoint *endpoint = session->endpoint_ref->endpoint;
	size_t peer = relay_peer_index(config, endpoint->peer->name);

	if (peer == config->peer_count || !relay_peer_has_endpoint(config->peers[peer], endpoint))
		relay_end_session(handover->relay, session, SESSION_END_PEER_REMOVED);
	else if (!rebinding->client_tx(session->client_tx, rebinding->data))
		relay_end_session(handover->relay, session, SESSION_END_LISTENER_REMOVED);
}

/* The session counts in the quota of the new configuration, also beyond its limits. */
static void relay_move_quota(const struct relay_handover *handover, struct session *session)
{
	struct session_quota *before = handover->relay->setup.quota, *after = handover->setup->quota;

	paused_sessions_remove(handover->relay->setup.paused, session);
	session_quota_release(before);
	source_quota_release(before, session->source_place);
	atomic_fetch_add_explicit(&after->open, 1, memory_order_relaxed);
	source_quota_acquire(after, &session->node.client, true, &session->source_place);
}

/* Several sessions share an endpoint_ref. Each of them sets the same index, because the name leads to it. */
static void relay_rebind_session(const struct relay_handover *handover, struct session *session)
{
	struct relay *relay = handover->relay;
	const struct listener_config *config = relay->setup.config;
	size_t peer = relay_peer_index(config, session->endpoint_ref->endpoint->peer->name);

	session->endpoint_ref->peer = peer;
	endpoint_adopt_config(session->endpoint_ref->endpoint, config->peers[peer]);
	session->tx.shared_wait_budget = &relay->peers[peer].wait_budget;
	session->client_tx = handover->rebinding->client_tx(session->client_tx, handover->rebinding->data);
	if (session_watch(session, relay->setup.paused->epoll))
		paused_sessions_add_unwatched(relay->setup.paused, session);
}

/* --- Another max_sessions --- */

/* Memory for the sessions of a relay. */
struct relay_memory {
	struct session_table *table; /* NULL: none is needed */
	struct session_pool pool;
};

static void relay_memory_free(struct relay_memory *memory)
{
	session_table_destroy(memory->table);
	session_pool_finish(&memory->pool);
}

/* Creates memory for another max_sessions, or for the existing sessions if they are more. Returns 0 or -ENOMEM. */
static int relay_memory_create(struct relay_memory *memory, const struct relay *relay,
			       const struct listener_config *config)
{
	size_t count = session_table_count(relay->table);
	size_t max = count > config->max_sessions ? count : config->max_sessions;
	int error;

	*memory = (struct relay_memory){0};
	if (config->max_sessions == relay->setup.config->max_sessions)
		return 0;
	error = session_table_create(&memory->table, max);
	if (!error)
		error = session_pool_init(&memory->pool, max);
	if (error)
		relay_memory_free(memory);
	return error;
}

/* Moves the sessions, in the order of their use. No epoll and no list may refer to them. */
static void relay_move_sessions(struct relay *relay, struct relay_memory *memory)
{
	struct relay_memory before = {relay->table, relay->pool};

	for (int i = 0; i < SESSION_CLASSES; i++) {
		struct session_node *node;

		TAILQ_FOREACH(node, session_table_lru(before.table, (enum session_class)i), lru)
		{
			struct session *session = session_pool_take(&memory->pool);

			*session = *session_of(node);
			session_table_add(memory->table, &session->node, node->used_ms);
		}
	}
	relay->table = memory->table;
	relay->pool = memory->pool;
	relay_memory_free(&before);
}

/* --- The handover --- */

int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *rebinding)
{
	struct relay_handover handover = {relay, setup, rebinding};
	struct relay_memory memory;
	struct relay_peer *peers;
	int error = relay_peers_create(&peers, setup->config);

	if (error)
		return error;
	error = relay_memory_create(&memory, relay, setup->config);
	if (error) {
		relay_peers_destroy(peers, setup->config);
		return error;
	}
	relay_for_each_session(&handover, relay_end_unconfigured);
	relay_for_each_session(&handover, relay_move_quota);
	if (memory.table)
		relay_move_sessions(relay, &memory);
	relay_peers_destroy(relay->peers, relay->setup.config);
	relay->peers = peers;
	relay->setup = *setup;
	relay_for_each_session(&handover, relay_rebind_session);
	if (endpoint_set_adopt_config(&relay->endpoints, setup->config, setup->own, setup->snapshot))
		log_error(setup->log,
			  "listener %s: no memory for new addresses of its peers: the previous ones stay in use",
			  setup->config->name);
	return 0;
}

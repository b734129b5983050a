/* How a relay and its sessions continue under another configuration. */
#include <string.h>

#include "relay/relay_private.h"

bool relay_can_adopt_config(const struct relay *relay, const struct listener_config *config)
{
	return action_traits[config->action].has_sessions && config->max_sessions == relay->setup.config->max_sessions;
}

/* Returns the index of the listener's peer of this name, or peer_count. */
static size_t relay_peer_index(const struct listener_config *config, const char *name)
{
	size_t i = 0;

	while (i < config->peer_count && strcmp(config->peers[i]->name, name) != 0)
		i++;
	return i;
}

/* What a new configuration means to the sessions. */
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

/* Ends a session whose peer or local address the new configuration does not have. */
static void relay_end_unconfigured(const struct relay_handover *handover, struct session *session)
{
	const struct listener_config *config = handover->setup->config;
	const struct relay_rebinding *rebinding = handover->rebinding;

	if (relay_peer_index(config, session->endpoint_ref->endpoint->peer->name) == config->peer_count)
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
		session->tx.broken = true;
}

int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *rebinding)
{
	struct relay_handover handover = {relay, setup, rebinding};
	struct relay_peer *peers;
	int error = relay_peers_create(&peers, setup->config);

	if (error)
		return error;
	relay_for_each_session(&handover, relay_end_unconfigured);
	relay_for_each_session(&handover, relay_move_quota);
	relay_peers_destroy(relay->peers, relay->setup.config);
	relay->peers = peers;
	relay->setup = *setup;
	relay_for_each_session(&handover, relay_rebind_session);
	if (endpoint_set_adopt_config(&relay->endpoints, setup->config, setup->own, setup->snapshot))
		log_error(setup->log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  setup->config->name);
	return 0;
}

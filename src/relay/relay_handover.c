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

/* Ends the sessions whose peer or local address the new configuration does not have. */
static void relay_end_unconfigured(struct relay *relay, const struct listener_config *config,
				   const struct relay_rebinding *rebinding)
{
	struct session_node *next;

	for (struct session_node *node = session_table_lru_first(relay->table); node; node = next) {
		struct session *session = session_of(node);

		next = TAILQ_NEXT(node, lru);
		if (relay_peer_index(config, session->endpoint_ref->endpoint->peer->name) == config->peer_count)
			relay_end_session(relay, session, "its peer is none of the listener's any more");
		else if (!rebinding->client_tx(session->client_tx, rebinding->data))
			relay_end_session(relay, session, "its client's address is not listened on any more");
	}
}

/* Several sessions share an endpoint_ref. Each of them sets the same index, because the name leads to it. */
static void relay_rebind_session(struct relay *relay, struct session *session, const struct relay_rebinding *rebinding)
{
	const struct listener_config *config = relay->setup.config;
	size_t peer = relay_peer_index(config, session->endpoint_ref->endpoint->peer->name);

	session->endpoint_ref->peer = peer;
	endpoint_adopt_config(session->endpoint_ref->endpoint, config->peers[peer]);
	session->tx.shared_wait_budget = &relay->peers[peer].wait_budget;
	session->client_tx = rebinding->client_tx(session->client_tx, rebinding->data);
	if (session_watch(session, relay->setup.paused->epoll))
		session->tx.broken = true;
}

int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *rebinding)
{
	struct relay_peer *peers;
	int error = relay_peers_create(&peers, setup->config);
	struct session_node *node;
	unsigned open;

	if (error)
		return error;
	relay_end_unconfigured(relay, setup->config, rebinding);
	TAILQ_FOREACH(node, session_table_lru(relay->table), lru)
	paused_sessions_remove(relay->setup.paused, session_of(node));
	open = (unsigned)session_table_count(relay->table);
	atomic_fetch_sub(&relay->setup.quota->open, open);
	atomic_fetch_add(&setup->quota->open, open);
	relay_peers_destroy(relay->peers, relay->setup.config);
	relay->peers = peers;
	relay->setup = *setup;
	TAILQ_FOREACH(node, session_table_lru(relay->table), lru)
	relay_rebind_session(relay, session_of(node), rebinding);
	if (endpoint_set_adopt_config(&relay->endpoints, setup->config, setup->own, setup->snapshot))
		log_error(setup->log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  setup->config->name);
	return 0;
}

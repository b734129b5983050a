#include "relay/relay.h"

#include <string.h>

#include "net/socket.h"
#include "relay/relay_sessions.h"

int relay_init(struct relay *relay, const struct relay_setup *setup)
{
	const struct listener_config *config = setup->config;
	int error;

	*relay = (struct relay){.setup = *setup};
	error = relay_peers_create(&relay->peers, config);
	if (!error)
		error = session_table_create(&relay->table, config->max_sessions);
	if (!error)
		error = session_pool_init(&relay->pool, config->max_sessions);
	if (!error)
		error = endpoint_set_init(&relay->endpoints, config, setup->own, setup->epoch, setup->worker,
					  setup->snapshot);
	if (error)
		relay_finish(relay);
	return error;
}

void relay_finish(struct relay *relay)
{
	struct session_node *node;

	while (relay->table && (node = session_table_lru_first(relay->table)))
		relay_end_session(relay, session_of(node), "the daemon ends");
	relay_peers_destroy(relay->peers, relay->setup.config);
	session_table_destroy(relay->table);
	session_pool_finish(&relay->pool);
	endpoint_set_finish(&relay->endpoints);
	relay->table = NULL;
	relay->peers = NULL;
}

struct peer_socket *relay_peer_socket(const struct relay *relay, const struct session *session)
{
	return &relay->setup.peer_sockets[relay->setup.config->peers[session->endpoint->peer]->index];
}

/* --- Before a batch --- */

void relay_refresh_endpoints(struct relay *relay, uint64_t now_ms)
{
	if (endpoint_set_refresh(&relay->endpoints, now_ms) && balancer_fails_open(relay->endpoints.balancer))
		log_write_limited(relay->setup.log, &relay->down_log_limit, LOG_LEVEL_WARNING,
				  "listener %s: all its peers are down: they are used all the same",
				  relay->setup.config->name);
}

void relay_set_peers(struct relay *relay, const struct endpoints_snapshot *snapshot, uint64_t now_ms)
{
	if (endpoint_set_update(&relay->endpoints, snapshot))
		log_error(relay->setup.log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  relay->setup.config->name);
	else
		relay_refresh_endpoints(relay, now_ms);
}

/* --- Within a batch --- */

/* A peer can get the address of a client that already has a session. */
static bool relay_became_loop(const struct relay *relay, struct session *session)
{
	if (session->endpoints_version == relay->endpoints.version)
		return false;
	session->endpoints_version = relay->endpoints.version;
	return endpoint_set_is_loop(&relay->endpoints, &session->node.client);
}

/* Returns why the session must end, or NULL. */
static const char *relay_reason_to_end(const struct relay *relay, struct session *session)
{
	if (!endpoint_set_keeps(&relay->endpoints, session->endpoint))
		return "its peer is down or gone";
	return relay_became_loop(relay, session) ? "a peer is at its client's address" : NULL;
}

enum drop_reason relay_lookup_or_open(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				      struct session **session)
{
	struct session_node *node = session_table_find(relay->table, client->client, client->local);
	const char *reason = node ? relay_reason_to_end(relay, session_of(node)) : NULL;

	if (node && !reason) {
		session_table_touch(relay->table, node, now_ms);
		*session = session_of(node);
		return DROP_NONE;
	}
	/* Endpoints do not change within a batch, so no chunk of this batch uses the session that ends here. */
	if (node)
		relay_end_session(relay, session_of(node), reason);
	return relay_open_session(relay, client, now_ms, session);
}

void relay_count_sent(struct relay *relay, struct session *session, uint32_t datagrams)
{
	uint64_t due = session->replies_due + (uint64_t)datagrams * relay->setup.config->responses;

	session->datagrams += datagrams;
	session->replies_due = due < UINT32_MAX ? (uint32_t)due : UINT32_MAX;
}

void relay_count_reply(struct relay *relay, struct session *session, uint64_t now_ms)
{
	session_table_touch(relay->table, &session->node, now_ms);
	endpoint_report_success(session->endpoint->target);
}

void relay_log_receive_error(struct relay *relay, const struct session *session, int error)
{
	log_write_limited(relay->setup.log, &relay->receive_log_limit, LOG_LEVEL_ERROR,
			  "listener %s: receiving answers of peer %s: %s", relay->setup.config->name,
			  session->endpoint->target->peer->name, strerror(error));
}

/* --- After a batch --- */

/* Returns whether a reply has come and `responses` permits no further one. */
static bool relay_is_answered(const struct relay *relay, const struct session *session)
{
	uint32_t responses = relay->setup.config->responses;

	return responses && responses != RESPONSES_UNLIMITED && session->replies && !session->replies_due;
}

static void relay_report_icmp(struct relay *relay, struct session *session, uint64_t now_ms)
{
	uint64_t errors = session->tx.icmp_errors;

	session->tx.icmp_errors = 0;
	peer_socket_report_icmp(relay_peer_socket(relay, session), &session->endpoint->target->address, errors);
	relay_report_failure(relay, session->endpoint->target, (unsigned)errors, now_ms);
}

void relay_finish_batch(struct relay *relay, struct session *session, uint64_t now_ms)
{
	if (session->tx.fd < 0)
		return; /* an earlier call for this batch has ended it */
	if (session->tx.icmp_errors)
		relay_report_icmp(relay, session, now_ms);
	if (session->tx.broken) {
		relay_report_failure(relay, session->endpoint->target, 1, now_ms);
		relay_end_session(relay, session, "its socket broke");
	} else if (relay_is_answered(relay, session)) {
		relay_end_session(relay, session, "answered");
	}
}

/* --- Between batches --- */

bool relay_expects_replies(const struct relay *relay, uint64_t since_ms)
{
	struct session_node *node;

	TAILQ_FOREACH_REVERSE(node, session_table_lru(relay->table), session_lru, lru)
	{
		const struct session *session = session_of(node);

		if (node->used_ms < since_ms)
			break;
		if (session->replies_due && session->replies < session->datagrams)
			return true;
	}
	return false;
}

uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned max)
{
	uint64_t idle_ms = relay->setup.config->idle_timeout_ms;
	struct session_node *node;

	while ((node = session_table_lru_first(relay->table))) {
		uint64_t due_ms = node->used_ms + idle_ms;

		if (due_ms > now_ms || !max--)
			return due_ms;
		/* After the process was stopped for some time, replies may wait in the socket of an idle session. They
		 * are read in a moment, so the session stays. */
		if (!session_of(node)->paused && socket_has_input(session_of(node)->tx.fd))
			session_table_touch(relay->table, node, now_ms);
		else
			relay_end_session(relay, session_of(node), "idle");
	}
	return UINT64_MAX;
}

#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"
#include "relay/relay_private.h"

/* A session's socket gets the listener's receive_buffer, but not more than this: room for some trains of large
 * datagrams. With the full size, some hundred sessions whose replies come faster than they are read could use up the
 * memory that the kernel has for all UDP sockets of the host (net.ipv4.udp_mem). */
#define SESSION_RECEIVE_MAX (512 << 10)

/* Time between two attempts to open a session's broken socket again. */
#define REOPEN_MS 100

/* Sessions that are examined to find one of the new client's source. */
#define SEARCH_MAX 64

/* --- Peers --- */

void relay_peers_destroy(struct relay_peer *peers, const struct listener_config *config)
{
	for (size_t i = 0; peers && i < config->peer_count; i++)
		converter_destroy(peers[i].reply_converter);
	free(peers);
}

int relay_peers_create(struct relay_peer **out, const struct listener_config *config)
{
	struct relay_peer *peers = calloc(config->peer_count, sizeof(*peers));
	int error = peers ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->peer_count && !error; i++) {
		if (config->peers[i]->encoding)
			error = converter_create(&peers[i].reply_converter, (char *const *)&config->peers[i]->encoding,
						 1, config->encodings[0], config->errors, CONFIG_DATAGRAM_MAX);
	}
	if (error)
		relay_peers_destroy(peers, config);
	else
		*out = peers;
	return error;
}

struct peer_socket *relay_peer_socket(const struct relay *relay, const struct session *session)
{
	return &relay->setup.peer_sockets[relay->setup.config->peers[session->endpoint_ref->peer]->index];
}

/* --- Failures of endpoints --- */

static void relay_report_failure(struct relay *relay, struct endpoint *endpoint, unsigned failures, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];

	if (endpoint_report_failure(endpoint, failures, relay->setup.config->responses != 0, now_ms))
		log_write_limited(relay->setup.log, &relay->ejected_log_limit, LOG_LEVEL_WARNING,
				  "peer %s: %s refuses datagrams: new sessions use other peers for %g s",
				  endpoint->peer->name, address_format(&endpoint->address, text),
				  (double)endpoint->peer->fail_timeout_ms / 1000);
}

/* --- Ending a session --- */

/* Unread replies are counted as dropped before the socket is closed. */
static void relay_count_unread(struct relay *relay, const struct session *session, const struct tx_socket *socket)
{
	struct peer_counters *peer = &relay_peer_socket(relay, session)->counters;
	uint64_t datagrams, bytes;

	socket_drain(socket->fd, socket->gso, &datagrams, &bytes);
	counter_add(&relay->counters.replies, datagrams);
	counter_add(&relay->counters.reply_bytes, bytes);
	counter_add(&relay->counters.dropped[DROP_SESSION_ENDED], datagrams);
	counter_add(&relay->counters.kernel_dropped, socket_kernel_drops(socket->fd));
	counter_add(&peer->replies, datagrams);
	counter_add(&peer->reply_bytes, bytes);
}

/* The session still counts in the quota for all sessions. */
static void relay_close_session(struct relay *relay, struct session *session, enum session_end end)
{
	relay_log_end(relay, session, end);
	relay_count_unread(relay, session, &session->tx);
	paused_sessions_remove(relay->setup.paused, session);
	close(session->tx.fd);
	session->tx.fd = -1;
	endpoint_set_leave(&relay->endpoints, session->endpoint_ref);
	session_table_remove(relay->table, &session->node);
	source_quota_release(relay->setup.quota, session->source_place);
	session_pool_give(&relay->pool, session);
	counter_add(&relay->counters.ended, 1);
	counter_add(&relay->counters.ended_by[end], 1);
}

void relay_end_session(struct relay *relay, struct session *session, enum session_end end)
{
	relay_close_session(relay, session, end);
	session_quota_release(relay->setup.quota);
}

/* --- Admission of a new client --- */

/* Returns the least recently used session of those that do not converse, or NULL. If source_place is not
 * SOURCE_NOT_COUNTED, it is of this source, and only the first sessions are examined. No chunk of the current batch may
 * use it. */
static struct session *relay_find_replaceable(const struct relay *relay, uint32_t source_place)
{
	bool any = source_place == SOURCE_NOT_COUNTED;

	for (int i = SESSION_SINGLE; i < SESSION_CONVERSATION; i++) {
		struct session_node *node = TAILQ_FIRST(session_table_lru(relay->table, (enum session_class)i));

		for (unsigned j = 0; node && j < (any ? 1 : SEARCH_MAX); j++, node = TAILQ_NEXT(node, lru)) {
			struct session *session = session_of(node);

			if (session->client_batch != relay->batch && (any || session->source_place == source_place))
				return session;
		}
	}
	return NULL;
}

/* The new session takes the place of the other one in the quota. */
static bool relay_replace_session(struct relay *relay)
{
	struct session *session = relay_find_replaceable(relay, SOURCE_NOT_COUNTED);

	if (session)
		relay_close_session(relay, session, SESSION_END_REPLACED);
	return session;
}

static bool relay_take_quota(struct relay *relay)
{
	struct session_quota *quota = relay->setup.quota;
	bool replaced;

	if (session_quota_acquire(quota))
		return true;
	replaced = relay_replace_session(relay);
	log_write_limited(relay->setup.log, &relay->full_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: all %u sessions are in use (max_sessions); %s", relay->setup.config->name,
			  quota->max,
			  replaced ? "new clients replace sessions without a conversation" : "new clients are dropped");
	return replaced;
}

/* A forger can use up the sessions of a source with datagrams in its name. So a new client of the source replaces one
 * of them. */
static bool relay_take_source_quota(struct relay *relay, const struct address *client, uint32_t *place)
{
	const struct listener_config *config = relay->setup.config;
	struct session_quota *quota = relay->setup.quota;
	struct session *replaced;
	char text[ADDRESS_TEXT_MAX];

	if (source_quota_acquire(quota, client, false, place))
		return true;
	replaced = relay_find_replaceable(relay, *place);
	if (replaced)
		relay_end_session(relay, replaced, SESSION_END_REPLACED);
	log_write_limited(relay->setup.log, &relay->source_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: the source of %s has %u sessions (source_sessions); its new clients %s",
			  config->name, address_format(client, text), config->source_sessions,
			  replaced ? "replace its sessions without a conversation" : "are dropped");
	return replaced && source_quota_acquire(quota, client, false, place);
}

/* Returns DROP_NONE, or the reason why the client gets no session. */
static enum drop_reason relay_acquire(struct relay *relay, const struct address *client, uint32_t *source_place)
{
	if (!relay_take_source_quota(relay, client, source_place))
		return DROP_SOURCE_SESSIONS;
	if (relay_take_quota(relay))
		return DROP_NONE;
	source_quota_release(relay->setup.quota, *source_place);
	return DROP_SESSION_LIMIT;
}

/* --- Opening a session --- */

/* Returns 0 or a negative errno. */
static int relay_open_socket(struct relay *relay, struct session *session, const struct address *to)
{
	const struct listener_config *config = relay->setup.config;
	int receive_buffer =
		config->receive_buffer < SESSION_RECEIVE_MAX ? config->receive_buffer : SESSION_RECEIVE_MAX;
	int error, fd = socket_open_duplex(to, receive_buffer, config->send_buffer);

	if (fd < 0)
		return fd;
	session->tx = (struct tx_socket){.fd = fd,
					 .connected = true,
					 .gso = to->any.sa_family != AF_UNIX,
					 .ipv6 = to->any.sa_family == AF_INET6,
					 .shared_wait_budget = &relay->peers[session->endpoint_ref->peer].wait_budget};
	error = session_watch(session, relay->setup.paused->epoll);
	if (error) {
		close(fd);
		session->tx.fd = -1;
	}
	return error;
}

/* Returns whether the reason is a fault of the endpoint. Local faults (no memory, port or descriptor) do not count
 * against it. */
static bool drop_reason_is_of_endpoint(enum drop_reason reason)
{
	return reason == DROP_REFUSED || reason == DROP_UNREACHABLE || reason == DROP_DENIED;
}

static enum drop_reason relay_open_session(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
					   struct session **out)
{
	struct endpoint_ref *ref;
	struct session *session;
	uint32_t source_place;
	enum drop_reason reason = endpoint_set_assign(&relay->endpoints, client->client, &ref);
	int error;

	if (!reason)
		reason = relay_acquire(relay, client->client, &source_place);
	if (reason)
		return reason;
	session = session_pool_take(&relay->pool);
	session->node.client = *client->client;
	session->node.local = *client->local;
	session->relay = relay;
	session->client_tx = client->tx;
	session->set_source_address = client->set_source_address;
	session->endpoint_ref = ref;
	session->loop_version = relay->loop_version;
	session->source_place = source_place;
	session->client_batch = relay->batch;
	error = -relay_open_socket(relay, session, &ref->endpoint->address);
	if (error) {
		reason = drop_reason_from_open(error);
		relay_log_open_error(relay, ref->endpoint, error);
		if (drop_reason_is_of_endpoint(reason))
			relay_report_failure(relay, ref->endpoint, 1, now_ms);
		source_quota_release(relay->setup.quota, source_place);
		session_quota_release(relay->setup.quota);
		session_pool_give(&relay->pool, session);
		return reason;
	}
	endpoint_set_join(&relay->endpoints, ref);
	session_table_add(relay->table, &session->node, now_ms);
	counter_add(&relay->counters.started, 1);
	relay_log_start(relay, session);
	*out = session;
	return DROP_NONE;
}

/* --- Start and end --- */

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
		relay_end_session(relay, session_of(node), SESSION_END_RELAY_ENDED);
	relay_peers_destroy(relay->peers, relay->setup.config);
	session_table_destroy(relay->table);
	session_pool_finish(&relay->pool);
	endpoint_set_finish(&relay->endpoints);
	relay->table = NULL;
	relay->peers = NULL;
}

/* --- Before a batch --- */

void relay_refresh_endpoints(struct relay *relay, uint64_t now_ms)
{
	unsigned own_version = relay->setup.own ? own_addresses_version(relay->setup.own) : 0;

	relay->batch++;
	if (own_version != relay->own_version || relay->endpoints.version != relay->endpoints_version) {
		relay->own_version = own_version;
		relay->endpoints_version = relay->endpoints.version;
		relay->loop_version++;
	}
	if (endpoint_set_refresh(&relay->endpoints, now_ms) && balancer_fails_open(relay->endpoints.balancer))
		log_write_limited(relay->setup.log, &relay->down_log_limit, LOG_LEVEL_WARNING,
				  "listener %s: all peers are down, so all of them are used",
				  relay->setup.config->name);
}

void relay_set_peers(struct relay *relay, const struct endpoints_snapshot *snapshot, uint64_t now_ms)
{
	if (endpoint_set_update(&relay->endpoints, snapshot))
		log_error(relay->setup.log,
			  "listener %s: no memory for new addresses of its peers: the previous ones stay in use",
			  relay->setup.config->name);
	else
		relay_refresh_endpoints(relay, now_ms);
}

/* --- Within a batch --- */

/* A loop can begin during a session: a peer gets the address of the client, or this host gets the address of the
 * endpoint. Then the session's datagrams are dropped. The addresses can change again, so the session stays. */
static bool relay_is_loop(const struct relay *relay, struct session *session)
{
	if (session->loop_version != relay->loop_version) {
		session->loop_version = relay->loop_version;
		session->is_loop = endpoint_set_is_loop(&relay->endpoints, &session->node.client) ||
				   endpoint_set_reaches_us(&relay->endpoints, session->endpoint_ref);
	}
	return session->is_loop;
}

/* Returns whether the name of the peer now has other addresses, and the session's endpoint, which has replied before,
 * got a datagram since then and is silent for fail_timeout. Silence means nothing if no reply is expected. */
static bool relay_is_abandoned(const struct relay *relay, const struct session *session, uint64_t now_ms)
{
	const struct endpoint_ref *ref = session->endpoint_ref;
	uint64_t timeout_ms = ref->endpoint->peer->fail_timeout_ms;

	return ref->index == ENDPOINT_REMOVED && relay->endpoints.count && relay->setup.config->responses &&
	       session->asked_ms && now_ms >= session->asked_ms + timeout_ms && endpoint_has_replied(ref->endpoint) &&
	       !endpoint_replied_within(ref->endpoint, timeout_ms, now_ms);
}

static bool relay_keeps_session(const struct relay *relay, const struct session *session, uint64_t now_ms)
{
	return endpoint_set_keeps(&relay->endpoints, session->endpoint_ref, now_ms) &&
	       !relay_is_abandoned(relay, session, now_ms);
}

enum drop_reason relay_lookup_or_open(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				      struct session **session)
{
	struct session_node *node = session_table_find(relay->table, client->client, client->local);
	enum drop_reason reason;

	if (node && relay_is_loop(relay, session_of(node)))
		return DROP_LOOP;
	if (node && relay_keeps_session(relay, session_of(node), now_ms)) {
		*session = session_of(node);
		(*session)->client_batch = relay->batch;
		session_table_touch(relay->table, node, (*session)->replies ? SESSION_CONVERSATION : SESSION_UNANSWERED,
				    now_ms);
		return DROP_NONE;
	}
	/* Endpoints do not change within a batch, so no chunk of this batch uses the session that ends here. */
	if (node)
		relay_end_session(relay, session_of(node), SESSION_END_PEER_FAILED);
	reason = relay_open_session(relay, client, now_ms, session);
	if (reason)
		counter_add(&relay->counters.refused[reason], 1);
	return reason;
}

void relay_count_sent(struct relay *relay, struct session *session, uint32_t datagrams)
{
	uint64_t due = session->replies_due + (uint64_t)datagrams * relay->setup.config->responses;

	if (session->endpoint_ref->index != ENDPOINT_REMOVED)
		session->asked_ms = 0;
	else if (!session->asked_ms && datagrams)
		session->asked_ms = session->node.used_ms;
	session->datagrams += datagrams;
	session->unanswered += datagrams;
	session->replies_due = due < UINT32_MAX ? (uint32_t)due : UINT32_MAX;
}

void relay_count_reply(struct relay *relay, struct session *session, uint64_t now_ms)
{
	struct endpoint *endpoint = session->endpoint_ref->endpoint;
	char text[ADDRESS_TEXT_MAX];

	session_table_touch(relay->table, &session->node,
			    session->datagrams > 1 ? SESSION_CONVERSATION : SESSION_SINGLE, now_ms);
	session->unanswered = 0;
	session->asked_ms = 0;
	if (endpoint_report_reply(endpoint, now_ms))
		log_write_limited(relay->setup.log, &relay->ejected_log_limit, LOG_LEVEL_NOTICE,
				  "peer %s: %s answers: new sessions use it again", endpoint->peer->name,
				  address_format(&endpoint->address, text));
}

/* --- After a batch --- */

/* Returns whether a reply has come and `responses` permits no further one. */
static bool relay_is_answered(const struct relay *relay, const struct session *session)
{
	uint32_t responses = relay->setup.config->responses;

	return responses && responses != RESPONSES_UNLIMITED && session->replies && !session->replies_due;
}

/* Each datagram causes at most one error. More errors than unanswered datagrams are forged. */
static void relay_report_icmp(struct relay *relay, struct session *session, uint64_t now_ms)
{
	uint64_t errors = session->tx.icmp_errors;
	uint64_t plausible = errors < session->unanswered ? errors : session->unanswered;

	session->tx.icmp_errors = 0;
	session->unanswered -= plausible;
	peer_socket_report_icmp(relay_peer_socket(relay, session), &session->endpoint_ref->endpoint->address, errors);
	if (plausible)
		relay_report_failure(relay, session->endpoint_ref->endpoint, (unsigned)plausible, now_ms);
}

/* A socket breaks if its AF_UNIX peer was closed, or its route or local address is gone. The session gets another one,
 * with another local port. If none can be opened, or it would have the same address, the session keeps the old one: the
 * errors are forged, or it works again when the route comes back. */
static void relay_repair_session(struct relay *relay, struct session *session, uint64_t now_ms)
{
	struct tx_socket broken = session->tx;
	int error;

	session->tx.broken = false;
	relay_report_failure(relay, session->endpoint_ref->endpoint, 1, now_ms);
	if (now_ms < session->reopen_ms)
		return;
	session->reopen_ms = now_ms + REOPEN_MS;
	if (session->tx.gso && !socket_has_old_address(session->tx.fd, &session->endpoint_ref->endpoint->address))
		return;
	error = relay_open_socket(relay, session, &session->endpoint_ref->endpoint->address);
	if (error) {
		session->tx = broken;
		session->tx.broken = false;
		return;
	}
	relay_count_unread(relay, session, &broken);
	close(broken.fd);
	paused_sessions_remove(relay->setup.paused, session);
	session->gro_enabled = false;
	session->read_failures = 0;
}

void relay_finish_batch(struct relay *relay, struct session *session, uint64_t now_ms)
{
	if (session->tx.fd < 0)
		return; /* an earlier call for this batch has ended it */
	if (session->tx.icmp_errors)
		relay_report_icmp(relay, session, now_ms);
	if (session->tx.broken)
		relay_repair_session(relay, session, now_ms);
	if (relay_is_answered(relay, session))
		relay_end_session(relay, session, SESSION_END_ANSWERED);
}

/* --- Between batches --- */

static bool relay_class_expects_replies(const struct session_lru *sessions, uint64_t since_ms)
{
	struct session_node *node;

	TAILQ_FOREACH_REVERSE(node, sessions, session_lru, lru)
	{
		const struct session *session = session_of(node);

		if (node->used_ms < since_ms)
			break;
		if (session->replies_due && session->replies < session->datagrams)
			return true;
	}
	return false;
}

bool relay_expects_replies(const struct relay *relay, uint64_t since_ms)
{
	bool expects = false;

	for (int i = 0; i < SESSION_CLASSES && !expects; i++)
		expects = relay_class_expects_replies(session_table_lru(relay->table, (enum session_class)i), since_ms);
	return expects;
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
			session_table_touch(relay->table, node, node->class, now_ms);
		else
			relay_end_session(relay, session_of(node), SESSION_END_IDLE);
	}
	return UINT64_MAX;
}

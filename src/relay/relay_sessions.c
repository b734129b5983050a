#include "relay/relay_sessions.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket.h"

/* A session's socket gets the listener's receive_buffer, but not more than this: room for some trains of large
 * datagrams. With the full size, some hundred sessions whose replies come faster than they are read could use up the
 * memory that the kernel has for all UDP sockets of the host (net.ipv4.udp_mem). */
#define SESSION_RECEIVE_MAX (512 << 10)

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

/* --- Log --- */

struct session_text {
	char client[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX], endpoint[ADDRESS_TEXT_MAX];
};

static void session_format(const struct session *session, struct session_text *text)
{
	address_format(&session->node.client, text->client);
	address_format(&session->node.local, text->local);
	address_format(&session->endpoint->target->address, text->endpoint);
}

static void relay_log_start(const struct relay *relay, const struct session *session)
{
	struct session_text text;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	session_format(session, &text);
	log_debug(relay->setup.log, "listener %s: session of %s at %s with peer %s (%s) started",
		  relay->setup.config->name, text.client, text.local, session->endpoint->target->peer->name,
		  text.endpoint);
}

static void relay_log_end(const struct relay *relay, const struct session *session, const char *reason)
{
	struct session_text text;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	session_format(session, &text);
	log_debug(relay->setup.log,
		  "listener %s: session of %s at %s with peer %s (%s) ended: %s; datagrams=%" PRIu64
		  " answers=%" PRIu64,
		  relay->setup.config->name, text.client, text.local, session->endpoint->target->peer->name,
		  text.endpoint, reason, session->datagrams, session->replies);
}

static void relay_log_open_error(struct relay *relay, const struct endpoint *endpoint, int error)
{
	char text[ADDRESS_TEXT_MAX];

	log_write_limited(
		relay->setup.log, &relay->open_log_limit, LOG_LEVEL_WARNING,
		"listener %s: cannot begin a session with peer %s (%s): %s; its client's datagrams are dropped",
		relay->setup.config->name, endpoint->peer->name, address_format(&endpoint->address, text),
		error == EAGAIN || error == EADDRINUSE ? "no local port is free" : strerror(error));
}

void relay_report_failure(struct relay *relay, struct endpoint *endpoint, unsigned failures, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];

	if (endpoint_report_failure(endpoint, failures, now_ms))
		log_write_limited(relay->setup.log, &relay->ejected_log_limit, LOG_LEVEL_WARNING,
				  "peer %s: %s refuses: new sessions avoid it for %" PRIu64 " ms", endpoint->peer->name,
				  address_format(&endpoint->address, text), endpoint->peer->fail_timeout_ms);
}

/* --- Quota --- */

static void relay_quota_release(struct relay *relay)
{
	atomic_fetch_sub_explicit(&relay->setup.quota->open, 1, memory_order_relaxed);
}

static bool relay_quota_acquire(struct relay *relay)
{
	struct session_quota *quota = relay->setup.quota;

	if (atomic_fetch_add_explicit(&quota->open, 1, memory_order_relaxed) < quota->max)
		return true;
	relay_quota_release(relay);
	log_write_limited(relay->setup.log, &relay->full_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: all %u sessions are taken (max_sessions); new clients are dropped",
			  relay->setup.config->name, quota->max);
	return false;
}

/* --- Opening --- */

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
					 .shared_wait_budget = &relay->peers[session->endpoint->peer].wait_budget};
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

enum drop_reason relay_open_session(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				    struct session **out)
{
	struct endpoint_ref *endpoint;
	struct session *session;
	enum drop_reason reason = endpoint_set_assign(&relay->endpoints, client->client, &endpoint);
	int error;

	if (reason)
		return reason;
	if (!relay_quota_acquire(relay))
		return DROP_SESSION_LIMIT;
	session = session_pool_take(&relay->pool);
	session->node.client = *client->client;
	session->node.local = *client->local;
	session->relay = relay;
	session->client_tx = client->tx;
	session->set_source_address = client->set_source_address;
	session->endpoint = endpoint;
	session->endpoints_version = relay->endpoints.version;
	error = -relay_open_socket(relay, session, &endpoint->target->address);
	if (error) {
		reason = drop_reason_from_open(error);
		relay_log_open_error(relay, endpoint->target, error);
		if (drop_reason_is_of_endpoint(reason))
			relay_report_failure(relay, endpoint->target, 1, now_ms);
		session_pool_give(&relay->pool, session);
		relay_quota_release(relay);
		return reason;
	}
	endpoint_set_join(&relay->endpoints, endpoint);
	session_table_add(relay->table, &session->node, now_ms);
	counter_add(&relay->counters.started, 1);
	relay_log_start(relay, session);
	*out = session;
	return DROP_NONE;
}

/* --- End --- */

/* Unread replies are counted as dropped before the socket is closed. */
static void relay_count_unread(struct relay *relay, const struct session *session)
{
	struct peer_counters *peer = &relay_peer_socket(relay, session)->counters;
	uint64_t datagrams, bytes;

	socket_drain(session->tx.fd, session->tx.gso, &datagrams, &bytes);
	counter_add(&relay->counters.replies, datagrams);
	counter_add(&relay->counters.reply_bytes, bytes);
	counter_add(&relay->counters.dropped[DROP_SESSION_ENDED], datagrams);
	counter_add(&relay->counters.kernel_dropped, socket_kernel_drops(session->tx.fd));
	counter_add(&peer->replies, datagrams);
	counter_add(&peer->reply_bytes, bytes);
}

void relay_end_session(struct relay *relay, struct session *session, const char *reason)
{
	relay_log_end(relay, session, reason);
	relay_count_unread(relay, session);
	paused_sessions_remove(relay->setup.paused, session);
	close(session->tx.fd);
	session->tx.fd = -1;
	endpoint_set_leave(&relay->endpoints, session->endpoint);
	session_table_remove(relay->table, &session->node);
	session_pool_give(&relay->pool, session);
	relay_quota_release(relay);
	counter_add(&relay->counters.ended, 1);
}

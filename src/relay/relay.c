#include "relay/relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "net/socket.h"
#include "relay/paused_sessions.h"

/* A session's socket has the listener's receive_buffer, up to this: some trains of large datagrams. Were it to have all
 * of that, some hundred sessions whose answers come faster than they are read could fill what the kernel has for all
 * UDP sockets of the host (net.ipv4.udp_mem). */
#define SESSION_RECEIVE_MAX (512 << 10)

/* --- What the sessions with one peer share --- */

static void peers_destroy(struct relay_peer *peers, const struct listener_config *config)
{
	for (size_t i = 0; peers && i < config->peer_count; i++)
		converter_destroy(peers[i].reply_converter);
	free(peers);
}

/* Returns 0 or -ENOMEM. */
static int peers_create(struct relay_peer **out, const struct listener_config *config)
{
	struct relay_peer *peers = calloc(config->peer_count, sizeof(*peers));
	int error = peers ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->peer_count && !error; i++) {
		if (config->peers[i]->encoding)
			error = converter_create(&peers[i].reply_converter, (char *const *)&config->peers[i]->encoding,
						 1, config->encodings[0], config->errors, CONFIG_DATAGRAM_MAX);
	}
	if (error)
		peers_destroy(peers, config);
	else
		*out = peers;
	return error;
}

/* --- Life --- */

int relay_init(struct relay *relay, const struct relay_setup *setup)
{
	const struct listener_config *config = setup->config;
	int error;

	*relay = (struct relay){.setup = *setup};
	error = peers_create(&relay->peers, config);
	if (!error)
		error = session_table_create(&relay->table, config->max_sessions);
	if (!error)
		error = session_pool_init(&relay->pool, config->max_sessions);
	if (!error)
		error = endpoint_set_init(&relay->targets, config, setup->own, setup->news, setup->worker,
					  setup->snapshot);
	if (error)
		relay_finish(relay);
	return error;
}

/* --- Sessions come and go --- */

struct names {
	char client[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX], peer[ADDRESS_TEXT_MAX];
};

static void name(const struct session *session, struct names *names)
{
	address_format(&session->node.client, names->client);
	address_format(&session->node.local, names->local);
	address_format(&session->member->target->address, names->peer);
}

static void tell_start(const struct relay *relay, const struct session *session)
{
	struct names names;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	name(session, &names);
	log_debug(relay->setup.log, "listener %s: session of %s at %s with peer %s (%s) started",
		  relay->setup.config->name, names.client, names.local, session->member->target->peer->name,
		  names.peer);
}

static void tell_end(const struct relay *relay, const struct session *session, const char *why)
{
	struct names names;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	name(session, &names);
	log_debug(relay->setup.log,
		  "listener %s: session of %s at %s with peer %s (%s) ended: %s; datagrams=%" PRIu64
		  " answers=%" PRIu64,
		  relay->setup.config->name, names.client, names.local, session->member->target->peer->name, names.peer,
		  why, session->datagrams, session->answers);
}

struct peer_socket *relay_peer_socket(const struct relay *relay, const struct session *session)
{
	return &relay->setup.links[relay->setup.config->peers[session->member->peer]->index];
}

/* Answers that nobody has read are lost with the socket, but not to the books. */
static void count_unread(struct relay *relay, const struct session *session)
{
	struct peer_counters *peer = &relay_peer_socket(relay, session)->counters;
	uint64_t datagrams, bytes;

	socket_drain(session->outlet.fd, session->outlet.gso, &datagrams, &bytes);
	counter_add(&relay->counters.answers, datagrams);
	counter_add(&relay->counters.answer_bytes, bytes);
	counter_add(&relay->counters.dropped[DROP_SESSION_ENDED], datagrams);
	counter_add(&relay->counters.kernel_dropped, socket_kernel_drops(session->outlet.fd));
	counter_add(&peer->answers, datagrams);
	counter_add(&peer->answer_bytes, bytes);
}

static void give_place(struct relay *relay)
{
	atomic_fetch_sub_explicit(&relay->setup.quota->alive, 1, memory_order_relaxed);
}

static void end(struct relay *relay, struct session *session, const char *why)
{
	tell_end(relay, session, why);
	count_unread(relay, session);
	paused_sessions_remove(session);
	close(session->outlet.fd);
	session->outlet.fd = -1;
	endpoint_set_leave(&relay->targets, session->member);
	session_table_remove(relay->table, &session->node);
	session_pool_give(&relay->pool, session);
	give_place(relay);
	counter_add(&relay->counters.ended, 1);
}

void relay_finish(struct relay *relay)
{
	struct session_node *node;

	while (relay->table && (node = session_table_first(relay->table)))
		end(relay, session_of(node), "the daemon ends");
	peers_destroy(relay->peers, relay->setup.config);
	session_table_destroy(relay->table);
	session_pool_finish(&relay->pool);
	endpoint_set_finish(&relay->targets);
	relay->table = NULL;
	relay->peers = NULL;
}

/* --- Another configuration --- */

/* The peer of that name among the listener's, or peer_count. */
static size_t index_of(const struct listener_config *config, const char *name)
{
	size_t i = 0;

	while (i < config->peer_count && strcmp(config->peers[i]->name, name) != 0)
		i++;
	return i;
}

/* Sessions whose peer or listening address the new configuration does not have. By its name, a peer may be found as
 * often as one likes: members have several sessions. */
static void end_homeless(struct relay *relay, const struct listener_config *config, const struct relay_rebinding *home)
{
	struct session_node *newer;

	for (struct session_node *node = session_table_first(relay->table); node; node = newer) {
		struct session *session = session_of(node);

		newer = node->newer;
		if (index_of(config, session->member->target->peer->name) == config->peer_count)
			end(relay, session, "its peer is none of the listener's any more");
		else if (!home->outlet(session->back, home->data))
			end(relay, session, "its client's address is not listened on any more");
	}
}

static void rehome(struct relay *relay, struct session *session, const struct relay_rebinding *home)
{
	const struct listener_config *config = relay->setup.config;
	size_t peer = index_of(config, session->member->target->peer->name);

	session->member->peer = peer;
	endpoint_adopt_config(session->member->target, config->peers[peer]);
	session->outlet.shared_wait_budget = &relay->peers[peer].patience;
	session->back = home->outlet(session->back, home->data);
	paused_sessions_remove(session);
	if (session_watch(session, session->relay->setup.epoll))
		session->outlet.broken = true;
}

bool relay_can_adopt_config(const struct relay *relay, const struct listener_config *config)
{
	return action_traits(config->action)->has_sessions && config->max_sessions == relay->setup.config->max_sessions;
}

int relay_adopt_config(struct relay *relay, const struct relay_setup *setup, const struct relay_rebinding *home)
{
	struct relay_peer *peers;
	int error = peers_create(&peers, setup->config);
	unsigned alive;

	if (error)
		return error;
	end_homeless(relay, setup->config, home);
	alive = (unsigned)session_table_count(relay->table);
	atomic_fetch_sub(&relay->setup.quota->alive, alive);
	atomic_fetch_add(&setup->quota->alive, alive);
	peers_destroy(relay->peers, relay->setup.config);
	relay->peers = peers;
	relay->setup = *setup;
	for (struct session_node *node = session_table_first(relay->table); node; node = node->newer)
		rehome(relay, session_of(node), home);
	if (endpoint_set_adopt_config(&relay->targets, setup->config, setup->own, setup->snapshot))
		log_error(setup->log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  setup->config->name);
	return 0;
}

/* --- Sockets --- */

/* Connects the session's socket and has it watched. Returns 0 or a negative errno. */
static int open_socket(struct relay *relay, struct session *session, const struct address *to)
{
	const struct listener_config *config = relay->setup.config;
	int receive_buffer =
		config->receive_buffer < SESSION_RECEIVE_MAX ? config->receive_buffer : SESSION_RECEIVE_MAX;
	int error, fd = socket_open_duplex(to, receive_buffer, config->send_buffer);

	if (fd < 0)
		return fd;
	session->outlet = (struct tx_socket){.fd = fd,
					     .connected = true,
					     .gso = to->any.sa_family != AF_UNIX,
					     .shared_wait_budget = &relay->peers[session->member->peer].patience};
	error = session_watch(session, session->relay->setup.epoll);
	if (error) {
		close(fd);
		session->outlet.fd = -1;
	}
	return error;
}

/* A place among those of all workers. */
static bool take_place(struct relay *relay)
{
	struct session_quota *quota = relay->setup.quota;

	if (atomic_fetch_add_explicit(&quota->alive, 1, memory_order_relaxed) < quota->max)
		return true;
	give_place(relay);
	log_write_limited(relay->setup.log, &relay->full_limit, LOG_LEVEL_WARNING,
			  "listener %s: all %u sessions are taken (max_sessions); new clients are dropped",
			  relay->setup.config->name, quota->max);
	return false;
}

static void tell_unopened(struct relay *relay, const struct endpoint *target, int error)
{
	char text[ADDRESS_TEXT_MAX];

	log_write_limited(
		relay->setup.log, &relay->open_limit, LOG_LEVEL_WARNING,
		"listener %s: cannot begin a session with peer %s (%s): %s; its client's datagrams are dropped",
		relay->setup.config->name, target->peer->name, address_format(&target->address, text),
		error == EAGAIN || error == EADDRINUSE ? "no local port is free" : strerror(error));
}

/* Counts towards the target's rest, and tells where that begins. */
static void charge(struct relay *relay, struct endpoint *target, unsigned fails, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];

	if (endpoint_report_failure(target, fails, now_ms))
		log_write_limited(relay->setup.log, &relay->rest_limit, LOG_LEVEL_WARNING,
				  "peer %s: %s refuses: new sessions avoid it for %" PRIu64 " ms", target->peer->name,
				  address_format(&target->address, text), target->peer->fail_timeout_ms);
}

/* What speaks against the target, and not against ourselves. */
static bool is_of_target(enum drop_reason reason)
{
	return reason == DROP_REFUSED || reason == DROP_UNREACHABLE || reason == DROP_DENIED;
}

static enum drop_reason open_session(struct relay *relay, struct session *session, uint64_t now_ms)
{
	struct endpoint *target = session->member->target;
	int error = -open_socket(relay, session, &target->address);
	enum drop_reason reason;

	if (!error)
		return DROP_NONE;
	reason = drop_reason_from_open(error);
	tell_unopened(relay, target, error);
	if (is_of_target(reason))
		charge(relay, target, 1, now_ms);
	return reason;
}

static void start(struct relay *relay, struct session *session, uint64_t now_ms)
{
	endpoint_set_join(&relay->targets, session->member);
	session_table_add(relay->table, &session->node, now_ms);
	counter_add(&relay->counters.started, 1);
	tell_start(relay, session);
}

static enum drop_reason begin(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
			      struct session **session)
{
	struct endpoint_ref *member;
	enum drop_reason reason = endpoint_set_assign(&relay->targets, client->client, &member);

	if (reason)
		return reason;
	if (!take_place(relay))
		return DROP_SESSION_LIMIT;
	*session = session_pool_take(&relay->pool);
	(*session)->node.client = *client->client;
	(*session)->node.local = *client->local;
	(*session)->relay = relay;
	(*session)->back = client->back;
	(*session)->set_source_address = client->set_source_address;
	(*session)->member = member;
	(*session)->endpoints_seen = relay->targets.version;
	reason = open_session(relay, *session, now_ms);
	if (!reason) {
		start(relay, *session, now_ms);
		return DROP_NONE;
	}
	session_pool_give(&relay->pool, *session);
	give_place(relay);
	return reason;
}

/* --- A batch --- */

void relay_refresh_endpoints(struct relay *relay, uint64_t now_ms)
{
	if (endpoint_set_refresh(&relay->targets, now_ms) && balancer_fails_open(relay->targets.balancer))
		log_write_limited(relay->setup.log, &relay->down_limit, LOG_LEVEL_WARNING,
				  "listener %s: all its peers are down: they are used all the same",
				  relay->setup.config->name);
}

/* A peer may have come to where the client is. */
static bool has_become_loop(const struct relay *relay, struct session *session)
{
	if (session->endpoints_seen == relay->targets.version)
		return false;
	session->endpoints_seen = relay->targets.version;
	return endpoint_set_is_loop(&relay->targets, &session->node.client);
}

/* Returns why the session cannot go on, or NULL. */
static const char *objection(const struct relay *relay, struct session *session)
{
	if (!endpoint_set_keeps(&relay->targets, session->member))
		return "its peer is down or gone";
	return has_become_loop(relay, session) ? "a peer is at its client's address" : NULL;
}

enum drop_reason relay_lookup_or_open(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
				      struct session **session)
{
	struct session_node *node = session_table_find(relay->table, client->client, client->local);

	const char *why = node ? objection(relay, session_of(node)) : NULL;

	if (node && !why) {
		session_table_touch(relay->table, node, now_ms);
		*session = session_of(node);
		return DROP_NONE;
	}
	/* Which targets are there and up does not change within a batch: none of its copies is with this session. */
	if (node)
		end(relay, session_of(node), why);
	return begin(relay, client, now_ms, session);
}

void relay_count_sent(struct relay *relay, struct session *session, uint32_t datagrams)
{
	uint64_t replies_due = session->replies_due + (uint64_t)datagrams * relay->setup.config->responses;

	session->datagrams += datagrams;
	session->replies_due = replies_due < UINT32_MAX ? (uint32_t)replies_due : UINT32_MAX;
}

void relay_count_reply(struct relay *relay, struct session *session, uint64_t now_ms)
{
	session_table_touch(relay->table, &session->node, now_ms);
	endpoint_report_success(session->member->target);
}

bool relay_expects_replies(const struct relay *relay, uint64_t since_ms)
{
	for (struct session_node *node = session_table_last(relay->table); node && node->used_ms >= since_ms;
	     node = node->older) {
		const struct session *session = session_of(node);

		if (session->replies_due && session->answers < session->datagrams)
			return true;
	}
	return false;
}

void relay_log_receive_error(struct relay *relay, const struct session *session, int error)
{
	log_write_limited(relay->setup.log, &relay->receive_limit, LOG_LEVEL_ERROR,
			  "listener %s: receiving answers of peer %s: %s", relay->setup.config->name,
			  session->member->target->peer->name, strerror(error));
}

/* Something has come, and no more is to come. */
static bool is_answered(const struct relay *relay, const struct session *session)
{
	uint32_t responses = relay->setup.config->responses;

	return responses && responses != RESPONSES_UNLIMITED && session->answers && !session->replies_due;
}

static void settle_errors(struct relay *relay, struct session *session, uint64_t now_ms)
{
	uint64_t errors = session->outlet.icmp_errors;

	if (!errors)
		return;
	session->outlet.icmp_errors = 0;
	peer_socket_report_icmp(relay_peer_socket(relay, session), &session->member->target->address, errors);
	charge(relay, session->member->target, (unsigned)errors, now_ms);
}

void relay_finish_batch(struct relay *relay, struct session *session, uint64_t now_ms)
{
	if (session->outlet.fd < 0)
		return; /* ended a moment ago */
	settle_errors(relay, session, now_ms);
	if (session->outlet.broken) {
		charge(relay, session->member->target, 1, now_ms);
		end(relay, session, "its socket broke");
	} else if (is_answered(relay, session)) {
		end(relay, session, "answered");
	}
}

/* --- Between batches --- */

uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned limit)
{
	uint64_t idle_ms = relay->setup.config->idle_timeout_ms;
	struct session_node *node;

	while ((node = session_table_first(relay->table))) {
		uint64_t due_ms = node->used_ms + idle_ms;

		if (due_ms > now_ms || !limit--)
			return due_ms;
		/* After a pause of the whole process, say: what waits is about to be read, where it can be. */
		if (!session_is_paused(session_of(node)) && socket_has_input(session_of(node)->outlet.fd))
			session_table_touch(relay->table, node, now_ms);
		else
			end(relay, session_of(node), "idle");
	}
	return UINT64_MAX;
}

void relay_set_peers(struct relay *relay, const struct endpoints_snapshot *snapshot, uint64_t now_ms)
{
	if (endpoint_set_update(&relay->targets, snapshot))
		log_error(relay->setup.log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  relay->setup.config->name);
	else
		relay_refresh_endpoints(relay, now_ms);
}

#include "relay.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "socket.h"

/* --- Life --- */

int relay_init(struct relay *relay, const struct relay_setup *setup)
{
	const struct listener_config *config = setup->config;
	int error;

	*relay = (struct relay){.setup = *setup};
	error = session_table_create(&relay->table, config->max_sessions);
	if (!error)
		error = session_pool_init(&relay->pool, config->max_sessions);
	if (!error)
		error = target_set_init(&relay->targets, config, setup->own, setup->news, setup->snapshot);
	if (error)
		relay_finish(relay);
	return error;
}

const struct set_target *relay_target(const struct relay *relay, const struct session *session)
{
	return &relay->targets.targets[session->target];
}

/* --- Sessions come and go --- */

struct names {
	char client[ADDRESS_TEXT_MAX], local[ADDRESS_TEXT_MAX], peer[ADDRESS_TEXT_MAX];
};

static void name(const struct relay *relay, const struct session *session, struct names *names)
{
	address_format(&session->node.client, names->client);
	address_format(&session->node.local, names->local);
	address_format(&relay_target(relay, session)->target->address, names->peer);
}

static void tell_start(const struct relay *relay, const struct session *session)
{
	struct names names;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	name(relay, session, &names);
	log_debug(relay->setup.log, "listener %s: session of %s at %s with peer %s (%s) started",
		  relay->setup.config->name, names.client, names.local,
		  relay_target(relay, session)->target->peer->name, names.peer);
}

static void tell_end(const struct relay *relay, const struct session *session, const char *why)
{
	struct names names;

	if (!log_wants(relay->setup.log, LOG_LEVEL_DEBUG))
		return;
	name(relay, session, &names);
	log_debug(
		relay->setup.log,
		"listener %s: session of %s at %s with peer %s (%s) ended: %s; datagrams=%" PRIu64 " answers=%" PRIu64,
		relay->setup.config->name, names.client, names.local, relay_target(relay, session)->target->peer->name,
		names.peer, why, session->datagrams, session->answers);
}

static void end(struct relay *relay, struct session *session, const char *why)
{
	tell_end(relay, session, why);
	counter_add(&relay->counters.kernel_dropped, socket_kernel_drops(session->outlet.fd));
	close(session->outlet.fd);
	session->outlet.fd = -1;
	relay->targets.choices[session->target].sessions--;
	session_table_remove(relay->table, &session->node);
	session_pool_give(&relay->pool, session);
	atomic_fetch_sub_explicit(relay->setup.sessions, 1, memory_order_relaxed);
	counter_add(&relay->counters.ended, 1);
}

void relay_finish(struct relay *relay)
{
	struct session_node *node;

	while (relay->table && (node = session_table_oldest(relay->table)))
		end(relay, session_of(node), "the daemon ends");
	session_table_destroy(relay->table);
	session_pool_finish(&relay->pool);
	target_set_finish(&relay->targets);
	relay->table = NULL;
}

/* Connects the session's socket and has it watched. Returns 0 or a negative errno. */
static int open_socket(struct relay *relay, struct session *session, const struct address *to)
{
	const struct listener_config *config = relay->setup.config;
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};
	int fd = socket_converse(to, config->receive_buffer, config->send_buffer);

	if (fd < 0)
		return fd;
	if (epoll_ctl(relay->setup.epoll, EPOLL_CTL_ADD, fd, &event)) {
		int error = errno;
		close(fd);
		return -error;
	}
	session->outlet = (struct outlet){.fd = fd, .connected = true, .gso = to->any.sa_family != AF_UNIX};
	return 0;
}

/* A place among those of all workers. */
static bool take_place(struct relay *relay)
{
	unsigned before = atomic_fetch_add_explicit(relay->setup.sessions, 1, memory_order_relaxed);

	if (before < relay->setup.config->max_sessions)
		return true;
	atomic_fetch_sub_explicit(relay->setup.sessions, 1, memory_order_relaxed);
	log_write_limited(relay->setup.log, &relay->full_limit, LOG_LEVEL_WARNING,
			  "listener %s: all %" PRIu32 " sessions are taken (max_sessions); new clients are dropped",
			  relay->setup.config->name, relay->setup.config->max_sessions);
	return false;
}

static void tell_unopened(struct relay *relay, const struct target *target, int error)
{
	char text[ADDRESS_TEXT_MAX];

	log_write_limited(
		relay->setup.log, &relay->open_limit, LOG_LEVEL_WARNING,
		"listener %s: cannot begin a session with peer %s (%s): %s; its client's datagrams are dropped",
		relay->setup.config->name, target->peer->name, address_format(&target->address, text),
		error == EAGAIN ? "no local port is free" : strerror(error));
}

/* Counts towards the target's rest, and tells where that begins. */
static void charge(struct relay *relay, struct target *target, unsigned fails, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];

	if (target_failed(target, fails, now_ms))
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
	struct target *target = relay_target(relay, session)->target;
	int error = -open_socket(relay, session, &target->address);
	enum drop_reason reason;

	if (!error)
		return DROP_NONE;
	reason = socket_drop_reason(error);
	tell_unopened(relay, target, error);
	if (is_of_target(reason))
		charge(relay, target, 1, now_ms);
	return reason;
}

static void start(struct relay *relay, struct session *session, uint64_t now_ms)
{
	relay->targets.choices[session->target].sessions++;
	session_table_add(relay->table, &session->node, now_ms);
	counter_add(&relay->counters.started, 1);
	tell_start(relay, session);
}

static enum drop_reason begin(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
			      struct session **session)
{
	size_t target = target_set_choose(&relay->targets, client->client);
	enum drop_reason reason;

	if (target == TARGET_NONE)
		return relay->targets.leads_back ? DROP_LOOP : DROP_UNRESOLVED;
	if (!take_place(relay))
		return DROP_SESSION_LIMIT;
	*session = session_pool_take(&relay->pool);
	(*session)->node.client = *client->client;
	(*session)->node.local = *client->local;
	(*session)->relay = relay;
	(*session)->back = client->back;
	(*session)->names_source = client->names_source;
	(*session)->target = (uint32_t)target;
	reason = open_session(relay, *session, now_ms);
	if (!reason) {
		start(relay, *session, now_ms);
		return DROP_NONE;
	}
	session_pool_give(&relay->pool, *session);
	atomic_fetch_sub_explicit(relay->setup.sessions, 1, memory_order_relaxed);
	return reason;
}

/* --- A batch --- */

void relay_begin(struct relay *relay, uint64_t now_ms)
{
	if (target_set_refresh(&relay->targets, now_ms) && balancer_fails_open(relay->targets.balancer))
		log_write_limited(relay->setup.log, &relay->down_limit, LOG_LEVEL_WARNING,
				  "listener %s: all its peers are down: they are used all the same",
				  relay->setup.config->name);
}

enum drop_reason relay_find(struct relay *relay, const struct relay_client *client, uint64_t now_ms,
			    struct session **session)
{
	struct session_node *node = session_table_find(relay->table, client->client, client->local);

	if (node && target_set_keeps(&relay->targets, session_of(node)->target)) {
		session_table_touch(relay->table, node, now_ms);
		*session = session_of(node);
		return DROP_NONE;
	}
	/* Which targets are up is learnt before a batch only: none of its copies is with this session. */
	if (node)
		end(relay, session_of(node), "the peer is down");
	return begin(relay, client, now_ms, session);
}

void relay_sent(struct relay *relay, struct session *session, uint32_t datagrams)
{
	uint64_t awaited = session->awaited + (uint64_t)datagrams * relay->setup.config->responses;

	session->datagrams += datagrams;
	session->awaited = awaited < UINT32_MAX ? (uint32_t)awaited : UINT32_MAX;
}

void relay_touch(struct relay *relay, struct session *session, uint64_t now_ms)
{
	session_table_touch(relay->table, &session->node, now_ms);
	target_answered(relay_target(relay, session)->target);
}

void relay_refused(struct relay *relay, const struct session *session, uint64_t errors, uint64_t now_ms)
{
	charge(relay, relay_target(relay, session)->target, (unsigned)errors, now_ms);
}

static bool is_answered(const struct relay *relay, const struct session *session)
{
	uint32_t responses = relay->setup.config->responses;

	return responses && responses != RESPONSES_UNLIMITED && session->answers && !session->awaited;
}

void relay_settle(struct relay *relay, struct session *session)
{
	if (session->outlet.fd < 0)
		return; /* ended a moment ago */
	if (session->outlet.broken)
		end(relay, session, "its socket broke");
	else if (is_answered(relay, session))
		end(relay, session, "answered");
}

/* --- Between batches --- */

uint64_t relay_expire(struct relay *relay, uint64_t now_ms, unsigned limit)
{
	uint64_t idle_ms = relay->setup.config->idle_timeout_ms;
	struct session_node *node;

	while ((node = session_table_oldest(relay->table))) {
		uint64_t due_ms = node->used_ms + idle_ms;

		if (due_ms > now_ms || !limit--)
			return due_ms;
		end(relay, session_of(node), "idle");
	}
	return UINT64_MAX;
}

/* Each session to its target's place in the new set; those without one end while the old set is still there. */
static void move_sessions(struct relay *relay, struct target_set *to)
{
	struct session_node *newer;

	for (struct session_node *node = session_table_oldest(relay->table); node; node = newer) {
		struct session *session = session_of(node);
		size_t target = target_set_find(to, relay_target(relay, session)->target);

		newer = node->newer;
		if (target == TARGET_NONE) {
			end(relay, session, "the peer's address is gone");
			continue;
		}
		session->target = (uint32_t)target;
		to->choices[target].sessions++;
	}
}

void relay_set_peers(struct relay *relay, struct peers_snapshot *snapshot, uint64_t now_ms)
{
	struct target_set set;

	if (target_set_init(&set, relay->setup.config, relay->setup.own, relay->setup.news, snapshot)) {
		log_error(relay->setup.log, "listener %s: no memory for new addresses of its peers: the last ones stay",
			  relay->setup.config->name);
		peers_snapshot_put(snapshot);
		return;
	}
	move_sessions(relay, &set);
	target_set_finish(&relay->targets);
	relay->targets = set;
	relay_begin(relay, now_ms);
}

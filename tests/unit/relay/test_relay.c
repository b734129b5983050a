#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "relay/relay_private.h"
#include "tests/unit/relay/relay_fixture.h"

/* A reply arrives while this socket is closed. */
static int closing = -1, late_sender;
static struct address late_to;
static bool late_reply_waits;

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (fd == closing) {
		sendto(late_sender, "late", 4, 0, &late_to.any, late_to.length);
		late_reply_waits = socket_has_input(fd);
		closing = -1;
	}
	return __real_close(fd);
}

static int set_up(void **state)
{
	static struct relay_fixture fixture;

	relay_fixture_set_up(&fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct relay_fixture *f = *state;

	relay_fixture_tear_down(f);
	assert_int_equal(atomic_load(&f->quota.open), 0);
	assert_int_equal(alive(f), 0);
	return 0;
}

static const struct peer_config *peer_of(const struct session *session)
{
	return session->endpoint_ref->endpoint->peer;
}

/* Reports ICMP errors of the session's endpoint, for datagrams that were sent. */
static void report_icmp(struct relay_fixture *f, struct session *session, uint32_t errors, uint64_t now_ms)
{
	relay_count_sent(&f->relay, session, errors);
	session->tx.icmp_errors = errors;
	relay_finish_batch(&f->relay, session, now_ms);
	assert_int_equal(session->tx.icmp_errors, 0);
}

static void client_keeps_its_session(void **state)
{
	struct relay_fixture *f = *state;
	struct session *first, *other, *again;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 10, &first), DROP_NONE);
	assert_int_equal(find(f, 2, 11, &other), DROP_NONE);
	assert_int_equal(find(f, 1, 12, &again), DROP_NONE);
	assert_ptr_equal(first, again);
	assert_ptr_not_equal(first, other);
	assert_ptr_not_equal(peer_of(first), peer_of(other)); /* round robin */
	assert_int_equal(counter_get(&f->relay.counters.started), 2);
}

static void client_with_the_address_of_a_peer_is_a_loop(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	f->config.loop_guard = true;
	relay_fixture_begin(f);
	for (size_t i = 0; i < PEERS; i++)
		assert_int_equal(find(f, address_port(&f->peers[i].address), 10, &session), DROP_LOOP);
	assert_int_equal(counter_get(&f->relay.counters.started), 0);
	assert_int_equal(find(f, 1, 10, &session), DROP_NONE);
	f->config.loop_guard = false;
	assert_int_equal(find(f, address_port(&f->peers[0].address), 10, &session), DROP_NONE);
}

/* The address was free when the session began. */
static void client_becomes_a_loop_when_a_peer_gets_its_address(void **state)
{
	struct relay_fixture *f = *state;
	uint16_t port = address_port(&f->peers[1].address);
	struct session *session, *other, *again;

	f->config.loop_guard = true;
	relay_fixture_begin(f);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 1), 10);
	assert_int_equal(find(f, port, 10, &session), DROP_NONE);
	assert_int_equal(find(f, 1, 10, &other), DROP_NONE);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 20);
	assert_int_equal(find(f, port, 20, &again), DROP_LOOP);
	assert_int_equal(find(f, port, 20, &again), DROP_LOOP);
	assert_int_equal(alive(f), 2); /* it can continue later */
	assert_int_equal(find(f, 1, 20, &again), DROP_NONE);
	assert_ptr_equal(again, other);

	set_peers(f, snapshot_of(f, f->snapshot, 0, 1), 30); /* the peer has another address again */
	assert_int_equal(find(f, port, 30, &again), DROP_NONE);
	assert_ptr_equal(again, session);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 40);
	f->config.loop_guard = false;
	assert_int_equal(find(f, port, 40, &again), DROP_NONE);
	assert_ptr_equal(again, session);
}

static void another_local_address_has_another_session(void **state)
{
	struct relay_fixture *f = *state;
	struct address from = client_address(1), local;
	struct relay_client client = {
		.client = &from, .local = &local, .tx = &f->client_tx, .set_source_address = true};
	struct session *first, *second;

	relay_fixture_begin(f);
	address_from_ip(&local, "127.0.0.2", 7788);
	assert_int_equal(find(f, 1, 10, &first), DROP_NONE);
	assert_int_equal(relay_lookup_or_open(&f->relay, &client, 10, &second), DROP_NONE);
	assert_ptr_not_equal(first, second);
	assert_false(first->set_source_address);
	assert_true(second->set_source_address);
	assert_true(address_equal(&second->node.local, &local));
}

static void socket_is_connected_and_watched(void **state)
{
	struct relay_fixture *f = *state;
	struct epoll_event event;
	struct session *session;
	struct address from;
	char bytes[8];

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 10, &session), DROP_NONE);
	assert_int_equal(send(session->tx.fd, "hello", 5, 0), 5);
	from.length = sizeof(from.v6);
	size_t peer = peer_of(session)->index;
	assert_int_equal(recvfrom(f->sinks[peer], bytes, sizeof(bytes), 0, &from.any, &from.length), 5);
	assert_int_equal(epoll_wait(f->epoll, &event, 1, 0), 0);
	assert_int_equal(sendto(f->sinks[peer], "answer", 6, 0, &from.any, from.length), 6);
	assert_int_equal(epoll_wait(f->epoll, &event, 1, 1000), 1);
	assert_ptr_equal(event.data.ptr, session);
}

static void idle_sessions_end_in_order_of_use(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(relay_expire(&f->relay, 0, 9), UINT64_MAX);
	for (uint16_t port = 1; port <= 4; port++)
		assert_int_equal(find(f, port, port * 10u, &session), DROP_NONE);
	assert_int_equal(find(f, 1, 50, &session), DROP_NONE); /* used again */
	assert_int_equal(relay_expire(&f->relay, 1019, 9), 1020);
	assert_int_equal(alive(f), 4);
	assert_int_equal(relay_expire(&f->relay, 1030, 1), 1030); /* at most one */
	assert_int_equal(alive(f), 3);
	assert_int_equal(relay_expire(&f->relay, 1040, 9), 1050);
	assert_int_equal(alive(f), 1);
	relay_count_reply(&f->relay, session, 1049);
	assert_int_equal(relay_expire(&f->relay, 1050, 9), 2049);
	assert_int_equal(relay_expire(&f->relay, 2049, 9), UINT64_MAX);
	assert_int_equal(alive(f), 0);
}

static void max_sessions_limits_open_sessions(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	for (uint16_t port = 1; port <= 4; port++)
		assert_int_equal(find(f, port, 1, &session), DROP_NONE);
	assert_int_equal(find(f, 5, 1, &session), DROP_SESSION_LIMIT);
	assert_int_equal(find(f, 4, 1, &session), DROP_NONE);
	relay_expire(&f->relay, 2000, 9);
	assert_int_equal(find(f, 5, 2000, &session), DROP_NONE);
}

static void max_sessions_counts_all_workers(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	atomic_store(&f->quota.open, 3);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	assert_int_equal(find(f, 2, 1, &session), DROP_SESSION_LIMIT);
	atomic_fetch_sub(&f->quota.open, 3);
	assert_int_equal(find(f, 2, 1, &session), DROP_NONE);
}

/* Sessions of the ports from first to last. */
static void open_sessions(struct relay_fixture *f, uint16_t first, uint16_t last, uint64_t now_ms)
{
	struct session *session;

	for (uint16_t port = first; port <= last; port++) {
		relay_refresh_endpoints(&f->relay, now_ms); /* a batch for each */
		assert_int_equal(find(f, port, now_ms, &session), DROP_NONE);
		relay_count_sent(&f->relay, session, 1);
	}
}

static struct session *existing(struct relay_fixture *f, uint16_t port)
{
	struct address client = client_address(port);
	struct session_node *node = session_table_find(f->relay.table, &client, &f->local);

	return node ? session_of(node) : NULL;
}

/* The client writes again; the peer replies before, or not. */
static void go_on(struct relay_fixture *f, uint16_t port, bool replies, uint64_t now_ms)
{
	struct session *session = existing(f, port);

	session->replies += replies;
	open_sessions(f, port, port, now_ms);
	assert_ptr_equal(existing(f, port), session);
	if (replies)
		relay_count_reply(&f->relay, session, now_ms);
}

static void new_client_replaces_the_oldest_without_a_conversation(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	open_sessions(f, 1, 4, 10);
	go_on(f, 1, true, 11);
	go_on(f, 2, false, 12);
	open_sessions(f, 5, 5, 13); /* instead of 3 */
	assert_null(existing(f, 3));
	open_sessions(f, 6, 6, 14); /* instead of 4 */
	assert_null(existing(f, 4));
	go_on(f, 5, true, 15);
	go_on(f, 6, true, 16);
	open_sessions(f, 7, 7, 17); /* instead of 2, which has no reply */
	assert_null(existing(f, 2));
	go_on(f, 7, true, 18);
	relay_refresh_endpoints(&f->relay, 19);
	assert_int_equal(find(f, 8, 19, &session), DROP_SESSION_LIMIT); /* 1, 5, 6 and 7 converse */
	assert_int_equal(counter_get(&f->relay.counters.ended_by[SESSION_END_REPLACED]), 3);
	assert_int_equal(counter_get(&f->relay.counters.refused[DROP_SESSION_LIMIT]), 1);
	assert_int_equal(atomic_load(&f->quota.open), 4);
	for (uint16_t port = 5; port <= 7; port++)
		assert_non_null(existing(f, port));
}

/* A reply alone does not make a conversation: a peer replies to forged datagrams, too. */
static void reply_to_one_datagram_does_not_protect_the_session(void **state)
{
	struct relay_fixture *f = *state;

	relay_fixture_begin(f);
	open_sessions(f, 1, 4, 10);
	existing(f, 1)->replies = 1;
	relay_count_reply(&f->relay, existing(f, 1), 11);
	open_sessions(f, 5, 8, 12);
	for (uint16_t port = 1; port <= 4; port++)
		assert_null(existing(f, port));
}

/* Finds or opens the session of a client with another IP address. */
static enum drop_reason find_other(struct relay_fixture *f, const char *host, uint16_t port, uint64_t now_ms)
{
	struct address from;
	struct relay_client client = {.client = &from, .local = &f->local, .tx = &f->client_tx};
	struct session *session;

	address_from_ip(&from, host, port);
	relay_refresh_endpoints(&f->relay, now_ms);
	return relay_lookup_or_open(&f->relay, &client, now_ms, &session);
}

static void begin_with_source_sessions(struct relay_fixture *f, unsigned max_sessions, unsigned source_sessions)
{
	f->config.max_sessions = max_sessions;
	f->config.source_sessions = source_sessions;
	relay_fixture_begin(f);
	assert_int_equal(session_quota_init(&f->quota, max_sessions, source_sessions, max_sessions), 0);
}

static void end_with_source_sessions(struct relay_fixture *f)
{
	relay_finish(&f->relay);
	session_quota_finish(&f->quota);
}

static void source_gets_source_sessions(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	begin_with_source_sessions(f, 4, 2);
	open_sessions(f, 1, 2, 10);
	go_on(f, 1, true, 10);
	go_on(f, 2, true, 10);
	relay_refresh_endpoints(&f->relay, 11);
	assert_int_equal(find(f, 3, 11, &session), DROP_SOURCE_SESSIONS);
	assert_int_equal(find(f, 2, 11, &session), DROP_NONE);
	assert_int_equal(counter_get(&f->relay.counters.refused[DROP_SOURCE_SESSIONS]), 1);
	assert_int_equal(find_other(f, "127.0.0.2", 1, 11), DROP_NONE);
	relay_expire(&f->relay, 1010, 1);
	assert_int_equal(find(f, 3, 1010, &session), DROP_NONE);
	end_with_source_sessions(f);
}

/* Sessions with one datagram may be forged in the name of the source. Those of other sources stay. */
static void new_client_replaces_a_session_of_its_source(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	begin_with_source_sessions(f, 8, 3);
	assert_int_equal(find_other(f, "127.0.0.2", 1, 9), DROP_NONE);
	open_sessions(f, 1, 3, 10);
	go_on(f, 1, true, 11);
	go_on(f, 2, false, 12);
	open_sessions(f, 4, 4, 13); /* instead of 3, with one datagram */
	assert_null(existing(f, 3));
	go_on(f, 4, true, 14);
	open_sessions(f, 5, 5, 15); /* instead of 2, without a reply */
	assert_null(existing(f, 2));
	go_on(f, 5, true, 16);
	relay_refresh_endpoints(&f->relay, 17);
	assert_int_equal(find(f, 6, 17, &session), DROP_SOURCE_SESSIONS); /* 1, 4 and 5 converse */
	assert_int_equal(counter_get(&f->relay.counters.ended_by[SESSION_END_REPLACED]), 2);
	assert_int_equal(atomic_load(&f->quota.open), 4);
	assert_int_equal(find_other(f, "127.0.0.2", 1, 18), DROP_NONE);
	assert_int_equal(counter_get(&f->relay.counters.started), 6);
	end_with_source_sessions(f);
}

static void session_of_the_current_batch_is_not_replaced_by_its_source(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	begin_with_source_sessions(f, 8, 1);
	relay_refresh_endpoints(&f->relay, 10);
	assert_int_equal(find(f, 1, 10, &session), DROP_NONE);
	assert_int_equal(find(f, 2, 10, &session), DROP_SOURCE_SESSIONS);
	relay_refresh_endpoints(&f->relay, 11);
	assert_int_equal(find(f, 2, 11, &session), DROP_NONE);
	end_with_source_sessions(f);
}

/* The cost of a refusal is bounded. */
static void search_for_a_session_of_the_source_is_short(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	begin_with_source_sessions(f, 200, 1);
	for (uint16_t i = 0; i < 64; i++) {
		char host[32];

		snprintf(host, sizeof(host), "127.0.1.%u", i);
		assert_int_equal(find_other(f, host, 1, 9), DROP_NONE);
	}
	open_sessions(f, 1, 1, 10);
	relay_refresh_endpoints(&f->relay, 11);
	assert_int_equal(find(f, 2, 11, &session), DROP_SOURCE_SESSIONS);
	relay_expire(&f->relay, 1009, 1);
	assert_int_equal(find(f, 2, 1009, &session), DROP_NONE);
	end_with_source_sessions(f);
}

static void session_ends_after_its_last_expected_reply(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	f->config.responses = 2;
	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	relay_count_sent(&f->relay, session, 3);
	assert_int_equal(session->replies_due, 6);
	relay_finish_batch(&f->relay, session, 1);
	session->replies_due = 1;
	session->replies = 5;
	relay_finish_batch(&f->relay, session, 1);
	assert_int_equal(alive(f), 1);
	session->replies_due = 0;
	relay_finish_batch(&f->relay, session, 1);
	assert_int_equal(alive(f), 0);
	relay_finish_batch(&f->relay, session, 1); /* a session may be in a batch twice */
	assert_int_equal(counter_get(&f->relay.counters.ended), 1);
}

static void expected_replies_do_not_overflow(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	f->config.responses = UINT32_MAX - 1;
	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	relay_count_sent(&f->relay, session, 2);
	assert_int_equal(session->replies_due, UINT32_MAX);
	relay_count_sent(&f->relay, session, 50);
	assert_int_equal(session->replies_due, UINT32_MAX);
}

/* Returns the port of the session at the peer. */
static uint16_t port_of(const struct session *session)
{
	struct address local = {.length = sizeof(local.v6)};

	assert_int_equal(getsockname(session->tx.fd, &local.any, &local.length), 0);
	return address_port(&local);
}

/* Gives the session a socket with another local address, as if the host had only this address earlier. */
static void move_socket(struct relay_fixture *f, const struct session *session)
{
	const struct address *to = &f->peers[peer_of(session)->index].address;
	struct address from;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	address_from_ip(&from, "127.0.0.2", 0);
	assert_int_equal(bind(fd, &from.any, from.length), 0);
	assert_int_equal(connect(fd, &to->any, to->length), 0);
	assert_int_equal(dup2(fd, session->tx.fd), session->tx.fd);
	close(fd);
}

/* A new one would have the same address, so the errors are forged or there is no route. */
static void broken_socket_with_the_same_address_keeps_its_port(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;
	uint16_t port;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	port = port_of(session);
	for (uint64_t now_ms = 1000; now_ms < 9000; now_ms += 1000) {
		session->tx.broken = true;
		relay_finish_batch(&f->relay, session, now_ms);
		assert_false(session->tx.broken);
		assert_int_equal(port_of(session), port);
	}
}

static void broken_socket_is_opened_again(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session, *again;
	uint16_t port;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	move_socket(f, session);
	port = port_of(session);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1000);
	assert_false(session->tx.broken);
	assert_int_not_equal(port_of(session), port);
	assert_int_equal(send(session->tx.fd, "hello", 5, 0), 5);
	assert_int_equal(alive(f), 1);
	assert_int_equal(find(f, 1, 1000, &again), DROP_NONE);
	assert_ptr_equal(again, session);

	move_socket(f, session);
	port = port_of(session); /* not again at once */
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1099);
	assert_false(session->tx.broken);
	assert_int_equal(port_of(session), port);
}

static void broken_socket_stays_if_none_can_be_opened(void **state)
{
	struct relay_fixture *f = *state;
	struct rlimit before, none = {0};
	struct session *session;
	uint16_t port;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	port = port_of(session);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1000);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_false(session->tx.broken);
	assert_int_equal(port_of(session), port);
	assert_int_equal(alive(f), 1);
}

/* An interface can get the address of the peer, and lose it. */
static void endpoint_at_our_own_address_is_a_loop(void **state)
{
	struct relay_fixture *f = *state;
	struct own_addresses *own;
	struct session *session, *again;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	assert_int_equal(own_addresses_create(&own, &peer_of(session)->address, 1), 0);
	f->relay.setup.own = f->relay.endpoints.own = own;
	f->relay.endpoints.version++; /* as after a reload */
	relay_refresh_endpoints(&f->relay, 2);
	assert_int_equal(find(f, 1, 2, &again), DROP_LOOP);
	assert_int_equal(alive(f), 1);
	f->relay.setup.own = f->relay.endpoints.own = NULL;
	f->relay.endpoints.version++;
	relay_refresh_endpoints(&f->relay, 3);
	assert_int_equal(find(f, 1, 3, &again), DROP_NONE);
	assert_ptr_equal(again, session);
	own_addresses_destroy(own);
}

/* Opens sessions for the ports 1 to 4, with the peers a, b, a, b. */
static void open_four(struct relay_fixture *f, struct session *sessions[4])
{
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(f, (uint16_t)(i + 1), 1, &sessions[i]), DROP_NONE);
		assert_int_equal(peer_of(sessions[i])->index, i % 2);
	}
}

static void sessions_leave_a_peer_that_is_down(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	open_four(f, sessions);
	report_icmp(f, sessions[0], 1, 100);
	report_icmp(f, sessions[2], 1, 1100);
	relay_refresh_endpoints(&f->relay, 1100);
	assert_int_equal(find(f, 1, 1100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[0]);

	report_icmp(f, sessions[0], 1, 1100);
	relay_refresh_endpoints(&f->relay, 1100);
	assert_int_equal(find(f, 2, 1100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[1]); /* its peer is up */
	assert_int_equal(find(f, 1, 1100, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);

	relay_refresh_endpoints(&f->relay, 11100); /* the rest is over: a session that has moved stays */
	assert_int_equal(find(f, 1, 11100, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
	assert_int_equal(find(f, 3, 11100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[2]);
}

/* Such an error is forged: the session has sent no datagram that it could belong to. */
static void error_without_a_datagram_does_not_count(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];
	const struct endpoint *endpoint;

	relay_fixture_begin(f);
	open_four(f, sessions);
	endpoint = sessions[0]->endpoint_ref->endpoint;
	for (unsigned i = 0; i < 100; i++) {
		sessions[0]->tx.icmp_errors = 3;
		relay_finish_batch(&f->relay, sessions[0], 5000 * i);
	}
	assert_int_equal(atomic_load(&endpoint->fails), 0);
	assert_int_equal(counter_get(&f->peer_sockets[0].counters.icmp_errors), 300);

	relay_count_sent(&f->relay, sessions[0], 1);
	relay_count_reply(&f->relay, sessions[0], 1000000);
	sessions[0]->tx.icmp_errors = 1;
	relay_finish_batch(&f->relay, sessions[0], 1002000);
	assert_int_equal(atomic_load(&endpoint->fails), 0);

	relay_count_sent(&f->relay, sessions[0], 1);
	sessions[0]->tx.icmp_errors = 1;
	relay_finish_batch(&f->relay, sessions[0], 1003000);
	sessions[0]->tx.icmp_errors = 1;
	relay_finish_batch(&f->relay, sessions[0], 1009000);
	assert_int_equal(atomic_load(&endpoint->fails), 1);
}

/* Its session had no reply itself. */
static void sessions_stay_with_a_peer_that_replies_to_others(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	open_four(f, sessions);
	for (uint64_t now_ms = 1000; now_ms < 20000; now_ms += 500) {
		relay_count_reply(&f->relay, sessions[2], now_ms);
		report_icmp(f, sessions[0], 10, now_ms);
		relay_refresh_endpoints(&f->relay, now_ms);
		assert_int_equal(find(f, 1, now_ms, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[0]);
	}
}

/* It was slow, and errors came before it. */
static void reply_brings_sessions_back(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	f->peers[0].max_fails = 1;
	relay_fixture_begin(f);
	open_four(f, sessions);
	report_icmp(f, sessions[0], 1, 100);
	relay_refresh_endpoints(&f->relay, 100);
	assert_false(endpoint_is_up(sessions[0]->endpoint_ref->endpoint, 100));
	relay_count_reply(&f->relay, sessions[0], 200);
	relay_refresh_endpoints(&f->relay, 5000);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(f, (uint16_t)(i + 1), 5000, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[i]);
	}
}

static void sessions_stay_if_all_peers_are_down(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	open_four(f, sessions);
	for (int i = 0; i < 2; i++) {
		report_icmp(f, sessions[i], 1, 100);
		report_icmp(f, sessions[i], 3, 1100);
		assert_false(endpoint_is_up(sessions[i]->endpoint_ref->endpoint, 1100));
	}
	relay_refresh_endpoints(&f->relay, 1100);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(f, (uint16_t)(i + 1), 1100, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[i]);
	}
	assert_int_equal(counter_get(&f->relay.counters.ended), 0);
}

static void sessions_of_a_removed_address_stay_while_it_replies(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	open_four(f, sessions);
	set_peers(f, snapshot_of(f, f->snapshot, 1, 2), 100);
	relay_count_sent(&f->relay, sessions[0], 1);
	assert_int_equal(alive(f), 4);
	for (uint64_t now_ms = 1000; now_ms < 30000; now_ms += 5000) {
		relay_count_reply(&f->relay, sessions[2], now_ms); /* to another client of the same endpoint */
		assert_int_equal(find(f, 1, now_ms + 1, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[0]);
	}
	assert_int_equal(find(f, 1, 35999, &session), DROP_NONE); /* the last reply came at 26000 */
	assert_ptr_equal(session, sessions[0]);
	assert_int_equal(find(f, 3, 36000, &session), DROP_NONE); /* the endpoint got no datagram to reply to */
	assert_ptr_equal(session, sessions[2]);
	assert_int_equal(find(f, 1, 36000, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
	assert_int_equal(counter_get(&f->relay.counters.ended_by[SESSION_END_PEER_FAILED]), 1);

	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 36000);
	assert_int_equal(find(f, 2, 36000, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[1]);
	assert_int_equal(find(f, 4, 36000, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[3]);
}

/* The client sends to the removed address for a long time, and no reply comes. */
static void ask_in_vain(struct relay_fixture *f, struct session *session, uint64_t begin_ms)
{
	for (uint64_t now_ms = begin_ms; now_ms < begin_ms + 40000; now_ms += 1000) {
		struct session *again;

		assert_int_equal(find(f, 1, now_ms, &again), DROP_NONE);
		assert_ptr_equal(again, session);
		relay_count_sent(&f->relay, session, 1);
	}
}

/* Nothing has failed. */
static void sessions_without_replies_stay_with_a_removed_address(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];

	relay_fixture_begin(f);
	open_four(f, sessions);
	endpoint_report_check_reply(sessions[0]->endpoint_ref->endpoint, 50);
	set_peers(f, snapshot_of(f, f->snapshot, 1, 2), 100);
	ask_in_vain(f, sessions[0], 1000);
	f->config.responses = 0;
	relay_count_reply(&f->relay, sessions[0], 50000); /* of no significance */
	ask_in_vain(f, sessions[0], 60000);
}

/* The silence counts only while the name does not have the address. */
static void sessions_stay_with_an_address_that_returns(void **state)
{
	struct relay_fixture *f = *state;
	struct endpoints_snapshot *both;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	both = endpoints_snapshot_get(f->snapshot);
	open_four(f, sessions);
	relay_count_reply(&f->relay, sessions[0], 10);
	for (uint64_t now_ms = 1000; now_ms < 60000; now_ms += 6000) {
		set_peers(f, snapshot_of(f, both, 1, 2), now_ms);
		for (unsigned i = 0; i < 6; i++) {
			if (i == 3)
				set_peers(f, endpoints_snapshot_get(both), now_ms + 3000);
			assert_int_equal(find(f, 1, now_ms + 1000 * i, &session), DROP_NONE);
			assert_ptr_equal(session, sessions[0]);
			relay_count_sent(&f->relay, session, 1);
		}
	}
	endpoints_snapshot_put(both);
}

static void sessions_stay_if_there_is_no_other_address(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	open_four(f, sessions);
	relay_count_sent(&f->relay, sessions[0], 1);
	report_icmp(f, sessions[1], 1, 100);
	report_icmp(f, sessions[1], 5, 1100);
	set_peers(f, snapshot_of(f, NULL, 0, 0), 1100);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(f, (uint16_t)(i + 1), 5000, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[i]);
	}
	set_peers(f, snapshot_of(f, NULL, 0, 1), 5000); /* another endpoint at the address of the first */
	assert_int_equal(find(f, 1, 5000, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[0]);
	assert_int_equal(find(f, 2, 5000, &session), DROP_NONE); /* its endpoint has failed */
	assert_ptr_not_equal(session->endpoint_ref, sessions[3]->endpoint_ref);
	assert_int_equal(peer_of(session)->index, 0);
}

static void same_addresses_keep_the_balancer(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];
	const struct balancer *before;

	relay_fixture_begin(f);
	open_four(f, sessions);
	before = f->relay.endpoints.balancer;
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 100);
	assert_ptr_equal(f->relay.endpoints.balancer, before);
}

static void least_sessions_counts_after_ends_and_updates(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	f->config.balance = BALANCE_LEAST_SESSIONS;
	relay_fixture_begin(f);
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(find(f, (uint16_t)(i + 1), 1, &sessions[i]), DROP_NONE);
	size_t two = peer_of(sessions[0])->index, one = 1 - two; /* the peers with two sessions and with one */

	set_peers(f, snapshot_of(f, f->snapshot, one, one + 1), 2);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 3); /* the other peer returns as a new endpoint */
	assert_int_equal(find(f, 4, 4, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, two);
	relay_end_session(&f->relay, session, SESSION_END_IDLE);
	assert_int_equal(find(f, 5, 6, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, two);
}

static void clients_are_dropped_without_any_address(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	set_peers(f, snapshot_of(f, NULL, 0, 0), 1);
	assert_int_equal(find(f, 1, 1, &session), DROP_UNRESOLVED);
}

static void own_listener_is_no_peer(void **state)
{
	struct relay_fixture *f = *state;
	struct own_addresses *own;
	struct session *session;

	assert_int_equal(own_addresses_create(&own, &f->peers[0].address, 1), 0);
	relay_fixture_begin(f);
	f->relay.endpoints.own = own;
	set_peers(f, snapshot_of(f, NULL, 0, 2), 1);
	for (uint16_t port = 1; port <= 3; port++) {
		assert_int_equal(find(f, port, 1, &session), DROP_NONE);
		assert_int_equal(peer_of(session)->index, 1);
	}
	set_peers(f, snapshot_of(f, NULL, 0, 1), 1);
	assert_int_equal(find(f, 9, 1, &session), DROP_LOOP);
	own_addresses_destroy(own);
}

/* The peer sends replies to the session's socket. */
static void send_replies(struct relay_fixture *f, const struct session *session, unsigned times)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(session->tx.fd, &to.any, &to.length), 0);
	while (times--)
		assert_int_equal(sendto(f->sinks[peer_of(session)->index], "abc", 3, 0, &to.any, to.length), 3);
}

static void prepare_late_reply(const struct relay_fixture *f, const struct session *session)
{
	closing = session->tx.fd;
	late_sender = f->sinks[peer_of(session)->index];
	late_to.length = sizeof(late_to.v6);
	assert_int_equal(getsockname(closing, &late_to.any, &late_to.length), 0);
}

static void waiting_reply_keeps_an_idle_session(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	send_replies(f, session, 1);
	assert_int_equal(relay_expire(&f->relay, 5000, 9), 6000); /* the reply was not read for a long time */
	assert_int_equal(alive(f), 1);
}

static void unread_replies_are_counted(void **state)
{
	struct relay_fixture *f = *state;
	const struct relay_counters *c = &f->relay.counters;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	move_socket(f, session);
	send_replies(f, session, 5);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1);
	assert_int_equal(counter_get(&c->replies), 5);
	assert_int_equal(counter_get(&c->reply_bytes), 15);
	assert_int_equal(counter_get(&c->dropped[DROP_SESSION_ENDED]), 5);
	assert_int_equal(counter_get(&f->peer_sockets[0].counters.replies), 5);
}

static void reply_during_the_close_is_not_counted(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	send_replies(f, session, 5);
	prepare_late_reply(f, session);
	relay_finish(&f->relay);
	assert_int_equal(closing, -1);
	assert_false(late_reply_waits);
	assert_int_equal(counter_get(&f->relay.counters.replies), 5);
}

/* Returns the requested size: the kernel doubles it (socket(7)). */
static int receive_buffer_of(const struct session *session)
{
	int bytes;
	socklen_t size = sizeof(bytes);

	assert_int_equal(getsockopt(session->tx.fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size), 0);
	return bytes / 2;
}

static void receive_buffer_is_that_of_the_listener_up_to_a_limit(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	assert_int_equal(receive_buffer_of(session), f->config.receive_buffer);
	f->config.receive_buffer = 4 << 20;
	assert_int_equal(find(f, 2, 1, &session), DROP_NONE);
	assert_in_range(receive_buffer_of(session), 64 << 10, 512 << 10); /* the kernel may grant less */
}

static void kernel_drops_are_counted(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	f->config.receive_buffer = 4096;
	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	send_replies(f, session, 100);
	relay_finish(&f->relay);
	assert_true(counter_get(&f->relay.counters.kernel_dropped) > 0);
	assert_int_equal(counter_get(&f->relay.counters.kernel_dropped) + counter_get(&f->relay.counters.replies), 100);
}

static void lack_of_descriptors_leaves_the_peers_up(void **state)
{
	struct relay_fixture *f = *state;
	struct rlimit before, none = {0};
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(find(f, 1, 1, &session), DROP_NO_DESCRIPTOR);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(
		endpoint_is_up(f->snapshot->peers[0].items[0], 1)); /* a local error does not count against a peer */
	assert_true(endpoint_is_up(f->snapshot->peers[1].items[0], 1));
	for (uint16_t port = 1; port <= 4; port++)
		assert_int_equal(find(f, port, 1, &session), DROP_NONE);
}

static void sessions_of_a_peer_share_its_wait_budget(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];

	relay_fixture_begin(f);
	open_four(f, sessions);
	assert_ptr_equal(sessions[0]->tx.shared_wait_budget, sessions[2]->tx.shared_wait_budget);
	assert_ptr_not_equal(sessions[0]->tx.shared_wait_budget, sessions[1]->tx.shared_wait_budget);
}

static void unreachable_peer_counts_as_failing(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	assert_int_equal(address_parse(&f->peers[0].address, "unix:/nobody/here"), 0);
	f->config.balance = BALANCE_FAILOVER;
	relay_fixture_begin(f);
	for (uint64_t now_ms = 1; now_ms < 3000; now_ms += 1000)
		assert_int_equal(find(f, 1, now_ms, &session), DROP_REFUSED);
	relay_refresh_endpoints(&f->relay, 2001);
	assert_int_equal(find(f, 1, 2001, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void recent_session_without_its_reply_is_reported(void **state)
{
	struct relay_fixture *f = *state;
	struct session *first, *second;

	f->config.responses = 1;
	relay_fixture_begin(f);
	assert_false(relay_expects_replies(&f->relay, 0));
	assert_int_equal(find(f, 1, 10, &first), DROP_NONE);
	assert_int_equal(find(f, 2, 20, &second), DROP_NONE);
	assert_false(relay_expects_replies(&f->relay, 0));
	relay_count_sent(&f->relay, first, 2);
	assert_true(relay_expects_replies(&f->relay, 10));
	assert_false(relay_expects_replies(&f->relay, 11)); /* the last datagram is too old */
	first->replies = 1;
	assert_true(relay_expects_replies(&f->relay, 10));
	first->replies = 2;
	assert_false(relay_expects_replies(&f->relay, 10));
	first->replies = 0;
	first->replies_due = 0; /* as with responses = 0 */
	assert_false(relay_expects_replies(&f->relay, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(client_keeps_its_session),
		test(client_with_the_address_of_a_peer_is_a_loop),
		test(client_becomes_a_loop_when_a_peer_gets_its_address),
		test(another_local_address_has_another_session),
		test(socket_is_connected_and_watched),
		test(idle_sessions_end_in_order_of_use),
		test(max_sessions_limits_open_sessions),
		test(max_sessions_counts_all_workers),
		test(new_client_replaces_the_oldest_without_a_conversation),
		test(reply_to_one_datagram_does_not_protect_the_session),
		test(source_gets_source_sessions),
		test(new_client_replaces_a_session_of_its_source),
		test(session_of_the_current_batch_is_not_replaced_by_its_source),
		test(search_for_a_session_of_the_source_is_short),
		test(session_ends_after_its_last_expected_reply),
		test(expected_replies_do_not_overflow),
		test(broken_socket_with_the_same_address_keeps_its_port),
		test(broken_socket_is_opened_again),
		test(broken_socket_stays_if_none_can_be_opened),
		test(endpoint_at_our_own_address_is_a_loop),
		test(sessions_leave_a_peer_that_is_down),
		test(error_without_a_datagram_does_not_count),
		test(sessions_stay_with_a_peer_that_replies_to_others),
		test(reply_brings_sessions_back),
		test(sessions_stay_if_all_peers_are_down),
		test(sessions_of_a_removed_address_stay_while_it_replies),
		test(sessions_without_replies_stay_with_a_removed_address),
		test(sessions_stay_with_an_address_that_returns),
		test(sessions_stay_if_there_is_no_other_address),
		test(same_addresses_keep_the_balancer),
		test(least_sessions_counts_after_ends_and_updates),
		test(clients_are_dropped_without_any_address),
		test(own_listener_is_no_peer),
		test(waiting_reply_keeps_an_idle_session),
		test(unread_replies_are_counted),
		test(reply_during_the_close_is_not_counted),
		test(receive_buffer_is_that_of_the_listener_up_to_a_limit),
		test(kernel_drops_are_counted),
		test(lack_of_descriptors_leaves_the_peers_up),
		test(sessions_of_a_peer_share_its_wait_budget),
		test(unreachable_peer_counts_as_failing),
		test(recent_session_without_its_reply_is_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

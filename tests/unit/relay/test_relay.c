#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/resource.h>

#include "tests/unit/relay/relay_fixture.h"

/* The peer answers in the last moment: when this socket is closed. */
static int closing = -1, late_sender;
static struct address late_to;
static bool late_answer_waits;

int __real_close(int fd);
int __wrap_close(int fd);

int __wrap_close(int fd)
{
	if (fd == closing) {
		sendto(late_sender, "late", 4, 0, &late_to.any, late_to.length);
		late_answer_waits = socket_has_input(fd);
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

/* ICMP says so of the session's peer. */
static void refused(struct relay_fixture *f, struct session *session, uint64_t errors, uint64_t now_ms)
{
	session->tx.icmp_errors = errors;
	relay_finish_batch(&f->relay, session, now_ms);
	assert_int_equal(session->tx.icmp_errors, 0);
}

static void a_client_keeps_its_session(void **state)
{
	struct relay_fixture *f = *state;
	struct session *first, *other, *again;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 10, &first), DROP_NONE);
	assert_int_equal(find(f, 2, 11, &other), DROP_NONE);
	assert_int_equal(find(f, 1, 12, &again), DROP_NONE);
	assert_ptr_equal(first, again);
	assert_ptr_not_equal(first, other);
	assert_ptr_not_equal(peer_of(first), peer_of(other)); /* by turns */
	assert_int_equal(counter_get(&f->relay.counters.started), 2);
}

static void a_client_at_the_address_of_a_peer_is_a_loop(void **state)
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

/* Where it was not when the session began. */
static void a_client_whose_address_becomes_a_peers_is_a_loop(void **state)
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
	assert_int_equal(find(f, port, 20, &session), DROP_LOOP);
	assert_int_equal(find(f, port, 20, &session), DROP_LOOP);
	assert_int_equal(alive(f), 1);
	assert_int_equal(find(f, 1, 20, &again), DROP_NONE);
	assert_ptr_equal(again, other);

	set_peers(f, snapshot_of(f, f->snapshot, 0, 1), 30); /* it has moved on */
	assert_int_equal(find(f, port, 30, &session), DROP_NONE);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 40);
	f->config.loop_guard = false;
	assert_int_equal(find(f, port, 40, &again), DROP_NONE);
	assert_ptr_equal(again, session);
}

static void another_local_address_is_another_session(void **state)
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

static void the_socket_is_connected_and_watched(void **state)
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

static void idle_sessions_expire_in_order(void **state)
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
	assert_int_equal(relay_expire(&f->relay, 1030, 1), 1030); /* one at a time, as was asked for */
	assert_int_equal(alive(f), 3);
	assert_int_equal(relay_expire(&f->relay, 1040, 9), 1050);
	assert_int_equal(alive(f), 1);
	relay_count_reply(&f->relay, session, 1049);
	assert_int_equal(relay_expire(&f->relay, 1050, 9), 2049);
	assert_int_equal(relay_expire(&f->relay, 2049, 9), UINT64_MAX);
	assert_int_equal(alive(f), 0);
}

static void at_the_cap_there_is_no_room(void **state)
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

static void the_cap_is_for_all_workers_together(void **state)
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

static void answers_that_are_expected_end_it(void **state)
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
	relay_finish_batch(&f->relay, session, 1); /* it was in the batch twice */
	assert_int_equal(counter_get(&f->relay.counters.ended), 1);
}

static void a_bound_does_not_run_over(void **state)
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

static void a_broken_socket_ends_it(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session, *fresh;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1);
	assert_int_equal(alive(f), 0);
	assert_int_equal(find(f, 1, 1, &fresh), DROP_NONE);
	assert_false(fresh->tx.broken);
}

/* The sessions of ports 1 to 4 are with peers a, b, a, b. */
static void take_turns(struct relay_fixture *f, struct session *sessions[4])
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
	take_turns(f, sessions);
	refused(f, sessions[0], 2, 100);
	relay_refresh_endpoints(&f->relay, 100);
	assert_int_equal(find(f, 1, 100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[0]);

	refused(f, sessions[0], 1, 100);
	relay_refresh_endpoints(&f->relay, 100);
	assert_int_equal(find(f, 2, 100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[1]); /* its peer is up */
	assert_int_equal(find(f, 1, 100, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);

	relay_refresh_endpoints(&f->relay, 10100); /* the rest is over: who has moved stays where he is */
	assert_int_equal(find(f, 1, 10100, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
	assert_int_equal(find(f, 3, 10100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[2]);
}

static void where_all_are_down_sessions_stay(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	take_turns(f, sessions);
	refused(f, sessions[0], 3, 100);
	refused(f, sessions[1], 3, 100);
	relay_refresh_endpoints(&f->relay, 100);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(f, (uint16_t)(i + 1), 100, &session), DROP_NONE);
		assert_ptr_equal(session, sessions[i]);
	}
	assert_int_equal(counter_get(&f->relay.counters.ended), 0);
}

static void sessions_of_a_vanished_address_move_when_their_client_writes(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	relay_fixture_begin(f);
	take_turns(f, sessions);
	set_peers(f, snapshot_of(f, f->snapshot, 1, 2), 100);
	assert_int_equal(alive(f), 4);
	assert_int_equal(find(f, 2, 100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[1]);
	assert_int_equal(peer_of(sessions[2])->index, 0); /* an answer may still come */
	relay_count_reply(&f->relay, sessions[2], 100);
	assert_int_equal(find(f, 1, 100, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
	assert_int_equal(counter_get(&f->relay.counters.ended), 1);

	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 100);
	assert_int_equal(find(f, 2, 100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[1]);
	assert_int_equal(find(f, 4, 100, &session), DROP_NONE);
	assert_ptr_equal(session, sessions[3]);
}

static void the_same_addresses_change_nothing(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];
	const struct balancer *before;

	relay_fixture_begin(f);
	take_turns(f, sessions);
	before = f->relay.endpoints.balancer;
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 100);
	assert_ptr_equal(f->relay.endpoints.balancer, before);
}

static void the_fewest_sessions_are_known_after_ends_and_changes(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4], *session;

	f->config.balance = BALANCE_LEAST_SESSIONS;
	relay_fixture_begin(f);
	for (uint16_t i = 0; i < 3; i++)
		assert_int_equal(find(f, (uint16_t)(i + 1), 1, &sessions[i]), DROP_NONE);
	size_t two = peer_of(sessions[0])->index, one = 1 - two; /* sessions that each has */

	set_peers(f, snapshot_of(f, f->snapshot, one, one + 1), 2);
	set_peers(f, snapshot_of(f, f->snapshot, 0, 2), 3); /* the other is back, and is new */
	assert_int_equal(find(f, 4, 4, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, two);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 5);
	assert_int_equal(find(f, 5, 6, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, two);
}

static void without_any_address_clients_are_dropped(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	set_peers(f, snapshot_of(f, NULL, 0, 0), 1);
	assert_int_equal(find(f, 1, 1, &session), DROP_UNRESOLVED);
}

static void our_own_listener_is_left_out(void **state)
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

/* The peer answers to the session's socket, so often. */
static void answer(struct relay_fixture *f, const struct session *session, unsigned times)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(session->tx.fd, &to.any, &to.length), 0);
	while (times--)
		assert_int_equal(sendto(f->sinks[peer_of(session)->index], "abc", 3, 0, &to.any, to.length), 3);
}

static void late_from(const struct relay_fixture *f, const struct session *session)
{
	closing = session->tx.fd;
	late_sender = f->sinks[peer_of(session)->index];
	late_to.length = sizeof(late_to.v6);
	assert_int_equal(getsockname(closing, &late_to.any, &late_to.length), 0);
}

static void what_waits_keeps_a_session_alive(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	answer(f, session, 1);
	assert_int_equal(relay_expire(&f->relay, 5000, 9), 6000); /* nobody has looked for so long */
	assert_int_equal(alive(f), 1);
}

static void what_nobody_has_read_is_counted(void **state)
{
	struct relay_fixture *f = *state;
	const struct relay_counters *c = &f->relay.counters;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	answer(f, session, 5);
	session->tx.broken = true;
	relay_finish_batch(&f->relay, session, 1);
	assert_int_equal(counter_get(&c->replies), 5);
	assert_int_equal(counter_get(&c->reply_bytes), 15);
	assert_int_equal(counter_get(&c->dropped[DROP_SESSION_ENDED]), 5);
	assert_int_equal(counter_get(&f->peer_sockets[0].counters.replies), 5);
}

static void what_comes_when_it_ends_is_not_taken(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	answer(f, session, 5);
	late_from(f, session);
	relay_finish(&f->relay);
	assert_int_equal(closing, -1);
	assert_false(late_answer_waits);
	assert_int_equal(counter_get(&f->relay.counters.replies), 5);
}

/* As they were asked for: the kernel doubles them. */
static int receive_buffer_of(const struct session *session)
{
	int bytes;
	socklen_t size = sizeof(bytes);

	assert_int_equal(getsockopt(session->tx.fd, SOL_SOCKET, SO_RCVBUF, &bytes, &size), 0);
	return bytes / 2;
}

static void a_session_has_the_listeners_buffer_but_not_more_than_its_share(void **state)
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

static void what_the_kernel_dropped_is_counted(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	f->config.receive_buffer = 4096;
	relay_fixture_begin(f);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	answer(f, session, 100);
	relay_finish(&f->relay);
	assert_true(counter_get(&f->relay.counters.kernel_dropped) > 0);
	assert_int_equal(counter_get(&f->relay.counters.kernel_dropped) + counter_get(&f->relay.counters.replies), 100);
}

static void without_descriptors_nothing_is_lost(void **state)
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
	assert_true(endpoint_is_up(f->snapshot->peers[0].items[0], 1)); /* it is none of the peers' fault */
	assert_true(endpoint_is_up(f->snapshot->peers[1].items[0], 1));
	for (uint16_t port = 1; port <= 4; port++)
		assert_int_equal(find(f, port, 1, &session), DROP_NONE);
}

static void sessions_of_a_peer_wait_together(void **state)
{
	struct relay_fixture *f = *state;
	struct session *sessions[4];

	relay_fixture_begin(f);
	take_turns(f, sessions);
	assert_ptr_equal(sessions[0]->tx.shared_wait_budget, sessions[2]->tx.shared_wait_budget);
	assert_ptr_not_equal(sessions[0]->tx.shared_wait_budget, sessions[1]->tx.shared_wait_budget);
}

static void a_peer_that_cannot_be_reached_counts_as_failing(void **state)
{
	struct relay_fixture *f = *state;
	struct session *session;

	assert_int_equal(address_parse(&f->peers[0].address, "unix:/nobody/here"), 0);
	f->config.balance = BALANCE_FAILOVER;
	relay_fixture_begin(f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(find(f, 1, 1, &session), DROP_REFUSED);
	relay_refresh_endpoints(&f->relay, 1);
	assert_int_equal(find(f, 1, 1, &session), DROP_NONE);
	assert_int_equal(peer_of(session)->index, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

static void an_answer_may_be_under_way(void **state)
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
	assert_false(relay_expects_replies(&f->relay, 11)); /* it was asked too long ago */
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
		test(a_client_keeps_its_session),
		test(a_client_at_the_address_of_a_peer_is_a_loop),
		test(a_client_whose_address_becomes_a_peers_is_a_loop),
		test(another_local_address_is_another_session),
		test(the_socket_is_connected_and_watched),
		test(idle_sessions_expire_in_order),
		test(at_the_cap_there_is_no_room),
		test(the_cap_is_for_all_workers_together),
		test(answers_that_are_expected_end_it),
		test(a_bound_does_not_run_over),
		test(a_broken_socket_ends_it),
		test(sessions_leave_a_peer_that_is_down),
		test(where_all_are_down_sessions_stay),
		test(sessions_of_a_vanished_address_move_when_their_client_writes),
		test(the_same_addresses_change_nothing),
		test(the_fewest_sessions_are_known_after_ends_and_changes),
		test(what_waits_keeps_a_session_alive),
		test(what_nobody_has_read_is_counted),
		test(what_comes_when_it_ends_is_not_taken),
		test(a_session_has_the_listeners_buffer_but_not_more_than_its_share),
		test(what_the_kernel_dropped_is_counted),
		test(without_descriptors_nothing_is_lost),
		test(sessions_of_a_peer_wait_together),
		test(without_any_address_clients_are_dropped),
		test(our_own_listener_is_left_out),
		test(a_peer_that_cannot_be_reached_counts_as_failing),
		test(an_answer_may_be_under_way),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A relay with open sessions continues under another configuration of its listener. Two fixtures describe the two
 * configurations; only the first one has a relay. The linker replaces converter_create() and
 * endpoint_set_adopt_config() so that they can fail. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "tests/unit/relay/relay_fixture.h"
#include "tests/unit/support/captured_log.h"

static bool no_memory_for_converters, no_memory_for_endpoints;

int __real_converter_create(struct converter **out, char *const *decoders, size_t decoder_count, const char *encoder,
			    enum codec_errors errors, size_t max);
int __wrap_converter_create(struct converter **out, char *const *decoders, size_t decoder_count, const char *encoder,
			    enum codec_errors errors, size_t max);
int __real_endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
				     const struct own_addresses *own, const struct endpoints_snapshot *snapshot);
int __wrap_endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
				     const struct own_addresses *own, const struct endpoints_snapshot *snapshot);

int __wrap_converter_create(struct converter **out, char *const *decoders, size_t decoder_count, const char *encoder,
			    enum codec_errors errors, size_t max)
{
	if (no_memory_for_converters)
		return -ENOMEM;
	return __real_converter_create(out, decoders, decoder_count, encoder, errors, max);
}

int __wrap_endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
				     const struct own_addresses *own, const struct endpoints_snapshot *snapshot)
{
	if (no_memory_for_endpoints)
		return -ENOMEM;
	return __real_endpoint_set_adopt_config(set, config, own, snapshot);
}

struct fixture {
	struct relay_fixture old, new;
	struct captured_log log; /* log of the new configuration */
	struct tx_socket *gone; /* the listener's socket that the new configuration does not have */
	struct session *sessions[4]; /* with the peers a, b, a, b */
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	no_memory_for_converters = no_memory_for_endpoints = false;
	memset(f, 0, sizeof(*f));
	relay_fixture_set_up(&f->old);
	relay_fixture_set_up(&f->new);
	for (size_t i = 0; i < PEERS; i++)
		f->new.peers[i].address = f->old.peers[i].address;
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	/* The relay borrows from both. It ends its sessions first. */
	relay_finish(&f->old.relay);
	assert_int_equal(atomic_load(&f->old.quota.open), 0);
	assert_int_equal(atomic_load(&f->new.quota.open), 0);
	relay_fixture_tear_down(&f->new);
	relay_fixture_tear_down(&f->old);
	captured_log_close(&f->log);
	return 0;
}

/* Opens a session for each of the clients with the ports 1 to 4. */
static void begin(struct fixture *f)
{
	relay_fixture_begin(&f->old);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(&f->old, (uint16_t)(i + 1), 1, &f->sessions[i]), DROP_NONE);
		assert_int_equal(f->sessions[i]->endpoint_ref->peer, i % 2);
	}
}

static void swap_new_peers(struct fixture *f)
{
	struct peer_config *first = f->new.peer_list[0];

	f->new.peer_list[0] = f->new.peer_list[1];
	f->new.peer_list[1] = first;
}

/* The new configuration has only peer b. */
static void remove_peer_a(struct fixture *f)
{
	f->new.peer_list[0] = &f->new.peers[1];
	f->new.config.peer_count = 1;
}

static struct tx_socket *find_client_tx(const struct tx_socket *before, void *data)
{
	struct fixture *f = data;

	return before == f->gone ? NULL : &f->new.client_tx;
}

static int adopt(struct fixture *f)
{
	struct relay_rebinding rebinding = {find_client_tx, f};
	struct relay_setup setup = {.config = &f->new.config,
				    .log = f->log.log,
				    .peer_sockets = f->new.peer_sockets,
				    .quota = &f->new.quota,
				    .paused = &f->new.paused,
				    .epoch = &f->old.epoch,
				    .worker = 1};

	f->new.quota.max = f->new.config.max_sessions;
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_init(&f->new.peer_sockets[i], &f->new.peers[i], 65536, NULL, f->new.log);
	/* Peers with the same name and address share their endpoints with the previous configuration. */
	setup.snapshot = f->new.snapshot = endpoints_snapshot_get(f->old.snapshot);
	return relay_adopt_config(&f->old.relay, &setup, &rebinding);
}

/* --- Whether a relay can continue --- */

static void only_a_relay_can_continue(void **state)
{
	struct fixture *f = *state;

	begin(f);
	assert_true(relay_can_adopt_config(&f->new.config));
	f->new.config.action = ACTION_FORWARD;
	assert_false(relay_can_adopt_config(&f->new.config));
}

/* --- Sessions --- */

static void sessions_follow_their_peer_by_name(void **state)
{
	struct fixture *f = *state;

	swap_new_peers(f);
	begin(f);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 4);
	for (size_t i = 0; i < 4; i++) {
		struct session *session = f->sessions[i];
		size_t place = 1 - i % 2; /* in the new list */

		assert_int_equal(session->endpoint_ref->peer, place);
		assert_ptr_equal(session->endpoint_ref->endpoint->peer, &f->new.peers[i % 2]);
		assert_ptr_equal(session->tx.shared_wait_budget, &f->old.relay.peers[place].wait_budget);
		assert_ptr_equal(relay_peer_socket(&f->old.relay, session), &f->new.peer_sockets[i % 2]);
	}
}

static void clients_keep_their_sessions(void **state)
{
	struct fixture *f = *state;
	struct session *session;

	begin(f);
	assert_int_equal(adopt(f), 0);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(&f->old, (uint16_t)(i + 1), 2, &session), DROP_NONE);
		assert_ptr_equal(session, f->sessions[i]);
		assert_ptr_equal(session->client_tx, &f->new.client_tx);
	}
	assert_int_equal(counter_get(&f->old.relay.counters.started), 4);
}

static void sessions_of_a_removed_peer_end(void **state)
{
	struct fixture *f = *state;
	struct session *session;

	remove_peer_a(f);
	begin(f);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 2);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(&f->old, (uint16_t)(i + 1), 2, &session), DROP_NONE);
		assert_string_equal(session->endpoint_ref->endpoint->peer->name, "b");
		assert_int_equal(session->endpoint_ref->peer, 0);
		if (i % 2)
			assert_ptr_equal(session, f->sessions[i]);
	}
	assert_int_equal(counter_get(&f->old.relay.counters.started), 6);
}

static void sessions_of_a_peer_with_another_address_end(void **state)
{
	struct fixture *f = *state;

	begin(f);
	address_set_port(&f->new.peers[0].address, 9);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 2);
	assert_int_equal(counter_get(&f->old.relay.counters.ended_by[SESSION_END_PEER_REMOVED]), 2);
}

/* The name may lead to other addresses than before. */
static void sessions_of_a_peer_with_the_same_name_stay(void **state)
{
	struct fixture *f = *state;
	char host[] = "peer.test", same[] = "Peer.TEST.", other[] = "other.test";

	begin(f);
	f->old.peers[0].host = f->old.peers[1].host = host;
	f->new.peers[0].host = same;
	f->new.peers[1].host = other;
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 2);
	assert_true(f->sessions[0]->tx.fd >= 0);
}

static void session_without_its_local_address_ends(void **state)
{
	struct fixture *f = *state;
	struct tx_socket other = {.fd = -1};

	begin(f);
	f->gone = f->sessions[2]->client_tx = &other;
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 3);
	assert_int_equal(f->sessions[2]->tx.fd, -1);
	assert_true(f->sessions[0]->tx.fd >= 0);
}

static void unread_replies_of_an_ending_session_count_for_the_previous_peer(void **state)
{
	struct fixture *f = *state;
	struct address to = {.length = sizeof(to.v6)};

	remove_peer_a(f);
	begin(f);
	assert_int_equal(getsockname(f->sessions[0]->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->old.sinks[0], "abc", 3, 0, &to.any, to.length), 3);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(counter_get(&f->old.relay.counters.dropped[DROP_SESSION_ENDED]), 1);
	assert_int_equal(counter_get(&f->old.peer_sockets[0].counters.replies), 1);
}

/* --- Quota --- */

static void open_sessions_move_to_the_new_quota(void **state)
{
	struct fixture *f = *state;

	remove_peer_a(f);
	begin(f);
	atomic_fetch_add(&f->old.quota.open, 10); /* sessions of another worker, which adopts them itself */
	atomic_fetch_add(&f->new.quota.open, 20);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(atomic_load(&f->old.quota.open), 10);
	assert_int_equal(atomic_load(&f->new.quota.open), 22);
	atomic_fetch_sub(&f->old.quota.open, 10);
	atomic_fetch_sub(&f->new.quota.open, 20);
}

static void new_quota_limits_new_sessions(void **state)
{
	struct fixture *f = *state;
	struct session *session;

	begin(f);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(find(&f->old, 5, 2, &session), DROP_SESSION_LIMIT);
	relay_expire(&f->old.relay, 1001, 1);
	assert_int_equal(find(&f->old, 5, 1001, &session), DROP_NONE);
}

/* Sessions move to other memory. */
static void sessions_stay_with_another_max_sessions(void **state)
{
	struct fixture *f = *state;
	struct session *session;
	int sockets[4];

	f->new.config.max_sessions = 100;
	begin(f);
	for (size_t i = 0; i < 4; i++)
		sockets[i] = f->sessions[i]->tx.fd;
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 4);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(&f->old, (uint16_t)(i + 1), 2, &session), DROP_NONE);
		assert_int_equal(session->tx.fd, sockets[i]);
		assert_int_equal(session->endpoint_ref->peer, i % 2);
	}
	for (uint16_t port = 5; port <= 100; port++)
		assert_int_equal(find(&f->old, port, 2, &session), DROP_NONE);
	assert_int_equal(find(&f->old, 101, 2, &session), DROP_SESSION_LIMIT);
}

static void sessions_stay_beyond_a_lower_max_sessions(void **state)
{
	struct fixture *f = *state;
	struct session *session;

	f->new.config.max_sessions = 2;
	begin(f);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 4);
	assert_int_equal(find(&f->old, 5, 2, &session), DROP_SESSION_LIMIT);
	relay_expire(&f->old.relay, 1001, 2); /* the oldest ones first */
	assert_int_equal(find(&f->old, 5, 1001, &session), DROP_SESSION_LIMIT);
	assert_int_equal(find(&f->old, 3, 1001, &session), DROP_NONE);
	relay_expire(&f->old.relay, 1002, 1);
	assert_int_equal(find(&f->old, 5, 1002, &session), DROP_NONE);
}

static void sessions_count_for_their_source(void **state)
{
	struct fixture *f = *state;
	struct session *session;

	begin(f);
	assert_int_equal(session_quota_init(&f->new.quota, 4, 2, 4), 0);
	f->new.config.max_sessions = 10;
	assert_int_equal(adopt(f), 0);
	assert_int_equal(alive(&f->old), 4); /* more than the source may have now */
	assert_int_equal(find(&f->old, 5, 2, &session), DROP_SOURCE_SESSIONS);
	relay_expire(&f->old.relay, 1001, 2);
	assert_int_equal(find(&f->old, 5, 1001, &session), DROP_SOURCE_SESSIONS);
	relay_expire(&f->old.relay, 1001, 1);
	assert_int_equal(find(&f->old, 5, 1001, &session), DROP_NONE);
	relay_finish(&f->old.relay);
	session_quota_finish(&f->new.quota);
}

/* --- Replies --- */

static void new_epoll_watches_the_sessions(void **state)
{
	struct fixture *f = *state;
	struct address to = {.length = sizeof(to.v6)};
	struct epoll_event event;

	begin(f);
	assert_int_equal(adopt(f), 0);
	assert_int_equal(getsockname(f->sessions[1]->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->old.sinks[1], "abc", 3, 0, &to.any, to.length), 3);
	assert_int_equal(epoll_wait(f->new.epoll, &event, 1, 1000), 1);
	assert_ptr_equal(event.data.ptr, f->sessions[1]);
}

static void paused_session_is_watched_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	paused_sessions_add(&f->old.paused, f->sessions[0]);
	assert_true(paused_sessions_any(&f->old.paused));
	assert_int_equal(adopt(f), 0);
	assert_false(paused_sessions_any(&f->old.paused));
	assert_false(paused_sessions_any(&f->new.paused));
	assert_int_equal(epoll_ctl(f->new.epoll, EPOLL_CTL_DEL, f->sessions[0]->tx.fd, NULL), 0);
}

/* Without a watch, its replies would never be read. */
static void session_that_cannot_be_watched_is_paused(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->new.paused.epoll = -1;
	assert_int_equal(adopt(f), 0);
	for (size_t i = 0; i < 4; i++)
		assert_true(f->sessions[i]->paused);
	assert_int_equal(alive(&f->old), 4);
	f->new.paused.epoll = f->new.epoll;
	paused_sessions_resume(&f->new.paused, 4);
	assert_false(paused_sessions_any(&f->new.paused));
}

/* --- Lack of memory --- */

static void lack_of_memory_for_the_peers_changes_nothing(void **state)
{
	struct fixture *f = *state;
	static char *encodings[] = {(char *)"utf-8"};
	struct session *session;

	f->new.config.encodings = encodings;
	f->new.config.encoding_count = 1;
	f->new.peers[0].encoding = (char *)"gbk";
	remove_peer_a(f);
	f->new.peer_list[0] = &f->new.peers[0];
	begin(f);
	no_memory_for_converters = true;
	assert_int_equal(adopt(f), -ENOMEM);
	assert_ptr_equal(f->old.relay.setup.config, &f->old.config);
	assert_int_equal(alive(&f->old), 4);
	assert_int_equal(atomic_load(&f->old.quota.open), 4);
	assert_int_equal(atomic_load(&f->new.quota.open), 0);
	for (uint16_t i = 0; i < 4; i++) {
		assert_int_equal(find(&f->old, (uint16_t)(i + 1), 2, &session), DROP_NONE);
		assert_ptr_equal(session, f->sessions[i]);
		assert_ptr_equal(session->client_tx, &f->old.client_tx);
	}
}

static void lack_of_memory_for_endpoints_is_logged_and_sessions_stay(void **state)
{
	struct fixture *f = *state;

	swap_new_peers(f);
	begin(f);
	no_memory_for_endpoints = true;
	assert_int_equal(adopt(f), 0);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(f->sessions[i]->endpoint_ref->peer, 1 - i % 2);
	assert_logged(&f->log,
		      "listener test: no memory for new addresses of its peers: the previous ones stay in use");
	assert_int_equal(alive(&f->old), 4);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(only_a_relay_can_continue),
		test(sessions_follow_their_peer_by_name),
		test(clients_keep_their_sessions),
		test(sessions_of_a_removed_peer_end),
		test(sessions_of_a_peer_with_another_address_end),
		test(sessions_of_a_peer_with_the_same_name_stay),
		test(session_without_its_local_address_ends),
		test(unread_replies_of_an_ending_session_count_for_the_previous_peer),
		test(open_sessions_move_to_the_new_quota),
		test(new_quota_limits_new_sessions),
		test(sessions_stay_with_another_max_sessions),
		test(sessions_stay_beyond_a_lower_max_sessions),
		test(sessions_count_for_their_source),
		test(new_epoll_watches_the_sessions),
		test(paused_session_is_watched_again),
		test(session_that_cannot_be_watched_is_paused),
		test(lack_of_memory_for_the_peers_changes_nothing),
		test(lack_of_memory_for_endpoints_is_logged_and_sessions_stay),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Replies of peers to their clients, over real sockets of loopback. The linker replaces record_ring_push(), which
 * stores the records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/udp.h>

#include "datapath/pipeline.h"
#include "relay/relay_action.h"
#include "relay/reply.h"
#include "tests/unit/relay/relay_fixture.h"

static struct datagram_record recorded[64];
static char payloads[64][16];
static unsigned recorded_count, wake_count;

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record);
void __wrap_record_ring_wake(struct record_ring *ring);

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	(void)ring;
	assert_true(record->size < sizeof(payloads[0]));
	if (recorded_count == sizeof(recorded) / sizeof(recorded[0]))
		return;
	memcpy(payloads[recorded_count], record->payload, record->size);
	recorded[recorded_count++] = *record;
}

void __wrap_record_ring_wake(struct record_ring *ring)
{
	(void)ring;
	wake_count++;
}

#define CLIENTS 3

struct fixture {
	struct relay_fixture relay;
	int clients[CLIENTS];
	struct address at[CLIENTS];
	struct session *sessions[CLIENTS];
	struct pipeline pipeline;
	struct listener_counters counters;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct rx_batch *batch;
	struct reply_batch replies;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *encodings[] = {(char *)"utf-8"};
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	recorded_count = 0;
	relay_fixture_set_up(&f->relay);
	f->relay.config.encodings = encodings;
	f->relay.config.encoding_count = 1;
	reply_batch_init(&f->replies, f->relay.epoll);
	for (size_t i = 0; i < CLIENTS; i++)
		f->clients[i] = bound(&f->at[i]);
	*state = f;
	return rx_batch_create(&f->batch);
}

/* Opens a session for each client, all with peer a. */
static void begin(struct fixture *f)
{
	f->relay.config.balance = BALANCE_FAILOVER;
	relay_fixture_begin(&f->relay);
	assert_int_equal(pipeline_init(&f->pipeline, &relay_action, &f->relay.config, f->relay.peer_sockets), 0);
	assert_int_equal(
		tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), pipeline_flows_max(&f->pipeline)), 0);
	assert_int_equal(arena_create(&f->arena, f->pipeline.delivery.converts), 0);
	f->pipeline.delivery.tx_batch = f->tx_batch;
	f->pipeline.delivery.arena = &f->arena;
	f->pipeline.counters = &f->counters;
	f->pipeline.action_state = &f->relay.relay;
	f->pipeline.delivery.ring = (struct record_ring *)f; /* never dereferenced */
	f->relay.relay.setup.delivery = &f->pipeline.delivery;
	f->relay.relay.setup.paused = &f->replies.paused;
	for (size_t i = 0; i < CLIENTS; i++) {
		struct relay_client client = {.client = &f->at[i], .local = &f->relay.local, .tx = &f->relay.client_tx};

		assert_int_equal(relay_lookup_or_open(&f->relay.relay, &client, 1, &f->sessions[i]), DROP_NONE);
	}
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	relay_fixture_tear_down(&f->relay);
	pipeline_finish(&f->pipeline);
	arena_destroy(&f->arena);
	tx_batch_destroy(f->tx_batch);
	rx_batch_destroy(f->batch);
	for (size_t i = 0; i < CLIENTS; i++)
		close(f->clients[i]);
	return 0;
}

/* The peer sends a reply to the client's session. */
static void send_reply_bytes(struct fixture *f, size_t client, const void *data, size_t size)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(f->sessions[client]->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->relay.sinks[0], data, size, 0, &to.any, to.length), size);
}

static void send_reply(struct fixture *f, size_t client, const char *data)
{
	send_reply_bytes(f, client, data, strlen(data));
}

/* Processes one batch of at most limit trains. Returns whether more may wait. */
static bool turn(struct fixture *f, unsigned limit)
{
	bool more = reply_batch_recv(&f->replies, f->batch, f->relay.epoll, limit);

	if (!f->replies.session_count)
		return more;
	reply_batch_submit(&f->replies, 7, 10);
	assert_true(tx_batch_flush(f->tx_batch, 10));
	reply_batch_complete(&f->replies);
	return more;
}

static void expect(struct fixture *f, size_t client, const char *data)
{
	struct address from = {.length = sizeof(from.v6)};
	char got[64];
	ssize_t size = recvfrom(f->clients[client], got, sizeof(got), MSG_DONTWAIT, &from.any, &from.length);

	assert_int_equal(size, strlen(data));
	assert_memory_equal(got, data, strlen(data));
	assert_true(address_equal(&from, &f->relay.local));
}

static void expect_nothing(struct fixture *f, size_t client)
{
	char got[64];

	assert_int_equal(recv(f->clients[client], got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static uint64_t count(const counter *c)
{
	return counter_get(c);
}

static void each_client_gets_its_own_replies(void **state)
{
	static const char *const texts[CLIENTS] = {"one", "two", ""};
	struct fixture *f = *state;

	begin(f);
	for (size_t i = 0; i < CLIENTS; i++)
		send_reply(f, i, texts[i]);
	send_reply(f, 0, "more");
	assert_false(turn(f, RX_BATCH_TRAINS));
	for (size_t i = 0; i < CLIENTS; i++)
		expect(f, i, texts[i]);
	expect(f, 0, "more");
	assert_false(turn(f, RX_BATCH_TRAINS));
	assert_int_equal(f->replies.session_count, 0);
	assert_int_equal(count(&f->relay.relay.counters.replies), 4);
	assert_int_equal(count(&f->relay.relay.counters.replied), 4);
	assert_int_equal(count(&f->relay.relay.counters.reply_bytes), 10);
	assert_int_equal(count(&f->relay.peer_sockets[0].counters.replies), 4);
	assert_int_equal(count(&f->relay.peer_sockets[0].counters.reply_bytes), 10);
	assert_int_equal(count(&f->counters.received), 0);
	assert_int_equal(f->sessions[0]->replies, 2);
	assert_int_equal(f->sessions[0]->node.used_ms, 10);
}

static void records_name_peer_and_client(void **state)
{
	struct fixture *f = *state;

	begin(f);
	send_reply(f, 1, "hello");
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(recorded_count, 1);
	assert_int_equal(recorded[0].verdict, VERDICT_ANSWERED);
	assert_true(recorded[0].reply);
	assert_ptr_equal(recorded[0].peer, &f->relay.peers[0]);
	assert_ptr_equal(recorded[0].destination, &f->sessions[1]->node.client);
	assert_int_equal(recorded[0].time_us, 7);
	assert_memory_equal(payloads[0], "hello", 5);
}

static void replies_over_the_limit_come_with_the_next_batch(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (size_t i = 0; i < CLIENTS; i++)
		send_reply(f, i, "first");
	send_reply(f, 0, "second");
	assert_true(turn(f, 2));
	assert_int_equal(count(&f->relay.relay.counters.replies), 2);
	while (turn(f, 2))
		;
	for (size_t i = 0; i < CLIENTS; i++)
		expect(f, i, "first");
	expect(f, 0, "second");
}

static void replies_beyond_responses_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct relay_counters *counters = &f->relay.relay.counters;

	f->relay.config.responses = 2;
	begin(f);
	relay_count_sent(&f->relay.relay, f->sessions[0], 1);
	send_reply(f, 0, "1");
	send_reply(f, 0, "2");
	send_reply(f, 0, "3");
	send_reply(f, 1, "never asked");
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "1");
	expect(f, 0, "2");
	expect_nothing(f, 0);
	expect_nothing(f, 1);
	assert_int_equal(count(&counters->replies), 4);
	assert_int_equal(count(&counters->replied), 2);
	assert_int_equal(count(&counters->dropped[DROP_UNEXPECTED]), 2);
	assert_int_equal(alive(&f->relay), CLIENTS - 2); /* both sessions are complete */
	assert_int_equal(recorded_count, 4);
}

static void train_is_cut_at_the_last_expected_reply(void **state)
{
	struct fixture *f = *state;
	struct relay_counters *counters = &f->relay.relay.counters;
	int segment = 2;

	f->relay.config.responses = 3;
	begin(f);
	relay_count_sent(&f->relay.relay, f->sessions[0], 1);
	f->sessions[0]->gro_enabled = true;
	socket_enable_gro(f->sessions[0]->tx.fd);
	setsockopt(f->relay.sinks[0], SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
	send_reply_bytes(f, 0, "aabbccdde", 9);
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "aa");
	expect(f, 0, "bb");
	expect(f, 0, "cc");
	expect_nothing(f, 0);
	assert_int_equal(count(&counters->replies), 5);
	assert_int_equal(count(&counters->reply_bytes), 9);
	assert_int_equal(count(&counters->replied), 3);
	assert_int_equal(count(&counters->dropped[DROP_UNEXPECTED]), 2);
	assert_int_equal(recorded_count, 5);
	assert_int_equal(recorded[4].verdict, VERDICT_DROPPED);
	assert_int_equal(recorded[4].size, 1);
}

static void replies_have_the_charset_of_the_listener(void **state)
{
	static char *gbk[] = {(char *)"gbk"};
	struct fixture *f = *state;

	f->relay.config.encodings = gbk;
	f->relay.peers[0].encoding = (char *)"utf-8";
	begin(f);
	send_reply(f, 0, "\xe4\xbd\xa0");
	send_reply(f, 0, "ab");
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "\xc4\xe3");
	expect(f, 0, "ab");
}

static void icmp_error_is_counted_once(void **state)
{
	struct fixture *f = *state;

	begin(f);
	close(f->relay.sinks[0]);
	assert_int_equal(send(f->sessions[0]->tx.fd, "?", 1, 0), 1);
	relay_count_sent(&f->relay.relay, f->sessions[0], 1);
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(f->replies.session_count, 1);
	assert_int_equal(f->replies.count, 0);
	assert_int_equal(count(&f->relay.peer_sockets[0].counters.icmp_errors), 1);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 1);
	assert_int_equal(alive(&f->relay), CLIENTS); /* the peer may return */
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(f->replies.session_count, 0); /* the error is reported only once */
	f->relay.sinks[0] = bound(&(struct address){0});
}

/* Forged errors hit one session after another. A pause would delay the replies of all of them. */
static void errors_do_not_pause_a_session(void **state)
{
	struct relay_fixture *r = &((struct fixture *)*state)->relay;
	struct fixture *f = *state;

	begin(f);
	close(r->sinks[0]);
	for (int i = 0; i < 10; i++) {
		assert_int_equal(send(f->sessions[0]->tx.fd, "?", 1, 0), 1);
		turn(f, RX_BATCH_TRAINS);
		assert_int_equal(f->replies.session_count, 1);
		turn(f, RX_BATCH_TRAINS); /* meanwhile others have their turn */
	}
	assert_int_equal(counter_get(&r->peer_sockets[0].counters.icmp_errors), 10);
	assert_false(paused_sessions_any(&f->replies.paused));
	r->sinks[0] = bound(&(struct address){0});
}

static void reply_resets_the_failures_of_its_endpoint(void **state)
{
	struct fixture *f = *state;

	begin(f);
	relay_count_sent(&f->relay.relay, f->sessions[0], 2);
	f->sessions[0]->tx.icmp_errors = 2;
	relay_finish_batch(&f->relay.relay, f->sessions[0], 5);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 1);
	send_reply(f, 1, "here");
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 0);
}

static void busy_session_does_not_delay_the_others(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (int i = 0; i < 40; i++)
		send_reply(f, 0, "talk");
	send_reply(f, 1, "short");
	send_reply(f, 2, "word");
	for (int i = 0; i < 3; i++)
		assert_true(turn(f, 4)); /* the busy session has more each time */
	expect(f, 1, "short");
	expect(f, 2, "word");
	while (turn(f, 4))
		;
	for (int i = 0; i < 40; i++)
		expect(f, 0, "talk");
	assert_true(f->sessions[0]->gro_enabled);
	assert_false(f->sessions[1]->gro_enabled);
}

static void batch_is_bounded_for_many_sessions(void **state)
{
	enum { SESSIONS = 150 };
	struct fixture *f = *state;
	struct session *session;
	unsigned seen = 0, wakes = wake_count;
	bool more;

	f->relay.config.max_sessions = SESSIONS + CLIENTS;
	begin(f);
	for (uint16_t i = 0; i < SESSIONS; i++) {
		assert_int_equal(find(&f->relay, (uint16_t)(i + 1), 1, &session), DROP_NONE);
		f->sessions[0] = session;
		send_reply(f, 0, "x");
	}
	do {
		more = turn(f, RX_BATCH_TRAINS);
		assert_true(f->replies.session_count <= REPLY_BATCH_SESSIONS);
		assert_true(f->replies.count <= RX_BATCH_TRAINS);
		seen += f->replies.count;
	} while (more);
	assert_int_equal(seen, SESSIONS);
	assert_true(wake_count > wakes);
	assert_int_equal(f->arena.used, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_client_gets_its_own_replies),
		test(records_name_peer_and_client),
		test(replies_over_the_limit_come_with_the_next_batch),
		test(replies_beyond_responses_are_dropped),
		test(train_is_cut_at_the_last_expected_reply),
		test(replies_have_the_charset_of_the_listener),
		test(icmp_error_is_counted_once),
		test(errors_do_not_pause_a_session),
		test(reply_resets_the_failures_of_its_endpoint),
		test(busy_session_does_not_delay_the_others),
		test(batch_is_bounded_for_many_sessions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

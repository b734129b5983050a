/* Answers of peers to their clients, over real sockets of loopback; the records that they make are caught (-Wl,--wrap).
 */
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

static struct datagram_record caught[64];
static char payloads[64][16];
static unsigned caught_count, wake_count;

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record);
void __wrap_record_ring_wake(struct record_ring *ring);

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	(void)ring;
	assert_true(record->size < sizeof(payloads[0]));
	if (caught_count == sizeof(caught) / sizeof(caught[0]))
		return;
	memcpy(payloads[caught_count], record->payload, record->size);
	caught[caught_count++] = *record;
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
	struct reply_batch answers;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *encodings[] = {(char *)"utf-8"};
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	caught_count = 0;
	relay_fixture_set_up(&f->relay);
	f->relay.config.encodings = encodings;
	f->relay.config.encoding_count = 1;
	reply_batch_init(&f->answers, f->relay.epoll);
	for (size_t i = 0; i < CLIENTS; i++)
		f->clients[i] = bound(&f->at[i]);
	*state = f;
	return rx_batch_create(&f->batch);
}

/* A session for each client, all with peer a. */
static void begin(struct fixture *f)
{
	f->relay.config.balance = BALANCE_FAILOVER;
	relay_fixture_begin(&f->relay);
	assert_int_equal(pipeline_init(&f->pipeline, &relay_action, &f->relay.config, f->relay.peer_sockets), 0);
	assert_int_equal(tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), RX_BATCH_TRAINS + PEERS), 0);
	assert_int_equal(arena_create(&f->arena, f->pipeline.delivery.converts), 0);
	f->pipeline.delivery.tx_batch = f->tx_batch;
	f->pipeline.delivery.arena = &f->arena;
	f->pipeline.counters = &f->counters;
	f->pipeline.action_state = &f->relay.relay;
	f->pipeline.delivery.ring = (struct record_ring *)f; /* never looked into */
	f->relay.relay.setup.delivery = &f->pipeline.delivery;
	f->relay.relay.setup.paused = &f->answers.paused;
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

/* The peer answers to the client's session. */
static void answer_bytes(struct fixture *f, size_t client, const void *data, size_t size)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(f->sessions[client]->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->relay.sinks[0], data, size, 0, &to.any, to.length), size);
}

static void answer(struct fixture *f, size_t client, const char *data)
{
	answer_bytes(f, client, data, strlen(data));
}

/* One batch of at most limit trains. Returns whether more may wait. */
static bool turn(struct fixture *f, unsigned limit)
{
	bool more = reply_batch_recv(&f->answers, f->batch, f->relay.epoll, limit);

	if (!f->answers.session_count)
		return more;
	reply_batch_submit(&f->answers, 7, 10);
	assert_true(tx_batch_flush(f->tx_batch, 10));
	reply_batch_complete(&f->answers);
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

static void every_client_gets_its_own(void **state)
{
	static const char *const texts[CLIENTS] = {"one", "two", ""};
	struct fixture *f = *state;

	begin(f);
	for (size_t i = 0; i < CLIENTS; i++)
		answer(f, i, texts[i]);
	answer(f, 0, "more");
	assert_false(turn(f, RX_BATCH_TRAINS));
	for (size_t i = 0; i < CLIENTS; i++)
		expect(f, i, texts[i]);
	expect(f, 0, "more");
	assert_false(turn(f, RX_BATCH_TRAINS));
	assert_int_equal(f->answers.session_count, 0);
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
	answer(f, 1, "hello");
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(caught_count, 1);
	assert_int_equal(caught[0].verdict, VERDICT_ANSWERED);
	assert_true(caught[0].reply);
	assert_ptr_equal(caught[0].peer, &f->relay.peers[0]);
	assert_ptr_equal(caught[0].destination, &f->sessions[1]->node.client);
	assert_int_equal(caught[0].time_us, 7);
	assert_memory_equal(payloads[0], "hello", 5);
}

static void what_does_not_fit_comes_with_the_next_batch(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (size_t i = 0; i < CLIENTS; i++)
		answer(f, i, "first");
	answer(f, 0, "second");
	assert_true(turn(f, 2));
	assert_int_equal(count(&f->relay.relay.counters.replies), 2);
	while (turn(f, 2))
		;
	for (size_t i = 0; i < CLIENTS; i++)
		expect(f, i, "first");
	expect(f, 0, "second");
}

static void only_so_many_are_admitted(void **state)
{
	struct fixture *f = *state;
	struct relay_counters *counters = &f->relay.relay.counters;

	f->relay.config.responses = 2;
	begin(f);
	relay_count_sent(&f->relay.relay, f->sessions[0], 1);
	answer(f, 0, "1");
	answer(f, 0, "2");
	answer(f, 0, "3");
	answer(f, 1, "never asked");
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "1");
	expect(f, 0, "2");
	expect_nothing(f, 0);
	expect_nothing(f, 1);
	assert_int_equal(count(&counters->replies), 4);
	assert_int_equal(count(&counters->replied), 2);
	assert_int_equal(count(&counters->dropped[DROP_UNEXPECTED]), 2);
	assert_int_equal(alive(&f->relay), CLIENTS - 2); /* nothing more is expected of either */
	assert_int_equal(caught_count, 4);
}

static void a_train_is_cut_where_no_more_is_expected(void **state)
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
	answer_bytes(f, 0, "aabbccdde", 9);
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "aa");
	expect(f, 0, "bb");
	expect(f, 0, "cc");
	expect_nothing(f, 0);
	assert_int_equal(count(&counters->replies), 5);
	assert_int_equal(count(&counters->reply_bytes), 9);
	assert_int_equal(count(&counters->replied), 3);
	assert_int_equal(count(&counters->dropped[DROP_UNEXPECTED]), 2);
	assert_int_equal(caught_count, 5);
	assert_int_equal(caught[4].verdict, VERDICT_DROPPED);
	assert_int_equal(caught[4].size, 1);
}

static void answers_come_in_the_clients_charset(void **state)
{
	static char *gbk[] = {(char *)"gbk"};
	struct fixture *f = *state;

	f->relay.config.encodings = gbk;
	f->relay.peers[0].encoding = (char *)"utf-8";
	begin(f);
	answer(f, 0, "\xe4\xbd\xa0");
	answer(f, 0, "ab");
	turn(f, RX_BATCH_TRAINS);
	expect(f, 0, "\xc4\xe3");
	expect(f, 0, "ab");
}

static void a_peer_that_is_gone_is_counted(void **state)
{
	struct fixture *f = *state;

	begin(f);
	close(f->relay.sinks[0]);
	assert_int_equal(send(f->sessions[0]->tx.fd, "?", 1, 0), 1);
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(f->answers.session_count, 1);
	assert_int_equal(f->answers.count, 0);
	assert_int_equal(count(&f->relay.peer_sockets[0].counters.icmp_errors), 1);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 1);
	assert_int_equal(alive(&f->relay), CLIENTS); /* it may come back */
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(f->answers.session_count, 0); /* once was enough */
	f->relay.sinks[0] = bound(&(struct address){0});
}

static void an_answer_makes_its_peer_well(void **state)
{
	struct fixture *f = *state;

	begin(f);
	f->sessions[0]->tx.icmp_errors = 2;
	relay_finish_batch(&f->relay.relay, f->sessions[0], 5);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 2);
	answer(f, 1, "here");
	turn(f, RX_BATCH_TRAINS);
	assert_int_equal(atomic_load(&f->sessions[0]->endpoint_ref->endpoint->fails), 0);
}

static void nobody_is_kept_from_being_heard(void **state)
{
	struct fixture *f = *state;

	begin(f);
	for (int i = 0; i < 40; i++)
		answer(f, 0, "talk");
	answer(f, 1, "short");
	answer(f, 2, "word");
	for (int i = 0; i < 3; i++)
		assert_true(turn(f, 4)); /* less than the talker has, each time */
	expect(f, 1, "short");
	expect(f, 2, "word");
	while (turn(f, 4))
		;
	for (int i = 0; i < 40; i++)
		expect(f, 0, "talk");
	assert_true(f->sessions[0]->gro_enabled);
	assert_false(f->sessions[1]->gro_enabled);
}

static void more_sessions_than_a_batch_has_room_for(void **state)
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
		answer(f, 0, "x");
	}
	do {
		more = turn(f, RX_BATCH_TRAINS);
		assert_true(f->answers.session_count <= REPLY_BATCH_SESSIONS);
		assert_true(f->answers.count <= RX_BATCH_TRAINS);
		seen += f->answers.count;
	} while (more);
	assert_int_equal(seen, SESSIONS);
	assert_true(wake_count > wakes);
	assert_int_equal(f->arena.used, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(every_client_gets_its_own),
		test(records_name_peer_and_client),
		test(what_does_not_fit_comes_with_the_next_batch),
		test(only_so_many_are_admitted),
		test(a_train_is_cut_where_no_more_is_expected),
		test(answers_come_in_the_clients_charset),
		test(a_peer_that_is_gone_is_counted),
		test(an_answer_makes_its_peer_well),
		test(nobody_is_kept_from_being_heard),
		test(more_sessions_than_a_batch_has_room_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

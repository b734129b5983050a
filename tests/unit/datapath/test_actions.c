/* The actions sink, echo and forward, over real sockets of loopback. Each test calls an action as the pipeline does. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath/pipeline.h"
#include "guard/hop_limit.h"
#include "tests/unit/support/captured_log.h"
#include "tests/unit/support/loopback.h"

#define PEERS 3

struct fixture {
	struct listener_config config;
	struct peer_config peers[PEERS], *peer_list[PEERS];
	struct peer_socket peer_sockets[PEERS];
	int sinks[PEERS]; /* sockets of the peers */
	int client;
	struct address client_address;
	struct tx_socket tx;
	struct address local;
	struct rx_context rx;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct pipeline pipeline;
	struct outcome outcome;
	struct captured_log log;
};

/* The listener is bound to a wildcard, so it can send from every address of 127.0.0.0/8. */
static int bound_to_wildcard(struct address *local)
{
	static const struct listener_config plain = {0};
	struct socket_error error;
	int fd;

	assert_int_equal(address_from_ip(local, "0.0.0.0", 0), 0);
	fd = socket_bind(&plain, local, true, false, &error);
	assert_true(fd >= 0);
	assert_int_equal(getsockname(fd, &local->any, &local->length), 0);
	return fd;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *names[PEERS] = {(char *)"a", (char *)"b", (char *)"c"};
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	f->config = (struct listener_config){.name = (char *)"test", .peers = f->peer_list};
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	f->client = bound(&f->client_address);
	f->tx = (struct tx_socket){.fd = bound_to_wildcard(&f->local), .gso = true};
	f->rx = (struct rx_context){&f->tx, &f->local, 1, 1};
	for (size_t i = 0; i < PEERS; i++) {
		f->peers[i] = (struct peer_config){.name = names[i], .index = i};
		f->sinks[i] = bound(&f->peers[i].address);
		f->peer_list[i] = &f->peers[i];
	}
	*state = f;
	return 0;
}

static void begin(struct fixture *f, enum action_kind action, size_t peers)
{
	f->config.action = action;
	f->config.peer_count = peers;
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_init(&f->peer_sockets[i], &f->peers[i], 65536, NULL, f->log.log);
	assert_int_equal(pipeline_init(&f->pipeline, action_of(action), &f->config, f->peer_sockets), 0);
	assert_int_equal(
		tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), pipeline_flows_max(&f->pipeline)), 0);
	f->pipeline.delivery.tx_batch = f->tx_batch;
	f->pipeline.delivery.arena = &f->arena;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	pipeline_finish(&f->pipeline);
	tx_batch_destroy(f->tx_batch);
	for (size_t i = 0; i < PEERS; i++) {
		peer_socket_finish(&f->peer_sockets[i]);
		close(f->sinks[i]);
	}
	close(f->client);
	close(f->tx.fd);
	captured_log_close(&f->log);
	return 0;
}

/* Datagrams aa, bb and c of the client. */
static struct train train_of_three(const struct fixture *f)
{
	static uint8_t text[] = "aabbc";

	return (struct train){.data = text, .size = 5, .segment = 2, .count = 3, .end = 3, .source = f->client_address};
}

static void submit(struct fixture *f, struct train *train, unsigned i)
{
	assert_int_equal(f->pipeline.action->submit(&f->pipeline, &f->rx, train, i), DROP_NONE);
}

static void collect(struct fixture *f, const struct train *train, unsigned i)
{
	outcome_init(&f->outcome, train);
	f->pipeline.action->collect(&f->pipeline, &f->rx, train, i, &f->outcome);
}

/* Asserts that the next datagram of the socket is this one. from receives its sender. */
static void expect_from(int fd, const char *data, struct address *from)
{
	char got[64];
	ssize_t size;

	from->length = sizeof(from->v6);
	size = recvfrom(fd, got, sizeof(got), MSG_DONTWAIT, &from->any, &from->length);
	assert_int_equal(size, strlen(data));
	assert_memory_equal(got, data, strlen(data));
}

static void expect(int fd, const char *data)
{
	struct address from;

	expect_from(fd, data, &from);
}

static void expect_nothing(int fd)
{
	char got[64];

	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static uint64_t count_of(const counter *c)
{
	return counter_get(c);
}

static void relay_is_no_action_of_this_folder(void **state)
{
	struct fixture *f = *state;

	assert_null(action_of(ACTION_RELAY));
	begin(f, ACTION_SINK, 0);
}

static void actions_count_and_record_under_their_names(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(action_of(ACTION_SINK)->verdict, VERDICT_SUNK);
	assert_int_equal(action_of(ACTION_SINK)->counter, offsetof(struct listener_counters, sunk));
	assert_int_equal(action_of(ACTION_ECHO)->verdict, VERDICT_ECHOED);
	assert_int_equal(action_of(ACTION_ECHO)->counter, offsetof(struct listener_counters, echoed));
	assert_int_equal(action_of(ACTION_FORWARD)->verdict, VERDICT_FORWARDED);
	assert_int_equal(action_of(ACTION_FORWARD)->counter, offsetof(struct listener_counters, forwarded));
	begin(f, ACTION_SINK, 0);
}

/* --- Sink --- */

static void sink_takes_all_but_excluded_datagrams_and_sends_nothing(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	begin(f, ACTION_SINK, 0);
	train.skip = 2;
	train.skip_reason = DROP_TOO_LARGE;
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &train, 0);
	assert_int_equal(f->outcome.sent[0], 0);
	assert_int_equal(f->outcome.reason[0], DROP_TOO_LARGE);
	assert_int_equal(f->outcome.sent[2], 1);
	expect_nothing(f->client);
}

/* --- Echo --- */

static void echo_sends_each_datagram_to_its_sender(void **state)
{
	struct fixture *f = *state;
	struct train trains[2] = {train_of_three(f), train_of_three(f)};

	begin(f, ACTION_ECHO, 0);
	trains[1].source = f->peers[0].address;
	submit(f, &trains[0], 0);
	submit(f, &trains[1], 1);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	for (unsigned i = 0; i < 2; i++) {
		collect(f, &trains[i], i);
		assert_int_equal(f->outcome.total_sent, 3);
	}
	expect(f->client, "aa");
	expect(f->client, "bb");
	expect(f->client, "c");
	expect_nothing(f->client);
	expect(f->sinks[0], "aa");
}

/* The socket is bound to 0.0.0.0, so only the control message selects the source. */
static void echo_replies_from_the_address_that_the_client_used(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);
	struct pktinfo local = {0};
	struct address from, expected;

	begin(f, ACTION_ECHO, 0);
	assert_int_equal(address_from_ip(&local.reply_source, "127.0.0.2", 0), 0);
	assert_int_equal(address_from_ip(&expected, "127.0.0.2", address_port(&f->local)), 0);
	train.local = &local;
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &train, 0);
	expect_from(f->client, "aa", &from);
	assert_true(address_equal(&from, &expected));
}

static void echo_reports_a_failed_send(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	begin(f, ACTION_ECHO, 0);
	address_set_port(&train.source, 0); /* sendmsg(2): EINVAL */
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &train, 0);
	assert_int_equal(f->outcome.total_sent, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(f->outcome.reason[i], DROP_SEND_ERROR);
}

/* --- Forward --- */

static void forward_copies_to_every_peer(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	begin(f, ACTION_FORWARD, PEERS);
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &train, 0);
	for (size_t i = 0; i < PEERS; i++) {
		expect(f->sinks[i], "aa");
		expect(f->sinks[i], "bb");
		expect(f->sinks[i], "c");
		assert_int_equal(count_of(&f->peer_sockets[i].counters.sent), 3);
		assert_int_equal(count_of(&f->peer_sockets[i].counters.sent_bytes), 5);
	}
	assert_int_equal(f->outcome.total_sent, 9);
	expect_nothing(f->client);
}

/* The second peer has no address. Its chunks are dropped ones, in their place between those of the others. */
static void forward_with_a_peer_down_reaches_the_others(void **state)
{
	struct fixture *f = *state;
	struct train trains[2] = {train_of_three(f), train_of_three(f)};

	f->peers[1].host = (char *)"name.invalid";
	begin(f, ACTION_FORWARD, PEERS);
	trains[1].end = 1;
	submit(f, &trains[0], 0);
	submit(f, &trains[1], 1);
	assert_ptr_equal(f->pipeline.chunks[1], f->pipeline.chunks[0] + PEERS);
	assert_null(f->pipeline.chunks[0][1].socket);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &trains[0], 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(f->outcome.sent[i], 2);
		assert_int_equal(f->outcome.reason[i], DROP_UNRESOLVED);
	}
	collect(f, &trains[1], 1);
	assert_int_equal(f->outcome.total_sent, 2);
	assert_int_equal(count_of(&f->peer_sockets[0].counters.sent), 4);
	assert_int_equal(count_of(&f->peer_sockets[1].counters.submitted), 4);
	assert_int_equal(count_of(&f->peer_sockets[1].counters.dropped[DROP_UNRESOLVED]), 4);
	assert_int_equal(count_of(&f->peer_sockets[2].counters.sent), 4);
	expect_nothing(f->sinks[1]);
}

static void forward_with_the_first_peer_down_begins_with_dropped_chunks(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	f->peers[0].host = (char *)"name.invalid";
	begin(f, ACTION_FORWARD, 2);
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	collect(f, &train, 0);
	assert_int_equal(f->outcome.total_sent, 3);
	assert_int_equal(count_of(&f->peer_sockets[0].counters.dropped[DROP_UNRESOLVED]), 3);
	assert_int_equal(count_of(&f->peer_sockets[1].counters.sent), 3);
}

/* Returns the hop limit that the socket sends with. */
static int hop_limit_of(const struct peer_socket *peer)
{
	int hop_limit;
	socklen_t size = sizeof(hop_limit);

	assert_int_equal(getsockopt(peer->tx.fd, IPPROTO_IP, IP_TTL, &hop_limit, &size), 0);
	return hop_limit;
}

/* hop_limit_next() has the steps. */
static void forward_decreases_the_hop_limit(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	begin(f, ACTION_FORWARD, 2);
	f->pipeline.delivery.ring_guard = (struct ring_guard *)f; /* never dereferenced */
	train.hop_limit = 30;
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(hop_limit_of(&f->peer_sockets[i]), hop_limit_next(30, 2));
}

static void forward_gives_a_unix_sender_and_a_group_a_small_hop_limit(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);
	struct address group;

	begin(f, ACTION_FORWARD, 2);
	f->pipeline.delivery.ring_guard = (struct ring_guard *)f; /* never dereferenced */
	assert_int_equal(address_parse(&train.source, "unix:/run/sender"), 0);
	train.hop_limit = 0;
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	assert_int_equal(hop_limit_of(&f->peer_sockets[0]), hop_limit_next(0, 2));
	tx_batch_clear(f->tx_batch);
	assert_int_equal(address_parse(&group, "239.0.0.1:1"), 0);
	f->rx.local = &group;
	train = train_of_three(f);
	train.hop_limit = 255;
	submit(f, &train, 0);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	assert_int_equal(hop_limit_of(&f->peer_sockets[1]), hop_limit_next(0, 2));
}

static void forward_drops_a_train_with_a_used_up_hop_limit(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_three(f);

	begin(f, ACTION_FORWARD, 2);
	f->pipeline.delivery.ring_guard = (struct ring_guard *)f; /* never dereferenced */
	train.hop_limit = 1;
	assert_int_equal(f->pipeline.action->submit(&f->pipeline, &f->rx, &train, 0), DROP_HOP_LIMIT);
	f->pipeline.delivery.ring_guard = NULL;
	submit(f, &train, 0);
}

static void forward_counts_icmp_errors_after_the_batch(void **state)
{
	struct fixture *f = *state;

	begin(f, ACTION_FORWARD, 2);
	f->peer_sockets[1].tx.icmp_errors = 3;
	f->pipeline.action->finish(&f->pipeline, &f->rx, NULL, 0);
	assert_int_equal(count_of(&f->peer_sockets[0].counters.icmp_errors), 0);
	assert_int_equal(count_of(&f->peer_sockets[1].counters.icmp_errors), 3);
	assert_int_equal(f->peer_sockets[1].tx.icmp_errors, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(relay_is_no_action_of_this_folder),
		test(actions_count_and_record_under_their_names),
		test(sink_takes_all_but_excluded_datagrams_and_sends_nothing),
		test(echo_sends_each_datagram_to_its_sender),
		test(echo_replies_from_the_address_that_the_client_used),
		test(echo_reports_a_failed_send),
		test(forward_copies_to_every_peer),
		test(forward_with_a_peer_down_reaches_the_others),
		test(forward_with_the_first_peer_down_begins_with_dropped_chunks),
		test(forward_decreases_the_hop_limit),
		test(forward_gives_a_unix_sender_and_a_group_a_small_hop_limit),
		test(forward_drops_a_train_with_a_used_up_hop_limit),
		test(forward_counts_icmp_errors_after_the_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

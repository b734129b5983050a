/* The pipeline of a listener over real sockets of loopback. The linker replaces record_ring_push(), which stores the
 * records. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath/pipeline.h"
#include "tests/unit/support/loopback.h"

struct recorded {
	struct datagram_record record;
	char payload[64];
};

static struct recorded recorded[256];
static unsigned recorded_count;

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record);
void __wrap_record_ring_wake(struct record_ring *ring);

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	struct recorded *c = &recorded[recorded_count++];

	(void)ring;
	c->record = *record;
	memcpy(c->payload, record->payload, record->size < sizeof(c->payload) ? record->size : sizeof(c->payload));
}

void __wrap_record_ring_wake(struct record_ring *ring)
{
	(void)ring;
}

#define PEERS 3

struct fixture {
	struct listener_config config;
	struct peer_config peers[PEERS], *peer_list[PEERS];
	struct listener_counters counters;
	struct own_addresses *own;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct peer_socket peer_sockets[PEERS];
	int sinks[PEERS]; /* sockets of the peers */
	struct pipeline pipeline;
	struct tx_socket tx;
	struct address local;
	struct rx_context rx;
};

static char utf8[] = "utf-8", gbk[] = "gbk", ascii[] = "ascii";

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;
	static char *encodings[] = {utf8};
	static char *names[PEERS] = {(char *)"a", (char *)"b", (char *)"c"};

	recorded_count = 0;
	memset(f, 0, sizeof(*f));
	f->config = (struct listener_config){.name = (char *)"test",
					     .encodings = encodings,
					     .encoding_count = 1,
					     .errors = CODEC_STRICT,
					     .log_every = 1,
					     .max_datagram = 65507,
					     .peers = f->peer_list};
	f->tx = (struct tx_socket){.fd = bound(&f->local), .gso = true};
	f->rx = (struct rx_context){&f->tx, &f->local, 1, 1};
	for (size_t i = 0; i < PEERS; i++) {
		f->peers[i] = (struct peer_config){.name = names[i], .index = i};
		f->sinks[i] = bound(&f->peers[i].address);
		f->peer_list[i] = &f->peers[i];
	}
	*state = f;
	return own_addresses_create(&f->own, &f->local, 1);
}

/* Call it after the test has changed the configuration. */
static void begin(struct fixture *f, enum action_kind action, size_t peers)
{
	f->config.action = action;
	f->config.peer_count = peers;
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_init(&f->peer_sockets[i], &f->peers[i], 65536, NULL, NULL);
	assert_int_equal(pipeline_init(&f->pipeline, action_of(action), &f->config, f->peer_sockets), 0);
	assert_int_equal(
		tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), pipeline_flows_max(&f->pipeline)), 0);
	assert_int_equal(arena_create(&f->arena, f->pipeline.delivery.converts ? peers : 0), 0);
	f->pipeline.own = f->own;
	f->pipeline.delivery.tx_batch = f->tx_batch;
	f->pipeline.delivery.arena = &f->arena;
	f->pipeline.counters = &f->counters;
	f->pipeline.delivery.ring = (struct record_ring *)f; /* never dereferenced */
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	pipeline_finish(&f->pipeline);
	arena_destroy(&f->arena);
	tx_batch_destroy(f->tx_batch);
	own_addresses_destroy(f->own);
	for (size_t i = 0; i < PEERS; i++) {
		peer_socket_finish(&f->peer_sockets[i]);
		close(f->sinks[i]);
	}
	close(f->tx.fd);
	return 0;
}

static struct train train_of(const struct address *source, const char *data, uint32_t segment)
{
	struct train train = {.data = (uint8_t *)data, .size = (uint32_t)strlen(data), .source = *source};

	train.segment = segment && segment < train.size ? segment : train.size;
	train.count = (uint16_t)(train.size ? (train.size + train.segment - 1) / train.segment : 1);
	train.end = train.count;
	return train;
}

static void run(struct fixture *f, struct train *trains, unsigned count)
{
	pipeline_submit(&f->pipeline, &f->rx, trains, count);
	assert_true(tx_batch_flush(f->tx_batch, 1));
	pipeline_complete(&f->pipeline, &f->rx, trains, count);
}

static void expect(int fd, const char *data)
{
	char got[256];
	ssize_t size = recv(fd, got, sizeof(got), MSG_DONTWAIT);

	assert_int_equal(size, strlen(data));
	assert_memory_equal(got, data, strlen(data));
}

static void expect_nothing(int fd)
{
	char got[256];

	assert_int_equal(recv(fd, got, sizeof(got), MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
}

static uint64_t dropped(const struct listener_counters *counters)
{
	uint64_t sum = 0;

	for (int i = 0; i < DROP_REASONS; i++)
		sum += counter_get(&counters->dropped[i]);
	return sum;
}

static void assert_balance(const struct fixture *f)
{
	const struct listener_counters *c = &f->counters;

	assert_int_equal(counter_get(&c->received),
			 counter_get(&c->sunk) + counter_get(&c->echoed) + counter_get(&c->forwarded) + dropped(c));
	for (size_t i = 0; i < PEERS; i++) {
		const struct peer_counters *p = &f->peer_sockets[i].counters;
		uint64_t sum = counter_get(&p->sent);

		for (int r = 0; r < DROP_REASONS; r++)
			sum += counter_get(&p->dropped[r]);
		assert_int_equal(counter_get(&p->submitted), sum);
	}
}

static void sink_counts_and_records_each_datagram(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->peers[0].address, "hello", 2);

	begin(f, ACTION_SINK, 0);
	run(f, &train, 1);
	assert_int_equal(counter_get(&f->counters.received), 3);
	assert_int_equal(counter_get(&f->counters.received_bytes), 5);
	assert_int_equal(counter_get(&f->counters.sunk), 3);
	assert_int_equal(recorded_count, 3);
	assert_int_equal(recorded[2].record.size, 1);
	assert_memory_equal(recorded[2].payload, "o", 1);
	assert_int_equal(recorded[0].record.verdict, VERDICT_SUNK);
	assert_balance(f);
}

static void echo_sends_each_datagram_back(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->peers[0].address, "aabbc", 2);

	begin(f, ACTION_ECHO, 0);
	run(f, &train, 1);
	expect(f->sinks[0], "aa");
	expect(f->sinks[0], "bb");
	expect(f->sinks[0], "c");
	assert_int_equal(counter_get(&f->counters.echoed), 3);
	assert_int_equal(recorded[0].record.verdict, VERDICT_ECHOED);
	assert_balance(f);
}

static void guard_drops_a_loop(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "hello", 2);

	f->config.loop_guard = true;
	begin(f, ACTION_ECHO, 0);
	run(f, &train, 1);
	assert_int_equal(counter_get(&f->counters.dropped[DROP_LOOP]), 3);
	assert_int_equal(recorded[0].record.verdict, VERDICT_DROPPED);
	assert_int_equal(recorded[0].record.reason, DROP_LOOP);
	assert_balance(f);
}

/* The limit comes after the access check, whose drops cost no credit, and before the size. One of 32 trains over the
 * limit passes at random, so the test accepts a range. */
static void source_limit_comes_after_the_access_check(void **state)
{
	struct fixture *f = *state;
	struct source_limit *limit;
	struct train refused = train_of(&f->local, "aabb", 2), train;
	uint64_t over;

	f->config.loop_guard = true;
	begin(f, ACTION_ECHO, 0);
	assert_int_equal(source_limit_create(&limit, 1, 4), 0);
	f->pipeline.source_limit = limit;
	run(f, &refused, 1);
	for (int i = 0; i < 102; i++) {
		train = train_of(&f->peers[0].address, "aa", 1);
		recorded_count = 0;
		run(f, &train, 1);
	}
	over = counter_get(&f->counters.dropped[DROP_SOURCE_LIMIT]);
	assert_int_equal(counter_get(&f->counters.dropped[DROP_LOOP]), 2);
	assert_in_range(over, 2 * 60, 2 * 100);
	assert_int_equal(counter_get(&f->counters.echoed), 2 * 102 - over);
	assert_balance(f);
	source_limit_destroy(limit);
}

static void max_datagram_spares_a_shorter_last_datagram(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->peers[0].address, "aaabbbc", 3);

	f->config.max_datagram = 2;
	begin(f, ACTION_ECHO, 0);
	run(f, &train, 1);
	expect(f->sinks[0], "c");
	expect_nothing(f->sinks[0]);
	assert_int_equal(counter_get(&f->counters.dropped[DROP_TOO_LARGE]), 2);
	assert_int_equal(counter_get(&f->counters.echoed), 1);
	assert_int_equal(recorded[0].record.reason, DROP_TOO_LARGE);
	assert_int_equal(recorded[2].record.verdict, VERDICT_ECHOED);
	assert_balance(f);
}

static void forward_copies_to_every_peer(void **state)
{
	struct fixture *f = *state;
	struct train trains[2] = {train_of(&f->local, "aab", 2), train_of(&f->local, "", 0)};

	begin(f, ACTION_FORWARD, PEERS);
	run(f, trains, 2);
	for (size_t i = 0; i < PEERS; i++) {
		expect(f->sinks[i], "aa");
		expect(f->sinks[i], "b");
		expect(f->sinks[i], "");
		assert_int_equal(counter_get(&f->peer_sockets[i].counters.sent), 3);
		assert_int_equal(counter_get(&f->peer_sockets[i].counters.sent_bytes), 3);
	}
	assert_int_equal(recorded_count, 3);
	assert_int_equal(recorded[0].record.sent, 3);
	assert_int_equal(recorded[0].record.copies, 3);
	assert_balance(f);
}

static void peer_that_is_down_loses_only_its_own_copy(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "aab", 2);

	f->peers[1].host = (char *)"name.invalid";
	begin(f, ACTION_FORWARD, PEERS);
	run(f, &train, 1);
	expect(f->sinks[0], "aa");
	expect(f->sinks[2], "aa");
	expect_nothing(f->sinks[1]);
	assert_int_equal(counter_get(&f->peer_sockets[1].counters.dropped[DROP_UNRESOLVED]), 2);
	assert_int_equal(counter_get(&f->counters.forwarded), 2);
	assert_int_equal(recorded[0].record.sent, 2);
	assert_int_equal(recorded[0].record.verdict, VERDICT_FORWARDED);
	assert_balance(f);

	peer_socket_set_address(&f->peer_sockets[1], &f->peers[1].address);
	train = train_of(&f->local, "again", 0);
	run(f, &train, 1);
	expect(f->sinks[1], "again");
	assert_balance(f);
}

static void datagram_without_any_copy_counts_as_dropped(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "aab", 2);

	f->peers[0].host = (char *)"name.invalid";
	begin(f, ACTION_FORWARD, 1);
	run(f, &train, 1);
	assert_int_equal(counter_get(&f->counters.dropped[DROP_UNRESOLVED]), 2);
	assert_int_equal(recorded[1].record.verdict, VERDICT_DROPPED);
	assert_int_equal(recorded[1].record.reason, DROP_UNRESOLVED);
	assert_balance(f);
}

static void each_peer_gets_its_charset(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "\xc4\xe3\xba\xc3!!", 4);
	static char *from[] = {gbk};

	f->config.encodings = from;
	f->peers[0].encoding = utf8;
	begin(f, ACTION_FORWARD, 2);
	run(f, &train, 1);
	expect(f->sinks[0], "\xe4\xbd\xa0\xe5\xa5\xbd");
	expect(f->sinks[0], "!!");
	expect(f->sinks[1], "\xc4\xe3\xba\xc3");
	assert_balance(f);
}

static void strict_conversion_drops_only_the_unconvertible_copy(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "ok\xc3\xa9", 2);

	f->peers[0].encoding = ascii;
	begin(f, ACTION_FORWARD, 2);
	run(f, &train, 1);
	expect(f->sinks[0], "ok");
	expect_nothing(f->sinks[0]);
	expect(f->sinks[1], "ok");
	expect(f->sinks[1], "\xc3\xa9");
	assert_int_equal(counter_get(&f->peer_sockets[0].counters.dropped[DROP_UNCONVERTIBLE]), 1);
	assert_int_equal(recorded[1].record.sent, 1);
	assert_int_equal(recorded[1].record.copies, 2);
	assert_balance(f);
}

static void every_nth_datagram_is_recorded(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of(&f->local, "0123456789", 1);

	f->config.log_every = 4;
	begin(f, ACTION_SINK, 0);
	run(f, &train, 1);
	run(f, &train, 1);
	assert_int_equal(recorded_count, 5);
	assert_memory_equal(recorded[0].payload, "0", 1);
	assert_memory_equal(recorded[1].payload, "4", 1);
	assert_memory_equal(recorded[3].payload, "2", 1);
	assert_balance(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(sink_counts_and_records_each_datagram),
		test(echo_sends_each_datagram_back),
		test(guard_drops_a_loop),
		test(source_limit_comes_after_the_access_check),
		test(max_datagram_spares_a_shorter_last_datagram),
		test(forward_copies_to_every_peer),
		test(peer_that_is_down_loses_only_its_own_copy),
		test(datagram_without_any_copy_counts_as_dropped),
		test(each_peer_gets_its_charset),
		test(strict_conversion_drops_only_the_unconvertible_copy),
		test(every_nth_datagram_is_recorded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

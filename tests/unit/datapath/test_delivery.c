/* Chunks and outcomes of a delivery, without a kernel: the tests write into the chunks what a flush would. The linker
 * replaces record_ring_push(), ring_guard_check(), and __assert_fail() so that a failed assertion can be expected. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "datapath/delivery.h"
#include "tests/unit/support/captured_log.h"

struct pushed {
	struct datagram_record record;
	char payload[8];
};

static struct pushed pushed[TRAIN_MAX];
static unsigned pushed_count;

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record);

void __wrap_record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	struct pushed *p = &pushed[pushed_count++];

	(void)ring;
	p->record = *record;
	memcpy(p->payload, record->payload, record->size < sizeof(p->payload) ? record->size : sizeof(p->payload));
}

/* Whether the ring guard drops, and the direction of the last train that it examined. */
static bool ring_found;
static unsigned ring_checks;
static enum ring_direction ring_direction;

bool __wrap_ring_guard_check(struct ring_guard *guard, struct ring_guard_sampler *sampler, const struct address *client,
			     enum ring_direction direction, struct train *train, uint64_t now_ms);

bool __wrap_ring_guard_check(struct ring_guard *guard, struct ring_guard_sampler *sampler, const struct address *client,
			     enum ring_direction direction, struct train *train, uint64_t now_ms)
{
	(void)guard, (void)sampler, (void)client, (void)train, (void)now_ms;
	ring_checks++;
	ring_direction = direction;
	return ring_found;
}

void __wrap___assert_fail(const char *assertion, const char *file, unsigned line, const char *function);

void __wrap___assert_fail(const char *assertion, const char *file, unsigned line, const char *function)
{
	(void)function;
	mock_assert(0, assertion, file, (int)line);
	abort();
}

struct fixture {
	struct listener_config config;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct delivery_context context;
	struct address to;
	struct tx_socket tx, other_tx;
	struct converter *converter;
	struct outcome outcome;
	struct peer_counters counters;
	struct captured_log log;
};

static uint8_t text[] = "aabbccddeef";

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	pushed_count = ring_checks = 0;
	ring_found = false;
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	f->config.name = (char *)"test";
	f->config.log_every = 1;
	f->tx.gso = f->other_tx.gso = true;
	f->context = (struct delivery_context){.config = &f->config, .arena = &f->arena, .log = f->log.log};
	assert_int_equal(address_from_ip(&f->to, "127.0.0.1", 9), 0);
	assert_int_equal(tx_batch_create(&f->tx_batch, 512, 8), 0);
	f->context.tx_batch = f->tx_batch;
	*state = f;
	return arena_create(&f->arena, 1);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	converter_destroy(f->converter);
	arena_destroy(&f->arena);
	tx_batch_destroy(f->tx_batch);
	captured_log_close(&f->log);
	return 0;
}

/* Datagrams aa, bb, cc, dd, ee and f. */
static struct train train_of_six(void)
{
	return (struct train){.data = text, .size = 11, .segment = 2, .count = 6, .end = 6};
}

/* 128 datagrams of one byte. */
static struct train longest_train(void)
{
	static uint8_t bytes[TRAIN_MAX];

	return (struct train){.data = bytes, .size = TRAIN_MAX, .segment = 1, .count = TRAIN_MAX, .end = TRAIN_MAX};
}

static struct tx_chunk *enqueue(struct fixture *f, const struct train *train)
{
	struct delivery delivery = {.destination = {.socket = &f->tx, .to = &f->to}, .converter = f->converter};

	return delivery_enqueue(&f->context, &delivery, train);
}

/* From UTF-8 to another charset. */
static void convert_to(struct fixture *f, const char *charset)
{
	static char utf8[] = "utf-8";
	char *from[] = {utf8};

	assert_int_equal(converter_create(&f->converter, from, 1, charset, CODEC_STRICT, CONFIG_DATAGRAM_MAX), 0);
}

static void assert_chunk(const struct tx_chunk *chunk, const char *bytes, uint32_t segment, uint32_t count)
{
	assert_int_equal(chunk->size, strlen(bytes));
	assert_memory_equal(chunk->data, bytes, chunk->size);
	assert_int_equal(chunk->segment, segment);
	assert_int_equal(chunk->count, count);
}

static uint64_t count_of(const counter *c)
{
	return counter_get(c);
}

/* --- Before the flush --- */

static void whole_train_is_one_chunk_without_a_copy(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunk = enqueue(f, &train);

	assert_chunk(chunk, "aabbccddeef", 2, 6);
	assert_ptr_equal(chunk->data, text);
	assert_ptr_equal(chunk->socket, &f->tx);
	assert_int_equal(chunk->dropped, 0);
}

static void skipped_datagrams_are_not_queued(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	train.skip = 5; /* all but the shorter last datagram are too large */
	assert_chunk(enqueue(f, &train), "f", 2, 1);
	train.skip = 2;
	assert_chunk(enqueue(f, &train), "ccddeef", 2, 4);
}

static void datagrams_behind_the_end_are_not_queued(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	train.end = 5;
	assert_chunk(enqueue(f, &train), "aabbccddee", 2, 5);
	train.skip = 1;
	train.end = 3;
	assert_chunk(enqueue(f, &train), "bbcc", 2, 2);
}

static void long_train_is_several_adjacent_chunks(void **state)
{
	struct fixture *f = *state;
	struct train train = longest_train();
	struct tx_chunk *chunks = enqueue(f, &train);

	assert_int_equal(chunks[0].count, TX_CHUNK_DATAGRAMS);
	assert_int_equal(chunks[1].count, TRAIN_MAX - TX_CHUNK_DATAGRAMS);
	assert_ptr_equal(chunks[1].data, chunks[0].data + chunks[0].size);
}

static void converted_datagrams_are_a_chunk_each(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunks;

	convert_to(f, "utf-16-be");
	train.skip = 1;
	train.end = 6;
	chunks = enqueue(f, &train);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(chunks[i].count, 1);
		assert_int_equal(chunks[i].size, 4);
		assert_int_equal(chunks[i].data[1], "bcde"[i]);
		assert_int_equal(chunks[i].data[3], "bcde"[i]);
	}
	assert_int_equal(chunks[4].size, 2);
	assert_int_equal(chunks[4].data[1], 'f');
	assert_ptr_equal(chunks[0].data, f->arena.bytes);
	assert_int_equal(f->arena.used, 4 * 4 + 2);
}

static void unconvertible_datagram_drops_only_its_chunk(void **state)
{
	struct fixture *f = *state;
	static uint8_t bytes[] = "ok\xc3\xa9no";
	struct train train = {.data = bytes, .size = 6, .segment = 2, .count = 3, .end = 3};
	struct tx_chunk *chunks;

	convert_to(f, "ascii");
	chunks = enqueue(f, &train);
	assert_chunk(&chunks[0], "ok", 2, 1);
	assert_int_equal(chunks[1].dropped, 1);
	assert_int_equal(chunks[1].reason, DROP_UNCONVERTIBLE);
	assert_null(chunks[1].socket);
	assert_chunk(&chunks[2], "no", 2, 1);
	assert_int_equal(f->arena.used, 4);
}

static void unconvertible_first_datagram_is_the_first_chunk(void **state)
{
	struct fixture *f = *state;
	static uint8_t bytes[] = "\xc3\xa9ok";
	struct train train = {.data = bytes, .size = 4, .segment = 2, .count = 2, .end = 2};
	struct tx_chunk *chunks;

	convert_to(f, "ascii");
	chunks = enqueue(f, &train);
	assert_int_equal(chunks[0].dropped, 1);
	assert_chunk(&chunks[1], "ok", 2, 1);
}

static void conversion_beyond_the_room_is_too_large(void **state)
{
	struct fixture *f = *state;
	uint8_t out[8];
	size_t made = 0;

	convert_to(f, "utf-16-be");
	assert_int_equal(delivery_convert(f->converter, "abcd", 4, out, 8, &made), DROP_NONE);
	assert_int_equal(made, 8);
	assert_int_equal(delivery_convert(f->converter, "abcde", 5, out, 8, &made), DROP_TOO_LARGE);
}

static void conversion_beyond_the_largest_datagram_is_too_large(void **state)
{
	struct fixture *f = *state;
	size_t size = CONFIG_DATAGRAM_MAX / 2 + 1, made = 0;
	uint8_t *in = calloc(1, size), *out = malloc(4 * size);

	assert_non_null(in);
	assert_non_null(out);
	convert_to(f, "utf-16-be");
	assert_int_equal(delivery_convert(f->converter, in, size - 1, out, 4 * size, &made), DROP_NONE);
	assert_int_equal(made, 2 * (size - 1));
	assert_int_equal(delivery_convert(f->converter, in, size, out, 4 * size, &made), DROP_TOO_LARGE);
	free(in);
	free(out);
}

static void dropped_chunks_have_the_reason_and_no_socket(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunk;

	train.skip = 1;
	train.end = 4;
	chunk = delivery_enqueue_dropped(&f->context, &train, DROP_UNRESOLVED);
	assert_chunk(chunk, "bbccdd", 2, 3);
	assert_null(chunk->socket);
	assert_int_equal(chunk->dropped, 7);
	assert_int_equal(chunk->reason, DROP_UNRESOLVED);
}

static void ring_guard_examines_nothing_if_it_is_off(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	delivery_check_ring(&f->context, &f->to, RING_FROM_CLIENT, &train, 1);
	assert_int_equal(ring_checks, 0);
}

static void ring_is_logged_with_its_direction(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	f->context.ring_guard = (struct ring_guard *)f; /* never dereferenced */
	delivery_check_ring(&f->context, &f->to, RING_FROM_CLIENT, &train, 1);
	assert_int_equal(ring_checks, 1);
	assert_not_logged(&f->log, "repeat");
	ring_found = true;
	delivery_check_ring(&f->context, &f->to, RING_FROM_CLIENT, &train, 1);
	assert_int_equal(ring_direction, RING_FROM_CLIENT);
	assert_logged(&f->log, "warning: listener test: datagrams from 127.0.0.1:9 repeat");
	delivery_check_ring(&f->context, &f->to, RING_TO_CLIENT, &train, 1);
	assert_int_equal(ring_direction, RING_TO_CLIENT);
	assert_logged(&f->log, "warning: listener test: datagrams to 127.0.0.1:9 repeat");
}

/* --- Outcome --- */

static void initial_outcome_has_a_reason_outside_of_skip_and_end(void **state)
{
	static const enum drop_reason expected[] = {DROP_TOO_LARGE, DROP_TOO_LARGE,  DROP_NONE,
						    DROP_NONE,      DROP_UNEXPECTED, DROP_UNEXPECTED};
	struct fixture *f = *state;
	struct train train = train_of_six();

	train.skip = 2;
	train.skip_reason = DROP_TOO_LARGE;
	train.end = 4;
	train.end_reason = DROP_UNEXPECTED;
	memset(&f->outcome, 0xff, sizeof(f->outcome));
	outcome_init(&f->outcome, &train);
	for (int i = 0; i < 6; i++) {
		assert_int_equal(f->outcome.sent[i], 0);
		assert_int_equal(f->outcome.reason[i], expected[i]);
	}
	assert_int_equal(f->outcome.total_sent, 0);
	assert_null(f->outcome.peer);
}

static void initial_outcome_of_a_dropped_train_has_its_reason(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	train.skip = 2;
	train.skip_reason = DROP_TOO_LARGE;
	train.end = 4;
	train.end_reason = DROP_UNEXPECTED;
	train.drop = DROP_LOOP;
	outcome_init(&f->outcome, &train);
	for (int i = 0; i < 6; i++)
		assert_int_equal(f->outcome.reason[i], DROP_LOOP);
}

static void collect_reads_all_chunks_by_position(void **state)
{
	struct fixture *f = *state;
	struct train train = longest_train();
	struct tx_chunk *chunks;

	train.skip = 1;
	train.skip_reason = DROP_RING;
	chunks = enqueue(f, &train);
	chunks[0].dropped = UINT64_C(1) << 2;
	chunks[0].reason = DROP_REFUSED;
	chunks[1].dropped = UINT64_C(1) << 62; /* the last of 63 */
	chunks[1].reason = DROP_CONGESTED;
	outcome_init(&f->outcome, &train);
	assert_ptr_equal(outcome_collect(&f->outcome, &train, chunks, &f->tx, NULL), chunks + 2);
	assert_int_equal(f->outcome.total_sent, TRAIN_MAX - 3);
	for (unsigned i = 0; i < TRAIN_MAX; i++)
		assert_int_equal(f->outcome.sent[i], i != 0 && i != 3 && i != TRAIN_MAX - 1);
	assert_int_equal(f->outcome.reason[0], DROP_RING);
	assert_int_equal(f->outcome.reason[3], DROP_REFUSED);
	assert_int_equal(f->outcome.reason[TRAIN_MAX - 1], DROP_CONGESTED);
}

static void collect_adds_up_several_destinations(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct delivery other = {.destination = {.socket = &f->other_tx, .to = &f->to}};
	const struct tx_chunk *next;
	struct tx_chunk *first = enqueue(f, &train);
	struct tx_chunk *second = delivery_enqueue_dropped(&f->context, &train, DROP_UNRESOLVED);
	struct tx_chunk *third = delivery_enqueue(&f->context, &other, &train);

	third->dropped = 1;
	third->reason = DROP_DENIED;
	outcome_init(&f->outcome, &train);
	next = outcome_collect(&f->outcome, &train, first, &f->tx, NULL);
	assert_ptr_equal(next, second);
	next = outcome_collect(&f->outcome, &train, next, &f->tx, NULL);
	assert_ptr_equal(next, third);
	outcome_collect(&f->outcome, &train, next, &f->other_tx, NULL);
	assert_int_equal(f->outcome.sent[0], 1);
	assert_int_equal(f->outcome.sent[1], 2);
	assert_int_equal(f->outcome.total_sent, 11);
	assert_int_equal(f->outcome.reason[0], DROP_DENIED);
}

static void collect_asserts_that_the_chunk_is_of_the_socket(void **state)
{
#ifdef NDEBUG
	(void)state;
	skip();
#else
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunk = enqueue(f, &train);

	outcome_init(&f->outcome, &train);
	expect_assert_failure(outcome_collect(&f->outcome, &train, chunk, &f->other_tx, NULL));
#endif
}

static void collect_asserts_that_the_chunk_ends_within_the_train(void **state)
{
#ifdef NDEBUG
	(void)state;
	skip();
#else
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunk = enqueue(f, &train);

	train.end = 5;
	outcome_init(&f->outcome, &train);
	expect_assert_failure(outcome_collect(&f->outcome, &train, chunk, &f->tx, NULL));
#endif
}

/* The last of the dropped datagrams is shorter. */
static void peer_counters_have_datagrams_bytes_and_reasons(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct tx_chunk *chunk = enqueue(f, &train);

	chunk->dropped = 1 << 1 | 1 << 5;
	chunk->reason = DROP_CONGESTED;
	outcome_init(&f->outcome, &train);
	outcome_collect(&f->outcome, &train, chunk, &f->tx, &f->counters);
	assert_int_equal(count_of(&f->counters.submitted), 6);
	assert_int_equal(count_of(&f->counters.sent), 4);
	assert_int_equal(count_of(&f->counters.sent_bytes), 8);
	assert_int_equal(count_of(&f->counters.dropped[DROP_CONGESTED]), 2);
	assert_int_equal(drops_total(f->counters.dropped), 2);
}

static void peer_counters_leave_out_skipped_datagrams(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();

	train.skip = 4;
	outcome_init(&f->outcome, &train);
	outcome_collect(&f->outcome, &train, enqueue(f, &train), &f->tx, &f->counters);
	assert_int_equal(count_of(&f->counters.submitted), 2);
	assert_int_equal(count_of(&f->counters.sent_bytes), 3);
	assert_int_equal(drops_total(f->counters.dropped), 0);
}

static void datagrams_without_any_destination_count_as_dropped(void **state)
{
	struct fixture *f = *state;
	counter dropped[DROP_REASONS] = {0};

	f->outcome = (struct outcome){.sent = {0, 3, 0, 1},
				      .reason = {DROP_REFUSED, DROP_REFUSED, DROP_TOO_LARGE, DROP_NONE}};
	assert_int_equal(outcome_count_sent(&f->outcome, 4, dropped), 2);
	assert_int_equal(count_of(&dropped[DROP_REFUSED]), 1);
	assert_int_equal(count_of(&dropped[DROP_TOO_LARGE]), 1);
	assert_int_equal(drops_total(dropped), 2);
}

static void unsent_datagram_without_a_reason_fails_an_assertion(void **state)
{
#ifdef NDEBUG
	(void)state;
	skip();
#else
	struct fixture *f = *state;
	counter dropped[DROP_REASONS] = {0};

	expect_assert_failure(outcome_count_sent(&f->outcome, 1, dropped));
#endif
}

/* --- Records --- */

static void every_record_has_its_datagram_and_its_verdict(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct datagram_record record = {.time_us = 7};

	outcome_init(&f->outcome, &train);
	for (int i = 0; i < 5; i++)
		f->outcome.sent[i] = 2;
	f->outcome.reason[5] = DROP_REFUSED;
	delivery_record(&f->context, &record, VERDICT_FORWARDED, &f->outcome, &train);
	assert_int_equal(pushed_count, 6);
	assert_int_equal(pushed[4].record.size, 2);
	assert_memory_equal(pushed[4].payload, "ee", 2);
	assert_int_equal(pushed[4].record.sent, 2);
	assert_int_equal(pushed[4].record.verdict, VERDICT_FORWARDED);
	assert_int_equal(pushed[5].record.size, 1);
	assert_memory_equal(pushed[5].payload, "f", 1);
	assert_int_equal(pushed[5].record.verdict, VERDICT_DROPPED);
	assert_int_equal(pushed[5].record.reason, DROP_REFUSED);
	assert_int_equal(pushed[5].record.time_us, 7);
}

/* The selection continues across trains: datagrams 1, 5, 9 of twelve. */
static void every_nth_datagram_is_recorded_across_trains(void **state)
{
	struct fixture *f = *state;
	struct train train = train_of_six();
	struct datagram_record record = {0};

	f->config.log_every = 4;
	outcome_init(&f->outcome, &train);
	delivery_record(&f->context, &record, VERDICT_SUNK, &f->outcome, &train);
	assert_int_equal(pushed_count, 2);
	delivery_record(&f->context, &record, VERDICT_SUNK, &f->outcome, &train);
	assert_int_equal(pushed_count, 3);
	assert_memory_equal(pushed[0].payload, "aa", 2);
	assert_memory_equal(pushed[1].payload, "ee", 2);
	assert_memory_equal(pushed[2].payload, "cc", 2);
}

/* --- Arena --- */

static void arena_without_destinations_has_no_memory(void **state)
{
	struct arena arena;

	(void)state;
	assert_int_equal(arena_create(&arena, 0), 0);
	assert_null(arena.bytes);
	assert_int_equal(arena.size, 0);
	arena_destroy(&arena);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(whole_train_is_one_chunk_without_a_copy),
		test(skipped_datagrams_are_not_queued),
		test(datagrams_behind_the_end_are_not_queued),
		test(long_train_is_several_adjacent_chunks),
		test(converted_datagrams_are_a_chunk_each),
		test(unconvertible_datagram_drops_only_its_chunk),
		test(unconvertible_first_datagram_is_the_first_chunk),
		test(conversion_beyond_the_room_is_too_large),
		test(conversion_beyond_the_largest_datagram_is_too_large),
		test(dropped_chunks_have_the_reason_and_no_socket),
		test(ring_guard_examines_nothing_if_it_is_off),
		test(ring_is_logged_with_its_direction),
		test(initial_outcome_has_a_reason_outside_of_skip_and_end),
		test(initial_outcome_of_a_dropped_train_has_its_reason),
		test(collect_reads_all_chunks_by_position),
		test(collect_adds_up_several_destinations),
		test(collect_asserts_that_the_chunk_is_of_the_socket),
		test(collect_asserts_that_the_chunk_ends_within_the_train),
		test(peer_counters_have_datagrams_bytes_and_reasons),
		test(peer_counters_leave_out_skipped_datagrams),
		test(datagrams_without_any_destination_count_as_dropped),
		test(unsent_datagram_without_a_reason_fails_an_assertion),
		test(every_record_has_its_datagram_and_its_verdict),
		test(every_nth_datagram_is_recorded_across_trains),
		test(arena_without_destinations_has_no_memory),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

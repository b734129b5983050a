#include "datapath/delivery.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

/* The largest growth by conversion: a byte without equivalent becomes \xNN, which is sixteen bytes in UTF-32; and each
 * datagram gets a byte order mark. */
#define CONVERSION_EXPANSION 16
#define CONVERSION_MARKS (TRAIN_MAX * 4)

int arena_create(struct arena *arena, size_t destinations)
{
	size_t train = (size_t)RX_SLOT_SIZE * CONVERSION_EXPANSION + CONVERSION_MARKS;

	*arena = (struct arena){.size = destinations * DELIVERY_CONVERTED_TRAINS * train};
	if (!arena->size)
		return 0;
	arena->bytes =
		mmap(NULL, arena->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->bytes != MAP_FAILED)
		return 0;
	*arena = (struct arena){0};
	return -ENOMEM;
}

void arena_destroy(struct arena *arena)
{
	if (arena->bytes)
		munmap(arena->bytes, arena->size);
}

/* --- Before the flush --- */

void delivery_check_ring(struct delivery_context *context, const struct address *client, enum ring_direction direction,
			 struct train *train, uint64_t now_ms)
{
	char text[ADDRESS_TEXT_MAX];

	if (!context->ring_guard ||
	    !ring_guard_check(context->ring_guard, &context->ring_guard_sampler, client, direction, train, now_ms))
		return;
	log_write_limited(context->log, &context->ring_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: datagrams %s %s repeat as in a loop: some are dropped (ring); to allow "
			  "this, write `ring_guard = off`",
			  context->config->name, direction == RING_TO_CLIENT ? "to" : "from",
			  address_format(client, text));
}

/* The datagrams [skip, end) of the train. */
static struct tx_payload delivery_payload(const struct train *train)
{
	uint32_t begin = train->skip * train->segment;
	uint32_t end = train->end < train->count ? train->end * train->segment : train->size;

	return (struct tx_payload){train->data + begin, end - begin, train->segment,
				   (uint32_t)(train->end - train->skip)};
}

enum drop_reason delivery_convert(struct converter *converter, const void *data, size_t size, uint8_t *out, size_t room,
				  size_t *made)
{
	ssize_t length =
		converter_run(converter, data, size, out, room < CONFIG_DATAGRAM_MAX ? room : CONFIG_DATAGRAM_MAX);

	if (length < 0)
		return length == -EILSEQ ? DROP_UNCONVERTIBLE : DROP_TOO_LARGE;
	*made = (size_t)length;
	return DROP_NONE;
}

static struct tx_chunk *delivery_enqueue_converted(struct delivery_context *context, const struct delivery *delivery,
						   const uint8_t *data, uint32_t size)
{
	struct arena *arena = context->arena;
	uint8_t *out = arena->bytes + arena->used;
	size_t made;
	enum drop_reason reason =
		delivery_convert(delivery->converter, data, size, out, arena->size - arena->used, &made);

	if (reason)
		return tx_batch_add_dropped(context->tx_batch, (struct tx_payload){data, size, size, 1}, reason);
	arena->used += made;
	return tx_batch_add(context->tx_batch, &delivery->destination,
			    (struct tx_payload){out, (uint32_t)made, (uint32_t)made, 1});
}

struct tx_chunk *delivery_enqueue(struct delivery_context *context, const struct delivery *delivery,
				  const struct train *train)
{
	struct tx_chunk *first = NULL;

	if (!delivery->converter)
		return tx_batch_add(context->tx_batch, &delivery->destination, delivery_payload(train));
	for (uint32_t i = train->skip; i < train->end; i++) {
		struct tx_chunk *chunk = delivery_enqueue_converted(
			context, delivery, train->data + (size_t)i * train->segment, train_datagram_size(train, i));

		first = first ? first : chunk;
	}
	return first;
}

struct tx_chunk *delivery_enqueue_dropped(struct delivery_context *context, const struct train *train,
					  enum drop_reason reason)
{
	return tx_batch_add_dropped(context->tx_batch, delivery_payload(train), reason);
}

/* --- After the flush --- */

void outcome_init(struct outcome *outcome, const struct train *train)
{
	outcome->total_sent = 0;
	outcome->peer = NULL;
	memset(outcome->sent, 0, train->count * sizeof(outcome->sent[0]));
	memset(outcome->reason, (int)train->drop, train->count);
	if (train->drop)
		return;
	memset(outcome->reason, (int)train->skip_reason, train->skip);
	memset(outcome->reason + train->end, (int)train->end_reason, (size_t)(train->count - train->end));
}

static void peer_counters_count(struct peer_counters *counters, const struct tx_chunk *chunk)
{
	uint32_t dropped = (uint32_t)__builtin_popcountll(chunk->dropped);
	uint64_t bytes = chunk->size;

	for (uint32_t i = 0; dropped && i < chunk->count; i++) {
		if (chunk->dropped >> i & 1)
			bytes -= i + 1u < chunk->count ? chunk->segment : chunk->size - i * chunk->segment;
	}
	counter_add(&counters->submitted, chunk->count);
	counter_add(&counters->sent, chunk->count - dropped);
	counter_add(&counters->sent_bytes, bytes);
	if (dropped)
		counter_add(&counters->dropped[chunk->reason], dropped);
}

const struct tx_chunk *outcome_collect(struct outcome *outcome, const struct train *train, const struct tx_chunk *chunk,
				       const struct tx_socket *tx, struct peer_counters *counters)
{
	for (uint32_t first = train->skip; first < train->end; first += chunk->count, chunk++) {
		assert(!chunk->socket || chunk->socket == tx);
		assert(first + chunk->count <= train->end);
		if (counters)
			peer_counters_count(counters, chunk);
		for (uint32_t i = 0; i < chunk->count; i++) {
			if (chunk->dropped >> i & 1) {
				outcome->reason[first + i] = (uint8_t)chunk->reason;
			} else {
				outcome->sent[first + i]++;
				outcome->total_sent++;
			}
		}
	}
	return chunk;
}

uint32_t outcome_count_sent(const struct outcome *outcome, uint32_t datagrams, counter dropped[DROP_REASONS])
{
	uint32_t sent = 0;

	for (uint32_t i = 0; i < datagrams; i++) {
		if (outcome->sent[i]) {
			sent++;
			continue;
		}
		assert(outcome->reason[i] != DROP_NONE);
		counter_add(&dropped[outcome->reason[i]], 1);
	}
	return sent;
}

void delivery_record(struct delivery_context *context, struct datagram_record *record, enum verdict verdict,
		     const struct outcome *outcome, const struct train *train)
{
	for (uint32_t i = 0; i < train->count; i++) {
		if (context->unrecorded) {
			context->unrecorded--;
			continue;
		}
		context->unrecorded = context->config->log_every - 1;
		record->payload = train->data + (size_t)i * train->segment;
		record->size = train_datagram_size(train, i);
		record->sent = outcome->sent[i];
		record->reason = outcome->reason[i];
		record->verdict = record->sent ? verdict : VERDICT_DROPPED;
		record_ring_push(context->ring, record);
	}
}

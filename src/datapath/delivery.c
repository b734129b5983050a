#include "datapath/delivery.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "config/config.h"

/* What conversion may make of a train: a byte that cannot be said becomes \xNN, in UTF-32 sixteen bytes; and a byte
 * order mark for each datagram. */
#define CONVERSION_EXPANSION 16
#define CONVERSION_MARKS (TRAIN_MAX * 4)

int arena_create(struct arena *arena, size_t ways)
{
	size_t train = (size_t)RX_SLOT_SIZE * CONVERSION_EXPANSION + CONVERSION_MARKS;

	*arena = (struct arena){.size = ways * DELIVERY_CONVERTED_TRAINS * train};
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

/* --- Towards the flush --- */

static struct tx_chunk *take_whole(struct delivery_context *carrier, const struct delivery *way,
				   const struct train *train)
{
	uint32_t skipped = train->skip * train->segment;
	struct tx_chunk *first;

	tx_batch_add(carrier->egress, way->outlet, way->to, way->from, train->data + skipped, train->size - skipped,
		     train->segment, (uint32_t)(train->count - train->skip), &first);
	return first;
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

static struct tx_chunk *convert_datagram(struct delivery_context *carrier, const struct delivery *way,
					 const uint8_t *data, uint32_t size)
{
	struct arena *arena = carrier->arena;
	uint8_t *out = arena->bytes + arena->used;
	size_t made;
	enum drop_reason reason = delivery_convert(way->converter, data, size, out, arena->size - arena->used, &made);
	struct tx_chunk *copy;

	if (reason) {
		tx_batch_add_dropped(carrier->egress, data, size, size, 1, reason, &copy);
		return copy;
	}
	arena->used += made;
	tx_batch_add(carrier->egress, way->outlet, way->to, way->from, out, (uint32_t)made, (uint32_t)made, 1, &copy);
	return copy;
}

static struct tx_chunk *convert(struct delivery_context *carrier, const struct delivery *way, const struct train *train)
{
	struct tx_chunk *first = NULL;

	for (uint32_t i = train->skip; i < train->count; i++) {
		struct tx_chunk *copy = convert_datagram(carrier, way, train->data + (size_t)i * train->segment,
							 train_datagram_size(train, i));
		if (!first)
			first = copy;
	}
	return first;
}

struct tx_chunk *delivery_enqueue(struct delivery_context *carrier, const struct delivery *way,
				  const struct train *train)
{
	return way->converter ? convert(carrier, way, train) : take_whole(carrier, way, train);
}

struct tx_chunk *delivery_enqueue_dropped(struct delivery_context *carrier, const struct train *train,
					  enum drop_reason reason)
{
	uint32_t skipped = train->skip * train->segment;
	struct tx_chunk *first;

	tx_batch_add_dropped(carrier->egress, train->data + skipped, train->size - skipped, train->segment,
			     (uint32_t)(train->count - train->skip), reason, &first);
	return first;
}

/* --- After the flush --- */

void outcome_init(struct outcome *outcome, uint32_t datagrams, enum drop_reason reason)
{
	memset(outcome->sent, 0, datagrams * sizeof(outcome->sent[0]));
	memset(outcome->reason, (int)reason, datagrams);
	outcome->total = 0;
	outcome->peer = NULL;
}

const struct tx_chunk *outcome_collect(struct outcome *outcome, const struct train *train, const struct tx_chunk *copy,
				       struct peer_socket *peer)
{
	for (uint32_t at = train->skip; at < train->count; at += copy->count, copy++) {
		if (peer)
			peer_socket_count_sent(peer, copy);
		outcome->total += copy->count - tx_chunk_drops(copy);
		for (uint32_t i = 0; i < copy->count; i++) {
			if (tx_chunk_dropped(copy, i))
				outcome->reason[at + i] = (uint8_t)copy->reason;
			else
				outcome->sent[at + i]++;
		}
	}
	return copy;
}

uint32_t outcome_count_sent(const struct outcome *outcome, uint32_t datagrams, counter dropped[DROP_REASONS])
{
	uint32_t sent = 0;

	for (uint32_t i = 0; i < datagrams; i++) {
		if (outcome->sent[i])
			sent++;
		else
			counter_add(&dropped[outcome->reason[i]], 1);
	}
	return sent;
}

/* Whether log = 1/N wants this datagram. */
static bool wants_record(struct delivery_context *carrier)
{
	if (carrier->unrecorded) {
		carrier->unrecorded--;
		return false;
	}
	carrier->unrecorded = carrier->config->log_every - 1;
	return true;
}

void delivery_record(struct delivery_context *carrier, struct datagram_record *record, enum verdict verdict,
		     const struct outcome *outcome, const struct train *train)
{
	for (uint32_t i = 0; i < train->count; i++) {
		if (!wants_record(carrier))
			continue;
		record->payload = train->data + (size_t)i * train->segment;
		record->size = train_datagram_size(train, i);
		record->sent = outcome->sent[i];
		record->reason = outcome->reason[i];
		record->verdict = record->sent ? verdict : VERDICT_DROPPED;
		record_ring_push(carrier->ring, record);
	}
}

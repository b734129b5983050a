/* A ring of equally large slots in one anonymous mapping, with one producer (a worker) and one consumer (the writer
 * thread of the datagram log, whose owner also owns the ring). The producer writes a slot and then publishes it with a
 * release store of `pushed`; the consumer reads it after an acquire load, and gives it back with a release store of
 * `popped`. No lock is needed because each of the two counts has one writer. Two threads that push into one ring would
 * corrupt it. The producer never waits: if the consumer is too slow and the ring is full, a new record is dropped and
 * counted. */
#include "datagram_log/record_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define CACHE_LINE 64

/* A record and copies of the addresses and payload that it points to. */
struct record_slot {
	struct datagram_record record;
	uint32_t kept; /* bytes of payload in this slot */
	struct address source, destination;
	uint8_t payload[];
};

/* Producer and consumer have a cache line each. Each side keeps a copy of the other side's count and reads the real one
 * only if the ring seems full or empty, so that the cache lines rarely move between CPUs. */
struct record_ring {
	uint8_t *slots;
	size_t slot_size; /* bytes, a multiple of CACHE_LINE */
	uint32_t slot_count;
	uint32_t payload_max; /* bytes of payload per slot */
	struct eventcount *eventcount;

	/* Written by the producer. */
	_Alignas(CACHE_LINE) _Atomic uint64_t pushed; /* records */
	_Atomic uint64_t dropped; /* records */
	uint64_t popped_seen; /* copy of `popped` */
	uint32_t push_index;

	/* Written by the consumer. */
	_Alignas(CACHE_LINE) _Atomic uint64_t popped; /* records */
	uint64_t pushed_seen; /* copy of `pushed` */
	uint32_t pop_index;
};

int record_ring_create(struct record_ring **out, uint32_t records, uint32_t payload, struct eventcount *eventcount)
{
	struct record_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	*ring = (struct record_ring){.slot_count = records, .payload_max = payload, .eventcount = eventcount};
	ring->slot_size = (sizeof(struct record_slot) + payload + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	ring->slots = mmap(NULL, records * ring->slot_size, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (ring->slots == MAP_FAILED) {
		free(ring);
		return -ENOMEM;
	}
	*out = ring;
	return 0;
}

void record_ring_destroy(struct record_ring *ring)
{
	if (!ring)
		return;
	munmap(ring->slots, ring->slot_count * ring->slot_size);
	free(ring);
}

static struct record_slot *slot_at(const struct record_ring *ring, uint32_t i)
{
	return (struct record_slot *)(void *)(ring->slots + i * ring->slot_size);
}

static uint32_t next_index(const struct record_ring *ring, uint32_t i)
{
	return i + 1 == ring->slot_count ? 0 : i + 1;
}

/* Copies only the bytes in use: an AF_UNIX path is long. */
static void copy_address(struct address *to, const struct address *from)
{
	memcpy(to, from, offsetof(struct address, any) + from->length);
}

static void fill_slot(struct record_slot *slot, const struct datagram_record *record, uint32_t payload_max)
{
	slot->record = *record;
	slot->kept = record->size < payload_max ? record->size : payload_max;
	copy_address(&slot->source, record->source);
	copy_address(&slot->destination, record->destination);
	memcpy(slot->payload, record->payload, slot->kept);
	slot->record.source = &slot->source;
	slot->record.destination = &slot->destination;
	slot->record.payload = slot->payload;
}

static bool has_free_slot(struct record_ring *ring, uint64_t pushed)
{
	if (pushed - ring->popped_seen < ring->slot_count)
		return true;
	ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
	return pushed - ring->popped_seen < ring->slot_count;
}

void record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

	if (!has_free_slot(ring, pushed)) {
		counter_add(&ring->dropped, 1);
		return;
	}
	fill_slot(slot_at(ring, ring->push_index), record, ring->payload_max);
	ring->push_index = next_index(ring, ring->push_index);
	atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
}

void record_ring_wake(struct record_ring *ring)
{
	eventcount_notify(ring->eventcount);
}

const struct datagram_record *record_ring_peek(struct record_ring *ring, uint32_t *shown)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
	const struct record_slot *slot;

	if (popped == ring->pushed_seen)
		ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
	if (popped == ring->pushed_seen)
		return NULL;
	slot = slot_at(ring, ring->pop_index);
	*shown = slot->kept;
	return &slot->record;
}

void record_ring_pop(struct record_ring *ring)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

	ring->pop_index = next_index(ring, ring->pop_index);
	atomic_store_explicit(&ring->popped, popped + 1, memory_order_release);
}

uint64_t record_ring_dropped(const struct record_ring *ring)
{
	return atomic_load_explicit(&ring->dropped, memory_order_relaxed);
}

uint64_t record_ring_pushed(const struct record_ring *ring)
{
	return atomic_load_explicit(&ring->pushed, memory_order_acquire);
}

#include "datagram_log/record_ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "base/clock.h"

#define CACHE_LINE 64

/* --- Waking --- */

void eventcount_init(struct eventcount *waker)
{
	atomic_init(&waker->sleeping, false);
	sem_init(&waker->semaphore, 0, 0);
}

void eventcount_finish(struct eventcount *waker)
{
	sem_destroy(&waker->semaphore);
}

void eventcount_wake(struct eventcount *waker)
{
	atomic_store(&waker->sleeping, false);
	sem_post(&waker->semaphore);
}

/* The fence here and the one in record_ring_wake() pair up: either the consumer's last look finds the record, or the
 * producer finds the consumer sleeping. */
void eventcount_prepare(struct eventcount *waker)
{
	atomic_store_explicit(&waker->sleeping, true, memory_order_relaxed);
	atomic_thread_fence(memory_order_seq_cst);
}

void eventcount_cancel(struct eventcount *waker)
{
	atomic_store_explicit(&waker->sleeping, false, memory_order_relaxed);
}

void eventcount_wait(struct eventcount *waker, unsigned timeout_ms)
{
	struct timespec deadline = clock_deadline(timeout_ms);

	sem_clockwait(&waker->semaphore, CLOCK_MONOTONIC, &deadline);
	eventcount_cancel(waker);
}

/* --- The ring --- */

/* A record with what it points at; the payload follows. */
struct slot {
	struct datagram_record record;
	uint32_t kept; /* bytes of the payload */
	struct address source, destination;
	uint8_t payload[];
};

/* Each side counts what it has done, and keeps the other's count as it last saw it: so the cache lines of the two meet
 * only when the ring seems full or empty. */
struct record_ring {
	uint8_t *slots;
	size_t stride; /* bytes from slot to slot */
	uint32_t size; /* slots */
	uint32_t payload; /* bytes kept at most */
	struct eventcount *waker;

	_Alignas(CACHE_LINE) _Atomic uint64_t pushed;
	_Atomic uint64_t dropped;
	uint64_t popped_seen;
	uint32_t push_slot;

	_Alignas(CACHE_LINE) _Atomic uint64_t popped;
	uint64_t pushed_seen;
	uint32_t pop_slot;
};

int record_ring_create(struct record_ring **out, uint32_t records, uint32_t payload, struct eventcount *waker)
{
	struct record_ring *ring = aligned_alloc(CACHE_LINE, sizeof(*ring));

	if (!ring)
		return -ENOMEM;
	*ring = (struct record_ring){.size = records, .payload = payload, .waker = waker};
	ring->stride = (sizeof(struct slot) + payload + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
	ring->slots = mmap(NULL, records * ring->stride, PROT_READ | PROT_WRITE,
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
	munmap(ring->slots, ring->size * ring->stride);
	free(ring);
}

static struct slot *slot_at(const struct record_ring *ring, uint32_t i)
{
	return (struct slot *)(void *)(ring->slots + i * ring->stride);
}

static uint32_t next_slot(const struct record_ring *ring, uint32_t i)
{
	return i + 1 == ring->size ? 0 : i + 1;
}

static void copy_address(struct address *to, const struct address *from)
{
	memcpy(to, from, offsetof(struct address, any) + from->length);
}

static void fill(struct slot *slot, const struct datagram_record *record, uint32_t payload)
{
	slot->record = *record;
	slot->kept = record->size < payload ? record->size : payload;
	copy_address(&slot->source, record->source);
	copy_address(&slot->destination, record->destination);
	memcpy(slot->payload, record->payload, slot->kept);
	slot->record.source = &slot->source;
	slot->record.destination = &slot->destination;
	slot->record.payload = slot->payload;
}

static bool has_room(struct record_ring *ring, uint64_t pushed)
{
	if (pushed - ring->popped_seen < ring->size)
		return true;
	ring->popped_seen = atomic_load_explicit(&ring->popped, memory_order_acquire);
	return pushed - ring->popped_seen < ring->size;
}

void record_ring_push(struct record_ring *ring, const struct datagram_record *record)
{
	uint64_t pushed = atomic_load_explicit(&ring->pushed, memory_order_relaxed);

	if (!has_room(ring, pushed)) {
		counter_add(&ring->dropped, 1);
		return;
	}
	fill(slot_at(ring, ring->push_slot), record, ring->payload);
	ring->push_slot = next_slot(ring, ring->push_slot);
	atomic_store_explicit(&ring->pushed, pushed + 1, memory_order_release);
}

void record_ring_wake(struct record_ring *ring)
{
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&ring->waker->sleeping, memory_order_relaxed) &&
	    atomic_exchange(&ring->waker->sleeping, false))
		sem_post(&ring->waker->semaphore);
}

const struct datagram_record *record_ring_peek(struct record_ring *ring, uint32_t *shown)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);
	const struct slot *slot;

	if (popped == ring->pushed_seen)
		ring->pushed_seen = atomic_load_explicit(&ring->pushed, memory_order_acquire);
	if (popped == ring->pushed_seen)
		return NULL;
	slot = slot_at(ring, ring->pop_slot);
	*shown = slot->kept;
	return &slot->record;
}

void record_ring_pop(struct record_ring *ring)
{
	uint64_t popped = atomic_load_explicit(&ring->popped, memory_order_relaxed);

	ring->pop_slot = next_slot(ring, ring->pop_slot);
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

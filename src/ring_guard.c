#include "ring_guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "rate_table.h"
#include "siphash.h"

/* What is compared of a payload: so many bytes of its beginning and as many of its end. */
#define PART 64
#define WORDS (2 * PART / sizeof(uint32_t))

/* Payloads that a forwarder remembers at a time; senders and payloads that an echo does. */
#define PAYLOADS (1u << 15)
#define ECHOES (1u << 13)

/* Of trains that could be echoed, one in so many is looked at. */
#define ECHO_SHARE 16

#define MEMORY_MS 2000

/* Times in the memory count 32 ms, and start again after half an hour. */
#define TICK_SHIFT 5
#define MEMORY_TICKS (MEMORY_MS >> TICK_SHIFT)

struct ring_guard {
	uint32_t key[WORDS];
	_Atomic uint64_t found; /* who sends back, and when it did so last */
	struct rate_table *echoes; /* of an echo */
	_Atomic uint64_t *payloads; /* of a forwarder */
};

/* --- Life --- */

static bool create_memory(struct ring_guard *guard, enum action action)
{
	if (action == ACTION_ECHO)
		return !rate_table_create(&guard->echoes, ECHOES, RING_ECHO_RATE, RING_ECHO_BURST);
	guard->payloads = calloc(PAYLOADS, sizeof(*guard->payloads));
	return guard->payloads;
}

int ring_guard_create(struct ring_guard **out, enum action action)
{
	struct ring_guard *guard = calloc(1, sizeof(*guard));
	struct siphash_key key;

	if (!guard || !create_memory(guard, action)) {
		free(guard);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < WORDS; i += sizeof(key) / sizeof(*guard->key)) {
		siphash_key_random(&key);
		memcpy(&guard->key[i], &key, sizeof(key));
	}
	*out = guard;
	return 0;
}

void ring_guard_destroy(struct ring_guard *guard)
{
	if (!guard)
		return;
	rate_table_destroy(guard->echoes);
	free(guard->payloads);
	free(guard);
}

/* --- Who was found --- */

/* The upper half is the sender, the lower one the time. */
static void find(struct ring_guard *guard, uint32_t sender, uint64_t now_ms)
{
	atomic_store_explicit(&guard->found, (uint64_t)sender << 32 | (uint32_t)now_ms, memory_order_relaxed);
}

static bool is_found(struct ring_guard *guard, uint32_t sender, uint64_t now_ms)
{
	uint64_t found = atomic_load_explicit(&guard->found, memory_order_relaxed);

	return found && found >> 32 == sender && (uint32_t)now_ms - (uint32_t)found < MEMORY_MS;
}

/* --- Payloads --- */

/* Every bit of the result depends on all of the hash (MurmurHash3's end). */
static uint64_t mix(uint64_t hash)
{
	hash = (hash ^ hash >> 33) * UINT64_C(0xff51afd7ed558ccd);
	hash = (hash ^ hash >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return hash ^ hash >> 33;
}

/* NH, the fast part of UMAC (RFC 4418, 5.2.2), over two ends: payloads that differ there hash alike by chance alone,
 * which is 2^-32 for a key that nobody knows. */
static uint64_t hash_words(const struct ring_guard *guard, const uint32_t words[WORDS])
{
	uint64_t hash = 0;

	for (unsigned i = 0; i < WORDS; i += 2)
		hash += (uint64_t)(words[i] + guard->key[i]) * (words[i + 1] + guard->key[i + 1]);
	return hash;
}

static uint64_t hash_payload(const struct ring_guard *guard, const struct train *train, unsigned i)
{
	const uint8_t *data = train->data + (size_t)i * train->segment;
	uint32_t size = train_datagram_size(train, i), words[WORDS] = {0};

	if (size <= 2 * PART) {
		memcpy(words, data, size);
	} else {
		memcpy(words, data, PART);
		memcpy(&words[WORDS / 2], data + size - PART, PART);
	}
	return mix(hash_words(guard, words) + size);
}

/* --- An echo --- */

static bool draws(struct ring_draw *draw)
{
	draw->next = draw->next * 1664525 + 1013904223;
	return draw->next < UINT32_MAX / ECHO_SHARE;
}

/* A copy that goes round for ever is met in a sample, too. */
static bool admit_echo(struct ring_guard *guard, struct ring_draw *draw, const struct train *train, uint64_t now_ms)
{
	uint32_t sender = address_hash(&train->source), price = train->count * ECHO_SHARE;

	if (!draws(draw))
		return true;
	if (price > TRAIN_MAX || is_found(guard, sender, now_ms))
		price = TRAIN_MAX;
	if (rate_table_take(guard->echoes, mix(hash_payload(guard, train, 0) + sender), price, now_ms))
		return true;
	find(guard, sender, now_ms);
	return false;
}

/* --- A forwarder --- */

/* What is remembered of a payload, in one word. A sender is so many bits of his hash: 0 is nobody. Two workers may
 * overwrite each other's: that forgets an arrival, and rings have many. */
struct memory {
	uint16_t tag; /* of the payload */
	uint16_t first; /* who sent it first: 12 bits */
	uint16_t most; /* which other sender, on a peer's host, is ahead of all others: 12 bits */
	uint8_t lead; /* by how much */
	uint16_t tick; /* when it was forwarded last */
};

static uint64_t pack(struct memory memory)
{
	return (uint64_t)memory.tag << 48 | (uint64_t)memory.first << 36 | (uint64_t)memory.most << 24 |
	       (uint64_t)memory.lead << 16 | memory.tick;
}

static struct memory unpack(uint64_t word)
{
	return (struct memory){.tag = (uint16_t)(word >> 48),
			       .first = word >> 36 & 0xfff,
			       .most = word >> 24 & 0xfff,
			       .lead = (uint8_t)(word >> 16),
			       .tick = (uint16_t)word};
}

/* A majority vote (Boyer and Moore) in which the others count twice. Returns false for the one that has won. */
static bool vote(struct memory *memory, uint16_t sender)
{
	if (sender == memory->most && memory->lead >= RING_RETURNS)
		return false;
	if (sender == memory->most) {
		memory->lead++;
	} else if (memory->lead > 2) {
		memory->lead = (uint8_t)(memory->lead - 2);
	} else {
		memory->most = sender;
		memory->lead = 1;
	}
	return true;
}

static void vote_against(struct memory *memory)
{
	memory->lead = memory->lead > 2 ? (uint8_t)(memory->lead - 2) : 0;
}

/* Only what is forwarded is remembered: a payload that is cut, and does not come any more, is soon forgotten. */
static bool admit_payload(struct ring_guard *guard, const struct train *train, unsigned i, bool from_peer,
			  uint64_t now_ms)
{
	uint64_t hash = hash_payload(guard, train, i);
	uint32_t sender = address_hash(&train->source);
	uint16_t short_sender = (uint16_t)(sender % 0xfff + 1);
	uint16_t tag = (uint16_t)(hash >> 48), tick = (uint16_t)(now_ms >> TICK_SHIFT);
	_Atomic uint64_t *slot = &guard->payloads[hash % PAYLOADS];
	struct memory memory = unpack(atomic_load_explicit(slot, memory_order_relaxed));

	if (!memory.first || memory.tag != tag || (uint16_t)(tick - memory.tick) > MEMORY_TICKS) {
		if (i)
			return true;
		memory = (struct memory){.tag = tag, .first = short_sender};
	} else if (!from_peer || short_sender == memory.first) {
		vote_against(&memory);
	} else if (is_found(guard, sender, now_ms) || !vote(&memory, short_sender)) {
		find(guard, sender, now_ms);
		return false;
	}
	memory.tick = tick;
	atomic_store_explicit(slot, pack(memory), memory_order_relaxed);
	return true;
}

/* Of a train only the first datagram is remembered. It may come back in the midst of another. */
static bool admit_forward(struct ring_guard *guard, const struct train *train, bool from_peer, uint64_t now_ms)
{
	unsigned count = from_peer ? train->count : 1;

	for (unsigned i = 0; i < count; i++) {
		if (!admit_payload(guard, train, i, from_peer, now_ms))
			return false;
	}
	return true;
}

bool ring_guard_admits(struct ring_guard *guard, struct ring_draw *draw, const struct train *train, bool from_peer,
		       uint64_t now_ms)
{
	return guard->echoes ? admit_echo(guard, draw, train, now_ms) : admit_forward(guard, train, from_peer, now_ms);
}

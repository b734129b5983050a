#include "guard/ring_guard.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "guard/gcra_table.h"

/* What is compared of a payload: so many bytes of its beginning and as many of its end. */
#define PART 64
#define WORDS (2 * PART / sizeof(uint32_t))

/* Senders that are counted for a payload. */
#define RING_SENDERS 4

/* Payloads that a forwarder remembers at a time; senders and payloads that an echo does. */
#define PAYLOADS (1u << 14)
#define ECHOES (1u << 13)

/* Of trains that could be echoed, one in so many is looked at. */
#define ECHO_SHARE 16

#define MEMORY_MS 2000

/* Times in the memory count 32 ms, and start again after half an hour. */
#define TICK_SHIFT 5
#define MEMORY_TICKS (MEMORY_MS >> TICK_SHIFT)

/* What is remembered of a payload, in two words. Workers may overwrite each other's: that forgets an arrival, and rings
 * have many. Senders are so many bits of their hashes, where 0 is nobody. */
struct memory {
	_Atomic uint64_t payload; /* a tag of it (16 bits), who sent it first (16), when it was forwarded last (16) */
	_Atomic uint64_t senders; /* on peers' hosts, the most frequent ones: who (9 bits), and by how much ahead (7) */
};

struct ring_guard {
	uint32_t key[WORDS];
	_Atomic uint64_t found; /* who sends back, and when it did so last */
	struct gcra_table *echoes; /* of an echo */
	struct memory *payloads; /* of a forwarder */
};

/* --- Life --- */

static bool create_memory(struct ring_guard *guard, enum action_kind action)
{
	if (action_traits[action].reflects)
		return !gcra_table_create(&guard->echoes, ECHOES, RING_ECHO_RATE, RING_ECHO_BURST);
	guard->payloads = calloc(PAYLOADS, sizeof(*guard->payloads));
	return guard->payloads;
}

int ring_guard_create(struct ring_guard **out, enum action_kind action)
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
	gcra_table_destroy(guard->echoes);
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

static bool draws(struct ring_guard_sampler *draw)
{
	draw->next = draw->next * 1664525 + 1013904223;
	return draw->next < UINT32_MAX / ECHO_SHARE;
}

/* A copy that goes round for ever is met in a sample, too. */
static bool admit_echo(struct ring_guard *guard, struct ring_guard_sampler *draw, const struct train *train,
		       uint64_t now_ms)
{
	uint32_t sender = address_hash(&train->source), price = train->count * ECHO_SHARE;

	if (!draws(draw))
		return true;
	if (price > TRAIN_MAX || is_found(guard, sender, now_ms))
		price = TRAIN_MAX;
	if (gcra_table_take(guard->echoes, mix(hash_payload(guard, train, 0) + sender), price, now_ms))
		return true;
	find(guard, sender, now_ms);
	return false;
}

/* --- A forwarder --- */

static uint64_t payload_word(uint64_t hash, uint32_t sender, uint16_t tick)
{
	return hash >> 48 << 32 | (uint64_t)(uint16_t)(sender % UINT16_MAX + 1) << 16 | tick;
}

static bool is_same_payload(uint64_t word, uint64_t other)
{
	uint16_t age = (uint16_t)((uint16_t)other - (uint16_t)word);

	return word && word >> 32 == other >> 32 && age <= MEMORY_TICKS;
}

static bool is_same_sender(uint64_t word, uint64_t other)
{
	return (uint16_t)(word >> 16) == (uint16_t)(other >> 16);
}

struct vote {
	uint16_t who;
	uint16_t lead;
};

static void read_votes(uint64_t word, struct vote votes[RING_SENDERS])
{
	for (unsigned i = 0; i < RING_SENDERS; i++, word >>= 16)
		votes[i] = (struct vote){.who = word >> 7 & 0x1ff, .lead = word & 0x7f};
}

static uint64_t votes_word(const struct vote votes[RING_SENDERS])
{
	uint64_t word = 0;

	for (unsigned i = RING_SENDERS; i-- > 0;)
		word = word << 16 | (uint64_t)(votes[i].who << 7 | votes[i].lead);
	return word;
}

/* All others count twice. */
static void vote_against(struct vote votes[RING_SENDERS])
{
	for (unsigned i = 0; i < RING_SENDERS; i++)
		votes[i].lead = votes[i].lead > 2 ? votes[i].lead - 2 : 0;
}

/* Finds frequent ones (Misra and Gries, "Finding repeated elements", 1982): a ring of hosts with several workers has
 * several ways. Returns false for a sender that is far enough ahead. */
static bool vote(struct vote votes[RING_SENDERS], uint16_t who)
{
	struct vote *none = NULL;

	for (unsigned i = 0; i < RING_SENDERS; i++) {
		if (!votes[i].lead)
			none = &votes[i];
		else if (votes[i].who == who)
			return ++votes[i].lead <= RING_RETURNS;
	}
	if (none)
		*none = (struct vote){who, 1};
	else
		vote_against(votes);
	return true;
}

/* Returns false where the payload came back too often, or comes from one that sends others back. */
static bool admit_return(struct ring_guard *guard, struct memory *memory, uint32_t sender, uint64_t now_ms)
{
	struct vote votes[RING_SENDERS];

	read_votes(atomic_load_explicit(&memory->senders, memory_order_relaxed), votes);
	if (is_found(guard, sender, now_ms) || !vote(votes, (uint16_t)(sender % 0x1ff + 1)))
		return false;
	atomic_store_explicit(&memory->senders, votes_word(votes), memory_order_relaxed);
	return true;
}

static void note_other(struct memory *memory)
{
	uint64_t word = atomic_load_explicit(&memory->senders, memory_order_relaxed);
	struct vote votes[RING_SENDERS];

	if (!word)
		return;
	read_votes(word, votes);
	vote_against(votes);
	atomic_store_explicit(&memory->senders, votes_word(votes), memory_order_relaxed);
}

/* Only what is forwarded is remembered: a payload that is cut, and does not come any more, is soon forgotten. */
static bool admit_payload(struct ring_guard *guard, const struct train *train, unsigned i, bool from_peer,
			  uint64_t now_ms)
{
	uint64_t hash = hash_payload(guard, train, i);
	uint32_t sender = address_hash(&train->source);
	struct memory *memory = &guard->payloads[hash % PAYLOADS];
	uint64_t word = atomic_load_explicit(&memory->payload, memory_order_relaxed);
	uint64_t now = payload_word(hash, sender, (uint16_t)(now_ms >> TICK_SHIFT));

	if (!is_same_payload(word, now)) {
		if (i)
			return true;
		word = now;
		atomic_store_explicit(&memory->senders, 0, memory_order_relaxed);
	} else if (!from_peer || is_same_sender(word, now)) {
		note_other(memory);
	} else if (!admit_return(guard, memory, sender, now_ms)) {
		find(guard, sender, now_ms);
		return false;
	}
	atomic_store_explicit(&memory->payload, (word & ~UINT64_C(0xffff)) | (now & 0xffff), memory_order_relaxed);
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

bool ring_guard_admits(struct ring_guard *guard, struct ring_guard_sampler *draw, const struct train *train,
		       bool from_peer, uint64_t now_ms)
{
	return guard->echoes ? admit_echo(guard, draw, train, now_ms) : admit_forward(guard, train, from_peer, now_ms);
}

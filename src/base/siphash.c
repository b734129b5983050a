#include "base/siphash.h"

#include <endian.h>
#include <string.h>
#include <sys/random.h>

struct siphash_state {
	uint64_t v0, v1, v2, v3;
};

/* Without flags, getrandom(2) returns up to 256 bytes completely. It fails only on kernels before Linux 3.17. */
void siphash_key_random(struct siphash_key *key)
{
	while (getrandom(key, sizeof(*key), 0) != sizeof(*key))
		;
}

static uint64_t siphash_rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static void siphash_rounds(struct siphash_state *s, int count)
{
	while (count--) {
		s->v0 += s->v1;
		s->v1 = siphash_rotate(s->v1, 13) ^ s->v0;
		s->v0 = siphash_rotate(s->v0, 32);
		s->v2 += s->v3;
		s->v3 = siphash_rotate(s->v3, 16) ^ s->v2;
		s->v0 += s->v3;
		s->v3 = siphash_rotate(s->v3, 21) ^ s->v0;
		s->v2 += s->v1;
		s->v1 = siphash_rotate(s->v1, 17) ^ s->v2;
		s->v2 = siphash_rotate(s->v2, 32);
	}
}

static void siphash_compress(struct siphash_state *s, uint64_t word)
{
	s->v3 ^= word;
	siphash_rounds(s, 2);
	s->v0 ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	struct siphash_state s = {
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
	uint64_t last = (uint64_t)size << 56, word;
	size_t whole = size / sizeof(word) * sizeof(word);

	for (size_t i = 0; i < whole; i += sizeof(word)) {
		memcpy(&word, bytes + i, sizeof(word));
		siphash_compress(&s, le64toh(word));
	}
	for (size_t i = whole; i < size; i++)
		last |= (uint64_t)bytes[i] << (8 * (i - whole));
	siphash_compress(&s, last);
	s.v2 ^= 0xff;
	siphash_rounds(&s, 4);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

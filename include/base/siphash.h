/* SipHash-2-4, a keyed hash for short inputs (Aumasson and Bernstein, "SipHash: a fast short-input PRF", 2012). Without
 * the key, a sender cannot choose inputs whose hashes collide. */
#ifndef UDPRELAYD_BASE_SIPHASH_H
#define UDPRELAYD_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

/* Fills the key with random bytes of getrandom(2). */
void siphash_key_random(struct siphash_key *key);

/* Returns the hash of size bytes. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);

#endif

/* SipHash-2-4: a hash of short inputs that nobody can steer who does not know its key (Aumasson and Bernstein,
 * "SipHash: a fast short-input PRF", 2012). */
#ifndef UDPRELAYD_BASE_SIPHASH_H
#define UDPRELAYD_BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

/* A key that nobody can guess, from getrandom(2). */
void siphash_key_random(struct siphash_key *key);

/* The hash of size bytes. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);

#endif

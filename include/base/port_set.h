/* A set of UDP ports. Zeroed memory is the empty set. */
#ifndef UDPRELAYD_BASE_PORT_SET_H
#define UDPRELAYD_BASE_PORT_SET_H

#include <stdbool.h>
#include <stdint.h>

/* bits has one bit per port. used has one bit per word of bits and says whether that word has any port: its 128 bytes
 * (two cache lines) decide most lookups. */
struct port_set {
	uint64_t used[65536 / 64 / 64];
	uint64_t bits[65536 / 64];
};

static inline void port_set_add(struct port_set *set, uint16_t port)
{
	set->used[port / 4096] |= UINT64_C(1) << (port / 64 % 64);
	set->bits[port / 64] |= UINT64_C(1) << (port % 64);
}

/* Accepts NULL as the empty set. */
static inline bool port_set_has(const struct port_set *set, uint16_t port)
{
	return set && set->used[port / 4096] >> (port / 64 % 64) & 1 && set->bits[port / 64] >> (port % 64) & 1;
}

#endif

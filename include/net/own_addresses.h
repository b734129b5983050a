/* The addresses of this daemon: the bound addresses of the listeners and, for a wildcard, the addresses of the host.
 * A generation owns the set. Workers read it while the main loop refreshes it: entries are only appended and marked as
 * present or absent. Up to OWN_ADDRESSES_LATER addresses can be added after the creation. */
#ifndef UDPRELAYD_NET_OWN_ADDRESSES_H
#define UDPRELAYD_NET_OWN_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

struct own_addresses;

/* Capacity for addresses that local interfaces get after the creation. */
#define OWN_ADDRESSES_LATER 256

/* Creates the set from count bound addresses, which are copied, and reads the addresses of the local interfaces.
 * Returns 0 or a negative errno. */
int own_addresses_create(struct own_addresses **own, const struct address *bound, size_t count);

/* Reads the addresses of the local interfaces again, if a listener is bound to a wildcard. Main loop only; other
 * threads may query the set at the same time. Returns false if an address was ignored because the capacity is
 * exhausted. If the addresses cannot be read, the set stays as it is and the function returns true. */
bool own_addresses_refresh(struct own_addresses *own);

/* Returns a number that each refresh increments. Any thread. */
unsigned own_addresses_version(const struct own_addresses *own);

/* Frees the set. NULL is accepted. */
void own_addresses_destroy(struct own_addresses *own);

/* Returns whether a datagram from source was sent from the socket of a listener. Any thread; no system calls. */
bool own_addresses_has(const struct own_addresses *own, const struct address *source);

/* Returns whether a datagram that is sent to the address reaches a listener. Like own_addresses_has(); for AF_UNIX also
 * if another path leads to the same file. Calls stat(2) for an AF_UNIX address. */
bool own_addresses_reaches_us(const struct own_addresses *own, const struct address *to);

#endif

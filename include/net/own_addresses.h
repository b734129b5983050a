/* The addresses that are ours: those of the listeners and, behind wildcards, those of the host. */
#ifndef UDPRELAYD_NET_OWN_ADDRESSES_H
#define UDPRELAYD_NET_OWN_ADDRESSES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"

/* The addresses that listeners are bound to, and what a wildcard among them stands for. */
struct own_addresses;

/* So many addresses may come to local interfaces that were not there at first. */
#define OWN_ADDRESSES_LATER 256

/* bound: count addresses, which are copied. The addresses of the local interfaces are read now. Returns 0 or a negative
 * errno. */
int own_addresses_create(struct own_addresses **own, const struct address *bound, size_t count);

/* Reads the addresses of the interfaces again, where it matters; others may ask meanwhile. Returns false where some are
 * not known, as more than OWN_ADDRESSES_LATER have come. */
bool own_addresses_refresh(struct own_addresses *own);

/* Another one after each time. */
unsigned own_addresses_version(const struct own_addresses *own);

/* NULL is accepted. */
void own_addresses_destroy(struct own_addresses *own);

/* Whether a datagram from source is one that we sent from a listener's socket. */
bool own_addresses_has(const struct own_addresses *own, const struct address *source);

/* Whether what is sent to the address comes back to a listener: as above, and an AF_UNIX path by any name that leads to
 * the same file. Looks at the file system. */
bool own_addresses_reaches_us(const struct own_addresses *own, const struct address *to);

#endif

/* Prefixes of IP addresses, and sets of prefixes that find the longest match of an address. */
#ifndef UDPRELAYD_BASE_PREFIX_SET_H
#define UDPRELAYD_BASE_PREFIX_SET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* The host bits of the address are 0. */
struct prefix {
	sa_family_t family; /* AF_INET or AF_INET6 */
	uint8_t bits; /* length of the prefix, up to 32 or 128 */
	unsigned line; /* line of the configuration; prefix_parse() sets 0 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/* Size of the buffer for a fault of prefix_parse(), including the NUL. */
#define PREFIX_FAULT_MAX 128

/* Parses "192.0.2.0/24" or "2001:db8::/32". An address without a length is a prefix with all its bits. Rejects host
 * bits that are not 0, and IPv4-mapped prefixes: prefix_set_find() looks up mapped sources as IPv4. Returns true, or
 * false and writes the error and the correct form to fault. */
bool prefix_parse(struct prefix *prefix, const char *text, char fault[PREFIX_FAULT_MAX]);

/* Size of the buffer for prefix_format(), including the NUL. */
#define PREFIX_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("/128") - 1)

/* Writes "192.0.2.0/24", always with the length. Returns text. */
char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX]);

/* Immutable, so all threads may search it at the same time. */
struct prefix_set;

/* Copies the prefixes, fewer than 2^31. Their host bits must be 0. If prefixes are equal, the set keeps the one with
 * the lowest line. Used while the configuration is read: aborts when out of memory. */
struct prefix_set *prefix_set_create(const struct prefix *prefixes, size_t count);

/* Accepts NULL. */
void prefix_set_destroy(struct prefix_set *set);

/* Returns the longest prefix that contains the address, or NULL. The result is valid as long as the set. It is always
 * NULL for AF_UNIX and if set is NULL. An IPv4-mapped address is looked up only as the IPv4 address, so that a sender
 * cannot bypass a list with another form of its address. */
const struct prefix *prefix_set_find(const struct prefix_set *set, const struct address *address);

#endif

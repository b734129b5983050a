/* Prefixes of IP addresses, and sets of them. */
#ifndef UDPRELAYD_BASE_PREFIX_SET_H
#define UDPRELAYD_BASE_PREFIX_SET_H

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* An address without its host bits, and how many bits of it count. */
struct prefix {
	sa_family_t family; /* AF_INET or AF_INET6 */
	uint8_t bits; /* up to 32 or 128 */
	unsigned line; /* where it was written; prefix_parse() leaves it 0 */
	union {
		struct in_addr v4;
		struct in6_addr v6;
	};
};

/* Longest text that prefix_parse() says of a fault, its NUL included. */
#define PREFIX_FAULT_MAX 128

/* Takes "192.0.2.0/24" or "2001:db8::/32"; an address alone has all of its bits. Host bits must be 0, and IPv4 is not
 * taken in its v4-mapped form, since such sources are looked up as IPv4. Returns true, or false with what is wrong and
 * what would be right in fault. */
bool prefix_parse(struct prefix *prefix, const char *text, char fault[PREFIX_FAULT_MAX]);

/* Longest text that prefix_format() writes, its NUL included. */
#define PREFIX_TEXT_MAX (INET6_ADDRSTRLEN + sizeof("/128") - 1)

/* Writes "192.0.2.0/24", always with the bits. Returns text. */
char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX]);

/* Immutable, so that all threads may look things up in it. */
struct prefix_set;

/* The prefixes, fewer than 2^31, are copied; their host bits are 0. Of those that are the same, the one with the lowest
 * line counts. For reading the configuration: where memory is short, the program ends. */
struct prefix_set *prefix_set_create(const struct prefix *prefixes, size_t count);

/* NULL is accepted. */
void prefix_set_destroy(struct prefix_set *set);

/* The longest prefix that the address has, which lives as long as the set, or NULL where there is none, as always for
 * AF_UNIX and for a set that is NULL. A v4-mapped address is looked up as the IPv4 one that it stands for, and only so:
 * no other form of an address is to get past a list. */
const struct prefix *prefix_set_find(const struct prefix_set *set, const struct address *address);

#endif

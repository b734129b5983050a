/* Socket addresses: parsing, formatting, comparison. */
#ifndef UDPRELAYD_BASE_ADDRESS_H
#define UDPRELAYD_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/siphash.h"

/* An IPv4, IPv6 or AF_UNIX address. length is the address length that the kernel reports or expects. */
struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

/* Starts the text of an AF_UNIX address. */
#define ADDRESS_UNIX_PREFIX "unix:"

/* --- Parsing --- */

/* Parses "192.0.2.1:7788", "[2001:db8::1]:7788", "[fe80::1%eth0]:7788" or "unix:/path" (at most 107 bytes of path).
 * Does not look up host names. Returns 0, or -EINVAL and leaves *address unchanged. */
int address_parse(struct address *address, const char *text);

/* Size of the buffer for address_error_text(), including the NUL. */
#define ADDRESS_ERROR_MAX 512

/* Writes why address_parse() rejects a text, and the correct form. names says that a host name is accepted in this
 * place. Returns fault. */
char *address_error_text(const char *text, bool names, char fault[ADDRESS_ERROR_MAX]);

/* Size of the buffer for the host of HOST:PORT, including the NUL (RFC 1035, 2.3.4, and space for an IPv6 zone). */
#define ADDRESS_HOST_MAX 256

/* Splits "HOST:PORT" or "[V6]:PORT". host has ADDRESS_HOST_MAX bytes and is written without brackets. The host is an
 * address, a name (letters, digits, '-', '_' and '.') or "*". An IPv6 address without brackets is rejected. Returns 0
 * or -EINVAL. */
int address_split(const char *text, char *host, uint16_t *port);

/* Parses an IPv4 or IPv6 address without brackets. A link-local IPv6 address may end in "%zone", the name of an
 * existing interface or the number of an interface. Returns 0, or -EINVAL and leaves *address unchanged. */
int address_from_ip(struct address *address, const char *ip, uint16_t port);

/* --- Formatting --- */

/* Size of the buffer for address_format(), including the NUL: enough for an AF_UNIX path with every byte escaped. */
#define ADDRESS_TEXT_MAX 448

/* Writes the form that address_parse() accepts, terminated by NUL. There are two exceptions: an AF_UNIX sender without
 * a name is written as "unix:", and a byte of a path is written as \xNN if it is a space, a backslash or not printable
 * ASCII. Returns text. */
char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* --- Ports and kinds --- */

/* Both functions use host byte order. The port of an AF_UNIX address is 0 and cannot be set. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

bool address_is_wildcard(const struct address *address);
bool address_is_multicast(const struct address *address);

/* Returns the IPv4 address inside an IPv4-mapped IPv6 address (::ffff:192.0.2.1, RFC 4291, 2.5.5.2). */
struct in_addr address_mapped_v4(const struct in6_addr *ip);

static inline bool address_is_v4_mapped(const struct address *address)
{
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr);
}

/* Replaces an IPv4-mapped address by the IPv4 address and port. Leaves other addresses unchanged. */
void address_unmap(struct address *address);

/* Returns true if the kernel uses the zone (sin6_scope_id) of this address. It ignores the zone of all others. */
bool address_ip_has_zone(const struct in6_addr *ip);

/* Returns true if the kernel needs the zone of this address and the address has none. */
bool address_lacks_zone(const struct address *address);

/* --- Comparison --- */

/* Compares family, address, port and, for IPv6, zone. */
bool address_equal(const struct address *a, const struct address *b);

/* Returns a keyed hash of the source: an IPv4 address, also an IPv4-mapped one, or an IPv6 /64, without the port. The
 * address is not AF_UNIX. */
uint64_t address_source_hash(const struct address *address, const struct siphash_key *key);

/* Compares family and IP address, without the ports. Always false for AF_UNIX. */
bool address_same_host(const struct address *a, const struct address *b);

/* Returns the same hash for equal addresses. The hash has no secret key: a sender can choose addresses that collide, so
 * use it only for tables of limited size. */
uint32_t address_hash(const struct address *address);

#endif

/* Socket addresses: parse, print, compare. */
#ifndef UDPRELAYD_BASE_ADDRESS_H
#define UDPRELAYD_BASE_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* An IPv4, IPv6 or AF_UNIX address, with its length as the kernel counts it. */
struct address {
	socklen_t length;
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un local;
	};
};

/* Longest text that address_format() writes, its NUL included: an AF_UNIX path with every byte escaped. */
#define ADDRESS_TEXT_MAX 448

/* Longest host of HOST:PORT, its NUL included (RFC 1035, 2.3.4, and room for an IPv6 zone). */
#define ADDRESS_HOST_MAX 256

/* Takes "192.0.2.1:7788", "[2001:db8::1]:7788", "[fe80::1%eth0]:7788" or "unix:/path" (at most 107 bytes of path).
 * Names are not looked up. Returns 0, or -EINVAL and leaves *address alone. */
int address_parse(struct address *address, const char *text);

/* Longest text that address_fault() writes, its NUL included. */
#define ADDRESS_FAULT_MAX 512

/* Writes what is wrong with a text that address_parse() does not take, and what would be right. names: the name of a
 * host would be. Returns fault. */
char *address_fault(const char *text, bool names, char fault[ADDRESS_FAULT_MAX]);

/* Splits "HOST:PORT" or "[V6]:PORT"; host holds ADDRESS_HOST_MAX bytes and comes without brackets. The host is a
 * literal address, a name (letters, digits, '-', '_' and '.'), or "*". An unbracketed IPv6 address is refused. Returns
 * 0 or -EINVAL. */
int address_split(const char *text, char *host, uint16_t *port);

/* Takes an IPv4 or IPv6 literal without brackets; a link-local IPv6 one may carry "%zone", the name or number of an
 * interface that there is. Returns 0 or -EINVAL. */
int address_from_ip(struct address *address, const char *ip, uint16_t port);

/* Writes the form that address_parse() takes, always ended by NUL. It does not take back two of them: an AF_UNIX sender
 * without a name is "unix:", and bytes of a path that are not printable ASCII, spaces and backslashes among them, are
 * written \xNN. Returns text. */
char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* 0 for AF_UNIX. Host byte order. */
uint16_t address_port(const struct address *address);
void address_set_port(struct address *address, uint16_t port);

bool address_is_wildcard(const struct address *address);
bool address_is_multicast(const struct address *address);

/* The IPv4 address inside an IPv4-mapped IPv6 address (::ffff:192.0.2.1, RFC 4291, 2.5.5.2). */
struct in_addr address_mapped_v4(const struct in6_addr *ip);

static inline bool address_is_v4_mapped(const struct address *address)
{
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr);
}

/* Replaces an IPv4-mapped address by the IPv4 address and port that it stands for. Leaves other addresses alone. */
void address_unmap(struct address *address);

/* Whether the kernel wants to know the interface of this link-local address. */
bool address_lacks_zone(const struct address *address);

/* Same family, address, port and, for IPv6, scope. */
bool address_equal(const struct address *a, const struct address *b);

/* Same family and IP address, whatever the ports; never so for AF_UNIX. */
bool address_same_host(const struct address *a, const struct address *b);

/* Equal addresses hash alike. Not keyed: for tables whose size the caller bounds. */
uint32_t address_hash(const struct address *address);

#endif

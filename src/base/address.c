#include "base/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "text/fmt.h"

/* --- Formatting --- */

/* Returns the size of an AF_UNIX path. If a path fills sun_path, the kernel reports one byte more than the structure
 * has (unix(7), BUGS). */
static size_t path_length(const struct address *address)
{
	size_t length = address->length < sizeof(address->local) ? address->length : sizeof(address->local);
	size_t path_offset = offsetof(struct sockaddr_un, sun_path);

	return length < path_offset ? 0 : length - path_offset;
}

static void format_unix(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
	size_t length = path_length(address);
	const char *path = address->local.sun_path;
	char *out = stpcpy(text, ADDRESS_UNIX_PREFIX);

	if (length && path[0])
		length = strnlen(path, length);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)path[i];

		if (byte > ' ' && byte < 0x7f && byte != '\\')
			*out++ = (char)byte;
		else
			out += sprintf(out, "\\x%02x", byte);
	}
	*out = '\0';
}

static void format_v6(const struct sockaddr_in6 *v6, char text[ADDRESS_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1] = "", name[IF_NAMESIZE];

	inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	if (v6->sin6_scope_id && if_indextoname(v6->sin6_scope_id, name))
		snprintf(zone, sizeof(zone), "%%%s", name);
	else if (v6->sin6_scope_id)
		snprintf(zone, sizeof(zone), "%%%u", v6->sin6_scope_id);
	snprintf(text, ADDRESS_TEXT_MAX, "[%s%s]:%u", ip, zone, ntohs(v6->sin6_port));
}

/* Writes the same text as inet_ntop(3), but faster: the datagram log writes two addresses in each line. */
static void format_v4(const struct sockaddr_in *v4, char text[ADDRESS_TEXT_MAX])
{
	uint32_t ip = ntohl(v4->sin_addr.s_addr);
	char *out = text;

	for (int shift = 24; shift >= 0; shift -= 8) {
		out = fmt_u32(out, ip >> shift & 0xff);
		*out++ = shift ? '.' : ':';
	}
	*fmt_u32(out, ntohs(v4->sin_port)) = '\0';
}

char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
	if (address->any.sa_family == AF_INET)
		format_v4(&address->v4, text);
	else if (address->any.sa_family == AF_INET6)
		format_v6(&address->v6, text);
	else
		format_unix(address, text);
	return text;
}

/* --- Ports and kinds --- */

uint16_t address_port(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohs(address->v4.sin_port);
	return address->any.sa_family == AF_INET6 ? ntohs(address->v6.sin6_port) : 0;
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = htons(port);
	else if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = htons(port);
}

bool address_is_wildcard(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

bool address_is_multicast(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr));
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
}

struct in_addr address_mapped_v4(const struct in6_addr *ip)
{
	struct in_addr v4;

	memcpy(&v4, &ip->s6_addr[12], sizeof(v4));
	return v4;
}

void address_unmap(struct address *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	if (!address_is_v4_mapped(address))
		return;
	v4.sin_port = address->v6.sin6_port;
	v4.sin_addr = address_mapped_v4(&address->v6.sin6_addr);
	*address = (struct address){.length = sizeof(v4), .v4 = v4};
}

bool address_ip_has_zone(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip) || IN6_IS_ADDR_MC_NODELOCAL(ip);
}

bool address_lacks_zone(const struct address *address)
{
	return address->any.sa_family == AF_INET6 && address_ip_has_zone(&address->v6.sin6_addr) &&
	       !address->v6.sin6_scope_id;
}

/* --- Comparison --- */

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
	return a->length == b->length && !memcmp(a->local.sun_path, b->local.sun_path, path_length(a));
}

/* Keys of 4 bytes (IPv4) and of 8 bytes (IPv6 /64) differ, because SipHash covers the length. */
uint64_t address_source_hash(const struct address *address, const struct siphash_key *key)
{
	struct in_addr v4 = address->v4.sin_addr;

	if (address->any.sa_family == AF_INET6 && !address_is_v4_mapped(address))
		return siphash(key, &address->v6.sin6_addr, 8);
	if (address->any.sa_family == AF_INET6)
		v4 = address_mapped_v4(&address->v6.sin6_addr);
	return siphash(key, &v4, sizeof(v4));
}

bool address_same_host(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->any.sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

static uint32_t address_hash_mix(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * UINT32_C(0x9e3779b1);
	return hash ^ hash >> 15;
}

uint32_t address_hash(const struct address *address)
{
	uint32_t hash = 0, words[4];

	if (address->any.sa_family == AF_INET)
		return address_hash_mix(address_hash_mix(address->v4.sin_port, address->v4.sin_addr.s_addr), 0);
	if (address->any.sa_family == AF_INET6) {
		memcpy(words, &address->v6.sin6_addr, sizeof(words));
		hash = address->v6.sin6_port;
		for (int i = 0; i < 4; i++)
			hash = address_hash_mix(hash, words[i]);
		return hash;
	}
	for (size_t i = 0; i < path_length(address); i++)
		hash = address_hash_mix(hash, (uint8_t)address->local.sun_path[i]);
	return hash;
}

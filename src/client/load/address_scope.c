#include "client/load/address_scope.h"

#include <string.h>

static bool ip_in_prefix(uint32_t ip, uint32_t prefix, int bits)
{
	return (ip ^ prefix) >> (32 - bits) == 0;
}

/* ip is in host byte order. */
static enum address_scope address_scope_of_v4(uint32_t ip)
{
	if (IN_MULTICAST(ip) || ip == INADDR_BROADCAST)
		return SCOPE_MULTICAST;
	if (ip_in_prefix(ip, 0x7f000000, 8) || ip_in_prefix(ip, 0x0a000000, 8) || ip_in_prefix(ip, 0xac100000, 12) ||
	    ip_in_prefix(ip, 0xc0a80000, 16) || ip_in_prefix(ip, 0xa9fe0000, 16))
		return SCOPE_LOCAL;
	return SCOPE_GLOBAL;
}

static enum address_scope address_scope_of_v6(const struct in6_addr *ip)
{
	if (IN6_IS_ADDR_V4MAPPED(ip))
		return address_scope_of_v4(ntohl(address_mapped_v4(ip).s_addr));
	if (IN6_IS_ADDR_MULTICAST(ip))
		return SCOPE_MULTICAST;
	if (IN6_IS_ADDR_LOOPBACK(ip) || IN6_IS_ADDR_LINKLOCAL(ip) || (ip->s6_addr[0] & 0xfe) == 0xfc)
		return SCOPE_LOCAL;
	return SCOPE_GLOBAL;
}

enum address_scope address_scope_of(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return address_scope_of_v4(ntohl(address->v4.sin_addr.s_addr));
	return address_scope_of_v6(&address->v6.sin6_addr);
}

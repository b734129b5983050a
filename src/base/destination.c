#include "base/destination.h"

#include <arpa/inet.h>
#include <net/if.h>

static const char *const destination_texts[] = {
	[DESTINATION_HOST] = "the address of a host",       [DESTINATION_NOBODY] = "not the address of a host",
	[DESTINATION_BROADCAST] = "a broadcast address",    [DESTINATION_MULTICAST] = "a multicast group",
	[DESTINATION_V4_MAPPED] = "an IPv4-mapped address",
};

const char *destination_text(enum destination destination)
{
	return destination_texts[destination];
}

/* Returns the IPv4 address in host byte order. */
static uint32_t destination_v4(const struct sockaddr *any)
{
	return ntohl(((const struct sockaddr_in *)(const void *)any)->sin_addr.s_addr);
}

/* The kernel treats the last address of a network as its broadcast address even if the interface has none configured.
 * Networks with a prefix of 31 or 32 bits have none. */
static bool destination_is_broadcast_of(uint32_t ip, const struct ifaddrs *interface)
{
	uint32_t host_bits;

	if (!interface->ifa_addr || interface->ifa_addr->sa_family != AF_INET)
		return false;
	if (interface->ifa_flags & IFF_BROADCAST && interface->ifa_broadaddr &&
	    interface->ifa_broadaddr->sa_family == AF_INET && ip == destination_v4(interface->ifa_broadaddr))
		return true;
	if (!interface->ifa_netmask)
		return false;
	host_bits = ~destination_v4(interface->ifa_netmask);
	return host_bits > 1 && ip == (destination_v4(interface->ifa_addr) | host_bits);
}

static bool destination_is_broadcast(uint32_t ip, const struct ifaddrs *interfaces)
{
	for (const struct ifaddrs *i = interfaces; i; i = i->ifa_next) {
		if (destination_is_broadcast_of(ip, i))
			return true;
	}
	return ip == INADDR_BROADCAST;
}

enum destination destination_classify(const struct address *address, const struct ifaddrs *interfaces)
{
	if (address_is_wildcard(address))
		return DESTINATION_NOBODY;
	if (address_is_multicast(address))
		return DESTINATION_MULTICAST;
	if (address_is_v4_mapped(address))
		return DESTINATION_V4_MAPPED;
	if (address->any.sa_family != AF_INET)
		return DESTINATION_HOST;
	if (destination_v4(&address->any) >> 24 == 0)
		return DESTINATION_NOBODY;
	return destination_is_broadcast(destination_v4(&address->any), interfaces) ? DESTINATION_BROADCAST
										   : DESTINATION_HOST;
}

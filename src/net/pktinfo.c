#include "net/pktinfo.h"

#include <string.h>

/* These two write only the part of the address that the family uses. */
static void pktinfo_set_v4(struct address *address, struct in_addr ip)
{
	address->length = sizeof(address->v4);
	address->v4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = ip};
}

static void pktinfo_set_v6(struct address *address, const struct in6_addr *ip, unsigned ifindex)
{
	address->length = sizeof(address->v6);
	address->v6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = *ip};
	if (IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip))
		address->v6.sin6_scope_id = ifindex;
}

/* For a multicast or broadcast datagram, ipi_spec_dst is the address of the route to the sender (ip(7)). */
void pktinfo_parse4(struct pktinfo *local, const void *data)
{
	struct in_pktinfo info;

	memcpy(&info, data, sizeof(info));
	pktinfo_set_v4(&local->destination, info.ipi_addr);
	pktinfo_set_v4(&local->reply_source, info.ipi_spec_dst);
}

/* IPv6 reports no second address. The kernel chooses the source of a reply to a multicast datagram. */
void pktinfo_parse6(struct pktinfo *local, const void *data)
{
	struct in6_pktinfo info;

	memcpy(&info, data, sizeof(info));
	pktinfo_set_v6(&local->destination, &info.ipi6_addr, info.ipi6_ifindex);
	pktinfo_set_v6(&local->reply_source, &info.ipi6_addr, info.ipi6_ifindex);
	if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
		local->reply_source.length = 0;
}

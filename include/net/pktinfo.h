/* The local addresses of a received datagram, which the kernel reports in a control message. */
#ifndef UDPRELAYD_NET_PKTINFO_H
#define UDPRELAYD_NET_PKTINFO_H

#include "base/address.h"

struct pktinfo {
	struct address destination; /* destination address of the datagram */
	struct address reply_source; /* source address for a reply; length 0: the kernel chooses */
};

/* Reads the data of a control message IP_PKTINFO (ip(7)) or IPV6_PKTINFO (ipv6(7)), which may be unaligned. */
void pktinfo_parse4(struct pktinfo *local, const void *data);
void pktinfo_parse6(struct pktinfo *local, const void *data);

#endif

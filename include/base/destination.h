/* Kinds of destination addresses. DESTINATION_HOST is the address of one host. A datagram to another kind would reach
 * every host of a network, or this host itself. */
#ifndef UDPRELAYD_BASE_DESTINATION_H
#define UDPRELAYD_BASE_DESTINATION_H

#include <ifaddrs.h>

#include "base/address.h"

enum destination {
	DESTINATION_HOST, /* also an AF_UNIX address */
	DESTINATION_NOBODY, /* 0.0.0.0/8 or ::, which the kernel may send to this host */
	DESTINATION_BROADCAST, /* 255.255.255.255, or the broadcast address of a network of this host */
	DESTINATION_MULTICAST,
	DESTINATION_V4_MAPPED, /* IPv4 address in an IPv6 address: never on the wire */
};

/* interfaces is the list of getifaddrs(3), whose networks have broadcast addresses, or NULL if it is not known. */
enum destination destination_classify(const struct address *address, const struct ifaddrs *interfaces);

/* Returns what the address is, for a message: "a broadcast address". Static. */
const char *destination_text(enum destination destination);

#endif

/* The scope of an address. Load is sent only to addresses that can belong to the user. */
#ifndef UDPRELAYD_CLIENT_LOAD_ADDRESS_SCOPE_H
#define UDPRELAYD_CLIENT_LOAD_ADDRESS_SCOPE_H

#include "base/address.h"

enum address_scope {
	SCOPE_LOCAL, /* loopback, private (RFC 1918), unique local (RFC 4193), link-local */
	SCOPE_GLOBAL, /* any other host, and addresses that belong to no host */
	SCOPE_MULTICAST, /* multicast, or the broadcast address 255.255.255.255 */
};

/* Returns the scope of an IPv4 or IPv6 address. An IPv4-mapped address (RFC 4291, 2.5.5.2) has the scope of its IPv4
 * address. */
enum address_scope address_scope_of(const struct address *address);

#endif

/* How far an address reaches: load is sent only where it can be one's own. */
#ifndef UDPRELAYD_CLIENT_LOAD_ADDRESS_SCOPE_H
#define UDPRELAYD_CLIENT_LOAD_ADDRESS_SCOPE_H

#include "base/address.h"

enum scope {
	SCOPE_NEAR, /* loopback, private (RFC 1918), unique local (RFC 4193), link-local */
	SCOPE_FAR, /* every other host, and whatever is no host's */
	SCOPE_MANY, /* a group, or the broadcast address of every network */
};

/* Of an IPv4 or IPv6 address; a v4-mapped one (RFC 4291, 2.5.5.2) counts as what it holds. */
enum scope scope_of(const struct address *address);

#endif

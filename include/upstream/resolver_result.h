/* Result of a name look-up: the addresses of a name that datagrams can be sent to, in a stable order. */
#ifndef UDPRELAYD_UPSTREAM_RESOLVER_RESULT_H
#define UDPRELAYD_UPSTREAM_RESOLVER_RESULT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/destination.h"

/* Maximum number of addresses of a name. Further ones are left out. */
#define RESOLVER_ADDRESSES_MAX 64

struct resolver_result {
	size_t count;
	bool more; /* addresses were left out because of the maximum */
	struct address addresses[RESOLVER_ADDRESSES_MAX];
	enum destination refused_kind; /* kind of `refused`; DESTINATION_HOST: no address was refused */
	struct address refused; /* the first address that is not the address of a host */
};

/* Reads a list from getaddrinfo(3), or NULL for an empty one. The result has each IPv4 and IPv6 address of a host once,
 * with the given port. Wildcard, 0/8, broadcast, multicast and IPv4-mapped addresses are refused: a name server must
 * not be able to turn datagrams into broadcasts. Broadcast addresses are those of the present interfaces. Addresses
 * that are also in previous come first, in their old order. So a different order in the list has no effect, and with
 * more than RESOLVER_ADDRESSES_MAX addresses those in use stay. */
void resolver_result_read(struct resolver_result *result, const struct resolver_result *previous,
			  const struct addrinfo *list, uint16_t port);

/* Compares two results of resolver_result_read(), address by address. */
bool resolver_results_equal(const struct resolver_result *a, const struct resolver_result *b);

#endif

/* What a name leads to: of the addresses that a look-up found, those that datagrams can be sent to. */
#ifndef UDPRELAYD_UPSTREAM_RESOLVER_RESULT_H
#define UDPRELAYD_UPSTREAM_RESOLVER_RESULT_H

#include <netdb.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"

/* Of more than so many addresses, the first are used. */
#define RESOLVER_ADDRESSES_MAX 64

struct resolver_result {
	size_t count;
	bool more; /* than there is room for */
	struct address addresses[RESOLVER_ADDRESSES_MAX];
};

/* Takes what getaddrinfo(3) found (NULL: nothing), each address once and with the port. Those that are in now and still
 * there come first: an answer in another order is no change, and one with more addresses than can be used does not swap
 * them each time. */
void resolver_result_read(struct resolver_result *answer, const struct resolver_result *now,
			  const struct addrinfo *list, uint16_t port);

/* Of two answers in the order that resolver_result_read() makes. */
bool resolver_results_equal(const struct resolver_result *a, const struct resolver_result *b);

#endif

/* Resolver: looks one host name up on the main loop, again and again, and reports changes of its addresses.
 *
 * struct peers owns one for each peer with a host name. After a success the next look-up follows after the peer's
 * resolve_interval, after a failure after a back-off. A failure leaves the last addresses in use. */
#ifndef UDPRELAYD_UPSTREAM_RESOLVER_H
#define UDPRELAYD_UPSTREAM_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/own_addresses.h"
#include "upstream/name_lookup.h"
#include "upstream/resolver_result.h"

/* Called when the addresses of the name have changed. Addresses that stay come first, in their old order. count is 0 if
 * the name has had no address yet, and now has only addresses that are refused (see resolver_result_read()). Returns 0,
 * or a negative errno if the addresses could not be applied; the callee logs the error. Then the old addresses stay in
 * use and the next look-up calls again. */
typedef int (*resolver_changed)(const struct peer_config *config, const struct address *addresses, size_t count,
				void *data);

/* The caller sets the first group of fields and zeroes the rest. */
struct resolver {
	uv_loop_t *loop;
	const struct peer_config *config; /* config->host is the name */
	const struct own_addresses *own; /* may be NULL */
	struct log *log;
	resolver_changed changed;
	void *data;

	struct name_lookup lookup;
	uv_timer_t timer; /* until the next look-up */
	bool closing;
	unsigned open_handles; /* open handles of lookup and timer */
	unsigned failures; /* consecutive */
	bool no_address; /* changed was called with count 0 */
	struct resolver_result result; /* result of the last successful look-up */
};

/* Adds the handles to the loop. They must be closed before the memory is freed. */
void resolver_init(struct resolver *resolver);

/* Begins the first look-up. */
void resolver_start(struct resolver *resolver);

/* Closes the handles and abandons the look-up. The memory must remain valid until resolver_is_closed(). A second call
 * does nothing. */
void resolver_close(struct resolver *resolver);

bool resolver_is_closed(const struct resolver *resolver);

#endif

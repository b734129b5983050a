/* One name, looked up on the main loop again and again, aside in a pool of threads. */
#ifndef UDPRELAYD_UPSTREAM_RESOLVER_H
#define UDPRELAYD_UPSTREAM_RESOLVER_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/own_addresses.h"
#include "upstream/resolver_result.h"

/* The name leads to other addresses than before, of which there is at least one: those that were there before come
 * first, in their old order. Returns 0, or a negative errno where that cannot be used, after telling so: then the old
 * ones stay, and the next look-up calls again. */
typedef int (*resolver_changed)(const struct peer_config *config, const struct address *addresses, size_t count,
				void *data);

/* The first part is the caller's to fill in. */
struct resolver {
	uv_loop_t *loop;
	const struct peer_config *config; /* whose host is the name */
	const struct own_addresses *own; /* NULL: nothing is */
	struct log *log;
	resolver_changed changed;
	void *data;

	uv_getaddrinfo_t request;
	uv_timer_t timer;
	bool busy; /* a look-up is under way */
	bool closing, closed;
	unsigned failures; /* in a row */
	struct resolver_result now; /* the last answer that was good for something */
};

/* Begins the life of one that is zero but for the first part. */
void resolver_init(struct resolver *resolver);

/* Looks the name up for the first time. */
void resolver_start(struct resolver *resolver);

/* Closes the timer and cancels the look-up, if that can be. The memory must stay until the loop has ended, and as long
 * as the resolver is busy. */
void resolver_close(struct resolver *resolver);

#endif

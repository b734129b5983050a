/* What all workers share of one listener, since the kernel spreads the ports of a source over them. */
#ifndef UDPRELAYD_WORKER_LISTENER_LIMITS_H
#define UDPRELAYD_WORKER_LISTENER_LIMITS_H

#include <stdint.h>

#include "config/config.h"
#include "guard/ring_guard.h"
#include "guard/source_limit.h"
#include "relay/relay.h"

struct listener_limits {
	struct session_quota quota; /* of a relay */
	struct source_limit *source_limit; /* NULL: none */
	struct ring_guard *ring_guard; /* NULL: none */
	struct listener_limits *before; /* whose tables these are, too */
};

/* One for each listener of the configuration. sessions: how many there is room for; where that is less than the relays
 * want, each has its share. before (NULL: nothing was) is of an earlier configuration: tables of a listener of the same
 * name, with the same limits, are shared with it for now. Returns 0 or -ENOMEM. */
int listener_limits_create(struct listener_limits **shared, const struct config *config, uint64_t sessions,
			   struct listener_limits *before, const struct config *config_before);

/* Takes over for good what is shared with the one before. */
void listener_limits_adopt(struct listener_limits *shared, const struct config *config);

/* NULL is accepted. */
void listener_limits_destroy(struct listener_limits *shared, const struct config *config);

#endif

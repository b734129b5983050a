/* The limits of one listener that all workers share, because the kernel spreads the ports of one source over them: the
 * session quota, the rate limit per source and the ring guard. After a reload they continue if the new configuration
 * has the same limits. */
#ifndef UDPRELAYD_WORKER_LISTENER_LIMITS_H
#define UDPRELAYD_WORKER_LISTENER_LIMITS_H

#include <stdint.h>

#include "config/config.h"
#include "guard/ring_guard.h"
#include "guard/source_limit.h"
#include "relay/relay.h"

struct listener_limits {
	struct session_quota quota; /* sessions of a relay */
	struct source_limit *source_limit; /* NULL: none */
	struct ring_guard *ring_guard; /* NULL: none */
	struct listener_limits *before; /* the limits of the previous configuration that share these tables, or NULL */
};

/* Creates an array with one element for each listener of the configuration. sessions: the number of sessions that the
 * process has descriptors for; if that is less than the relays may have, each relay gets its share. before is NULL, or
 * the array of config_before: a listener of the same name with the same limits shares its tables until
 * listener_limits_adopt(). Returns 0 or -ENOMEM. */
int listener_limits_create(struct listener_limits **limits, const struct config *config, uint64_t sessions,
			   struct listener_limits *before, const struct config *config_before);

/* Becomes the only owner of the shared tables. */
void listener_limits_adopt(struct listener_limits *limits, const struct config *config);

/* Accepts NULL. Does not free tables that the previous configuration still owns. */
void listener_limits_destroy(struct listener_limits *limits, const struct config *config);

#endif

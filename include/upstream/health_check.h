/* Active health checks: probes each endpoint of a peer that has a check, at the interval of the configuration.
 *
 * The main loop runs the checks and owns them. Each check has its own socket. It sends a probe and reads the reply. An
 * ICMP error, which can be forged, counts only if no reply comes before the timeout. After `fall` consecutive failures
 * the endpoint is down, after `rise` consecutive successes it is up again. Local errors, such as a lack of file
 * descriptors, are logged and do not count as failures. */
#ifndef UDPRELAYD_UPSTREAM_HEALTH_CHECK_H
#define UDPRELAYD_UPSTREAM_HEALTH_CHECK_H

#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "net/own_addresses.h"
#include "upstream/peers.h"

struct health_checks;

/* Creates an empty set of checks. loop, config, own (may be NULL) and log must outlive it. Endpoints whose address
 * reaches a listener of own are not probed. Returns 0 or -ENOMEM. */
int health_checks_create(struct health_checks **checks, uv_loop_t *loop, const struct config *config,
			 const struct own_addresses *own, struct log *log);

/* Starts checks of the endpoints that are new in the snapshot, each with a probe at once, and stops checks of those
 * that are not in it. The caller keeps its reference to the snapshot; a check takes one to its endpoint. */
void health_checks_set(struct health_checks *checks, const struct endpoints_snapshot *snapshot);

/* Stops all checks. The loop must run until health_checks_closed(). A second call does nothing. Accepts NULL. */
void health_checks_close(struct health_checks *checks);

/* Returns whether all handles are closed after health_checks_close(). NULL is closed. */
bool health_checks_closed(const struct health_checks *checks);

/* Frees the set, once it is closed or the loop has ended. Accepts NULL. */
void health_checks_destroy(struct health_checks *checks);

#endif

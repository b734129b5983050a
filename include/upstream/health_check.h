/* Active health checks: on the main loop, each target of a peer with a check is asked again and again, and is down
 * after so many failures in a row. */
#ifndef UDPRELAYD_UPSTREAM_HEALTH_CHECK_H
#define UDPRELAYD_UPSTREAM_HEALTH_CHECK_H

#include <uv.h>

#include "base/log.h"
#include "config/config.h"
#include "net/own_addresses.h"
#include "upstream/peers.h"

struct health_checks;

/* Nothing is checked yet. loop, config, own (NULL: nothing is) and log must outlive the checks. A target that leads
 * back to an address of own is left alone. Returns 0 or -ENOMEM. */
int health_checks_create(struct health_checks **checks, uv_loop_t *loop, const struct config *config,
			 const struct own_addresses *own, struct log *log);

/* Checks these targets from now on, each at once for the first time, and no others. The caller keeps his reference. */
void health_checks_set(struct health_checks *checks, const struct endpoints_snapshot *snapshot);

/* Ends all checks: the loop closes the handles. NULL is accepted, and a second time does nothing. */
void health_checks_close(struct health_checks *checks);

/* Whether all is closed after that. */
bool health_checks_closed(const struct health_checks *checks);

/* Then, or once the loop has ended. NULL is accepted. */
void health_checks_destroy(struct health_checks *checks);

#endif

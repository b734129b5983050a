/* The guard: who is answered, and who is not. */
#ifndef UDPRELAYD_GUARD_ACCESS_H
#define UDPRELAYD_GUARD_ACCESS_H

#include <stddef.h>

#include "base/address.h"
#include "config/config.h"
#include "net/drop_reason.h"
#include "net/own_addresses.h"
#include "net/train.h"

/* What made the guard decide, in the order of its questions. */
enum guard_ground {
	GUARD_IN_DENY,
	GUARD_NOT_IN_ALLOW,
	GUARD_NO_ANSWERS, /* the action answers nobody */
	GUARD_UNNAMED, /* an AF_UNIX sender without a name */
	GUARD_UNNAMED_BUT_SILENT, /* the same, of a relay that expects no answers for it */
	GUARD_OFF, /* loop_guard */
	GUARD_NO_HOST, /* nobody has the source's address */
	GUARD_OWN,
	GUARD_PORT_ZERO,
	GUARD_REFUSED_PORT,
	GUARD_GOOD,
};

struct guard_decision {
	enum drop_reason reason; /* DROP_NONE: the listener may take it */
	enum guard_ground ground;
	const struct prefix *prefix; /* of deny or allow, that the source has; or NULL */
};

/* Whether the listener may take datagrams from the source, and why. First, whatever the action and loop_guard are, a
 * source in deny is out, and one that is not in allow where that is set; AF_UNIX has neither. Then, echo and relay
 * answer nobody who cannot be answered or who would answer the answer (CERT CA-1996-01, CVE-2024-2169). */
struct guard_decision guard_decide(const struct listener_config *config, const struct own_addresses *own,
				   const struct address *source);

/* What forbids the listener to take the train, by the same decision. */
static inline enum drop_reason guard_check(const struct listener_config *config, const struct own_addresses *own,
					   const struct train *train)
{
	return guard_decide(config, own, &train->source).reason;
}

#endif

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
enum access_rule {
	ACCESS_DENIED,
	ACCESS_NOT_ALLOWED,
	ACCESS_NO_REPLY_ACTION, /* the action answers nobody */
	ACCESS_UNNAMED, /* an AF_UNIX sender without a name */
	ACCESS_UNNAMED_ONE_WAY, /* the same, of a relay that expects no answers for it */
	ACCESS_LOOP_GUARD_OFF, /* loop_guard */
	ACCESS_NO_HOST, /* nobody has the source's address */
	ACCESS_OWN_ADDRESS,
	ACCESS_PORT_ZERO,
	ACCESS_REFUSED_PORT,
	ACCESS_ADMITTED,
};

struct access_decision {
	enum drop_reason reason; /* DROP_NONE: the listener may take it */
	enum access_rule ground;
	const struct prefix *prefix; /* of deny or allow, that the source has; or NULL */
};

/* Whether the listener may take datagrams from the source, and why. First, whatever the action and loop_guard are, a
 * source in deny is out, and one that is not in allow where that is set; AF_UNIX has neither. Then, echo and relay
 * answer nobody who cannot be answered or who would answer the answer (CERT CA-1996-01, CVE-2024-2169). */
struct access_decision access_check(const struct listener_config *config, const struct own_addresses *own,
				    const struct address *source);

/* What forbids the listener to take the train, by the same decision. */
static inline enum drop_reason guard_check(const struct listener_config *config, const struct own_addresses *own,
					   const struct train *train)
{
	return access_check(config, own, &train->source).reason;
}

#endif

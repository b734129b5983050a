/* The guard: who is answered, and who is not. */
#ifndef UDPRELAYD_GUARD_H
#define UDPRELAYD_GUARD_H

#include <stddef.h>

#include "address.h"
#include "batch.h"
#include "config.h"
#include "metrics.h"

/* The addresses that listeners are bound to, and what a wildcard among them stands for. */
struct own_addresses;

/* So many addresses may come to local interfaces that were not there at first. */
#define OWN_ADDRESSES_LATER 256

/* bound: count addresses, which are copied. The addresses of the local interfaces are read now. Returns 0 or a negative
 * errno. */
int own_addresses_create(struct own_addresses **own, const struct address *bound, size_t count);

/* Reads the addresses of the interfaces again, where it matters; others may ask meanwhile. Returns false where some are
 * not known, as more than OWN_ADDRESSES_LATER have come. */
bool own_addresses_refresh(struct own_addresses *own);

/* Another one after each time. */
unsigned own_addresses_version(const struct own_addresses *own);

/* NULL is accepted. */
void own_addresses_destroy(struct own_addresses *own);

/* Whether a datagram from source is one that we sent from a listener's socket. */
bool own_addresses_has(const struct own_addresses *own, const struct address *source);

/* Whether what is sent to the address comes back to a listener: as above, and an AF_UNIX path by any name that leads to
 * the same file. Looks at the file system. */
bool own_addresses_leads_back(const struct own_addresses *own, const struct address *to);

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

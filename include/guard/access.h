/* Access: decides whether a listener accepts datagrams from a source. It is a pure decision on the configuration, our
 * own addresses and the source; it keeps no state. */
#ifndef UDPRELAYD_GUARD_ACCESS_H
#define UDPRELAYD_GUARD_ACCESS_H

#include "base/address.h"
#include "config/config.h"
#include "net/drop_reason.h"
#include "net/own_addresses.h"

/* The rule that decides, in the order of the checks. */
enum access_rule {
	ACCESS_DENIED, /* the source is in deny */
	ACCESS_NOT_ALLOWED, /* allow is set, and the source is not in it */
	ACCESS_NO_REPLY_ACTION, /* the action sends no replies, so that loop_guard does not apply */
	ACCESS_UNNAMED, /* an AF_UNIX sender without a name: a reply has no destination */
	ACCESS_UNNAMED_ONE_WAY, /* the same, but the relay expects no replies (responses = 0) */
	ACCESS_LOOP_GUARD_OFF,
	ACCESS_NO_HOST, /* no host has this source address */
	ACCESS_OWN_ADDRESS,
	ACCESS_PORT_ZERO,
	ACCESS_REFUSED_PORT, /* refuse_source_ports */
	ACCESS_ADMITTED,
};

struct access_decision {
	enum drop_reason reason; /* DROP_NONE: the listener accepts the datagram */
	enum access_rule rule;
	const struct prefix *prefix; /* the prefix in deny or allow that contains the source; or NULL */
};

/* Checks a source. deny and allow apply to every action, but not to AF_UNIX senders. Then, with loop_guard, an echo and
 * a relay refuse sources that cannot receive a reply, or that would reply to the reply (CERT CA-1996-01,
 * CVE-2024-2169). */
struct access_decision access_check(const struct listener_config *config, const struct own_addresses *own,
				    const struct address *source);

#endif

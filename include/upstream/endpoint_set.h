/* The targets of a relay, as one worker sees them: which are up, and which is for whom. */
#ifndef UDPRELAYD_UPSTREAM_ENDPOINT_SET_H
#define UDPRELAYD_UPSTREAM_ENDPOINT_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "net/drop_reason.h"
#include "net/own_addresses.h"
#include "upstream/balancer.h"
#include "upstream/endpoint.h"
#include "upstream/endpoints_snapshot.h"

/* A target in the set. When its address is gone it lives on outside, as long as sessions are with it. */
struct endpoint_ref {
	struct endpoint *target;
	size_t peer; /* in the listener's peers */
	size_t index; /* in the set; ENDPOINT_REMOVED outside */
	uint32_t sessions;
};

#define ENDPOINT_REMOVED SIZE_MAX

struct endpoint_set {
	const struct listener_config *config;
	const struct own_addresses *own;
	const endpoint_epoch *news;
	unsigned start; /* where turns begin */
	struct endpoint_ref **members;
	struct balancer_target *choices; /* by member */
	size_t count;
	uint32_t version; /* of the members: another after each change */
	bool has_own_address; /* some were left out, since they are our own listeners */
	struct balancer *balancer;
	unsigned epoch_seen;
	uint64_t next_end_ms; /* when the first of the rests ends */
};

/* For the peers of the listener as snapshot has them. own is NULL where nothing is; start is as balancer_create() takes
 * it. Returns 0 or -ENOMEM. */
int endpoint_set_init(struct endpoint_set *set, const struct listener_config *config, const struct own_addresses *own,
		      const endpoint_epoch *news, unsigned start, const struct endpoints_snapshot *snapshot);

/* No session may be left with any member. */
void endpoint_set_finish(struct endpoint_set *set);

/* The peers are at other addresses, or not. Returns 0, or -ENOMEM and leaves everything as it was. */
int endpoint_set_update(struct endpoint_set *set, const struct endpoints_snapshot *snapshot);

/* The same for another configuration of the listener, which may have other peers, in another order. Where it fails,
 * members of peers that the listener does not have any more stay. */
int endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
			      const struct own_addresses *own, const struct endpoints_snapshot *snapshot);

/* Learns which have come up and gone down. Where nothing has happened it costs next to nothing. Returns whether the
 * choice has changed. */
bool endpoint_set_refresh(struct endpoint_set *set, uint64_t now_ms);

/* Whether one of the targets is at the address. Looks at all of them. */
bool endpoint_set_has(const struct endpoint_set *set, const struct address *address);

/* The member for a new session of this client, or NULL where there is none. */
struct endpoint_ref *endpoint_set_choose(struct endpoint_set *set, const struct address *client);

/* Whether loop_guard forbids sessions with this client, since it is at the address of a peer. */
bool endpoint_set_is_loop(const struct endpoint_set *set, const struct address *client);

/* The member for a new session, unless they are forbidden. Returns DROP_NONE and the member, or why there is
 * none. */
enum drop_reason endpoint_set_assign(struct endpoint_set *set, const struct address *client,
				     struct endpoint_ref **member);

/* A session is with the member from now on; and not any more. */
void endpoint_set_join(struct endpoint_set *set, struct endpoint_ref *member);
void endpoint_set_leave(struct endpoint_set *set, struct endpoint_ref *member);

/* Whether a session may stay: as long as the address is not gone, and up, unless all are down. */
static inline bool endpoint_set_keeps(const struct endpoint_set *set, const struct endpoint_ref *member)
{
	return member->index != ENDPOINT_REMOVED &&
	       (set->choices[member->index].up || balancer_fails_open(set->balancer));
}

#endif

/* Endpoint set: the endpoints that one relay uses in one worker.
 *
 * It tracks which endpoints are up, assigns one to each new session and counts the sessions of each. The relay owns it
 * and only its worker uses it; the endpoints themselves are shared with other threads. Updates can fail with -ENOMEM
 * and then change nothing. */
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

/* A member of the set. A member that an update removes stays allocated until its last session leaves. */
struct endpoint_ref {
	struct endpoint *endpoint;
	size_t peer; /* index in the listener's peers */
	size_t index; /* index in the set, or ENDPOINT_REMOVED */
	uint32_t sessions;
};

#define ENDPOINT_REMOVED SIZE_MAX

struct endpoint_set {
	const struct listener_config *config;
	const struct own_addresses *own;
	const endpoint_epoch *epoch;
	unsigned start; /* for balancer_create() */
	struct endpoint_ref **members;
	struct balancer_target *candidates; /* same order as members; the balancer reads them */
	size_t count;
	uint32_t version; /* incremented whenever the members change */
	bool has_own_address; /* at least one endpoint is not in the set because it is a listener of this process */
	bool has_no_address; /* at least one peer has a name without an address of a host */
	struct balancer *balancer;
	unsigned epoch_seen;
	uint64_t next_ejection_end_ms; /* earliest end of an ejection, on the monotonic clock */
};

/* Creates the set of the listener's peers, with the endpoints that the snapshot has for them. own is NULL if this
 * process has no listener to avoid; start is passed to balancer_create(). Everything that the set points to must
 * outlive it, except the snapshot. Returns 0 or -ENOMEM. */
int endpoint_set_init(struct endpoint_set *set, const struct listener_config *config, const struct own_addresses *own,
		      const endpoint_epoch *epoch, unsigned start, const struct endpoints_snapshot *snapshot);

/* Frees the members. None of them may have a session. */
void endpoint_set_finish(struct endpoint_set *set);

/* Adds and removes members so that they match the snapshot. Returns 0, or -ENOMEM and changes nothing. */
int endpoint_set_update(struct endpoint_set *set, const struct endpoints_snapshot *snapshot);

/* Does the same for a new configuration of the listener, which may have other peers or another order. Returns 0 or
 * -ENOMEM. After an error the members stay as they were, including those whose peer the listener no longer has. */
int endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
			      const struct own_addresses *own, const struct endpoints_snapshot *snapshot);

/* Reads which endpoints are up, if that may have changed since the last call; otherwise it costs two comparisons.
 * Returns whether the candidates of the balancer have changed. */
bool endpoint_set_refresh(struct endpoint_set *set, uint64_t now_ms);

/* Returns whether one of the endpoints has this address. Compares with all of them. */
bool endpoint_set_has(const struct endpoint_set *set, const struct address *address);

/* Returns the member for a new session of this client, or NULL if the set is empty. */
struct endpoint_ref *endpoint_set_choose(struct endpoint_set *set, const struct address *client);

/* Returns whether loop_guard forbids sessions with this client because it has the address of a peer. */
bool endpoint_set_is_loop(const struct endpoint_set *set, const struct address *client);

/* Returns whether the member's address has become one of our own listeners: an interface of this host may get it at any
 * time. */
bool endpoint_set_reaches_us(const struct endpoint_set *set, const struct endpoint_ref *ref);

/* Chooses the member for a new session of this client. Returns DROP_NONE and sets *ref, or returns the reason why the
 * client's datagrams are dropped. */
enum drop_reason endpoint_set_assign(struct endpoint_set *set, const struct address *client, struct endpoint_ref **ref);

/* Count a session that begins to use the member, and one that no longer uses it. The last session to leave a removed
 * member frees it. */
void endpoint_set_join(struct endpoint_set *set, struct endpoint_ref *ref);
void endpoint_set_leave(struct endpoint_set *set, struct endpoint_ref *ref);

/* Returns whether sessions may stay with the member: it is up, or no other one is better, or it has replied recently
 * although it is down. The same holds for a removed member, because a changed DNS record does not prove that the old
 * address is down. */
static inline bool endpoint_set_keeps(const struct endpoint_set *set, const struct endpoint_ref *ref, uint64_t now_ms)
{
	bool up =
		ref->index != ENDPOINT_REMOVED ? set->candidates[ref->index].up : endpoint_is_up(ref->endpoint, now_ms);

	return up || !set->count || balancer_fails_open(set->balancer) ||
	       endpoint_replied_recently(ref->endpoint, now_ms);
}

#endif

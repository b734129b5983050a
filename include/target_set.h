/* The targets of a relay, as one worker sees them: which are up, and which is for whom. */
#ifndef UDPRELAYD_TARGET_SET_H
#define UDPRELAYD_TARGET_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance.h"
#include "config.h"
#include "guard.h"
#include "peers_snapshot.h"
#include "target.h"

struct set_target {
	struct target *target; /* borrowed from the snapshot */
	size_t peer; /* in the listener's peers */
};

struct target_set {
	const struct listener_config *config;
	const struct own_addresses *own;
	const target_news *news;
	struct peers_snapshot *snapshot; /* that the targets are of */
	struct set_target *targets;
	struct balance_target *choices; /* by target */
	size_t count;
	bool leads_back; /* some were left out, since they are our own listeners */
	struct balancer *balancer;
	unsigned news_seen;
	uint64_t next_end_ms; /* when the first of the rests ends */
};

#define TARGET_NONE SIZE_MAX

/* Takes over the reference of the snapshot, where it succeeds. Returns 0 or -ENOMEM. */
int target_set_init(struct target_set *set, const struct listener_config *config, const struct own_addresses *own,
		    const target_news *news, struct peers_snapshot *snapshot);
void target_set_finish(struct target_set *set);

/* Where target of this set stands in another one, or TARGET_NONE. */
size_t target_set_find(const struct target_set *set, const struct target *target);

/* Learns which have come up and gone down. Where nothing has happened it costs next to nothing. Returns whether the
 * choice has changed. */
bool target_set_refresh(struct target_set *set, uint64_t now_ms);

/* The target for a new session of this client, or TARGET_NONE. */
size_t target_set_choose(struct target_set *set, const struct address *client);

/* Whether a session may stay with its target: while that is up, or while all are down. */
static inline bool target_set_keeps(const struct target_set *set, size_t target)
{
	return set->choices[target].up || balancer_fails_open(set->balancer);
}

#endif

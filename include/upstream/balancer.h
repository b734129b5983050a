/* Load balancer: chooses the endpoint for a new session.
 *
 * struct endpoint_set owns one balancer and the table of targets that it chooses from. The balancer reads the table and
 * stores only indices into it. It takes no lock: one thread uses it. Only allocation can fail. */
#ifndef UDPRELAYD_UPSTREAM_BALANCER_H
#define UDPRELAYD_UPSTREAM_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

#define BALANCER_NONE SIZE_MAX

/* One endpoint, as the balancer sees it. */
struct balancer_target {
	uint64_t identity; /* from balancer_identity() */
	uint32_t weight; /* relative share of the sessions, at least 1 */
	bool backup; /* used only when every target that is not a backup is down */
	bool up;
	uint32_t sessions; /* open sessions; the owner of the table counts them */
};

struct balancer;

/* Returns a hash of the peer's name and address. It is the same on every host. Only the first 255 bytes of the name
 * count. */
uint64_t balancer_identity(const char *peer, const struct address *address);

/* Creates a balancer for count targets, at most UINT16_MAX. The caller owns the table, which must outlive the balancer.
 * start: the number of turns to skip, so that several balancers do not all begin with the same target. Returns 0 or
 * -ENOMEM. */
int balancer_create(struct balancer **balancer, enum balance balance, const struct balancer_target *targets,
		    size_t count, unsigned start);

/* Accepts NULL. */
void balancer_destroy(struct balancer *balancer);

/* Selects the candidates again. Call it after `up` of any target has changed. The candidates are the targets that are
 * up, without backups. If there are none: the backups that are up. If there are none either, the balancer fails open:
 * all targets without the backups, or all backups if there is nothing else, because a reply that may come is better
 * than no reply. */
void balancer_update(struct balancer *balancer);

/* Returns whether all targets are down, so that the candidates include targets that are down. */
bool balancer_fails_open(const struct balancer *balancer);

/* Returns the number of candidates and points *candidates to their indices, valid until the next balancer_update(). */
size_t balancer_candidates(const struct balancer *balancer, const uint16_t **candidates);

/* Returns the index of the target for a new session of this client, or BALANCER_NONE if there are no targets. */
size_t balancer_choose(struct balancer *balancer, const struct address *client);

#endif

/* Which peer a new session goes to. */
#ifndef UDPRELAYD_UPSTREAM_BALANCER_H
#define UDPRELAYD_UPSTREAM_BALANCER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

#define BALANCER_NONE SIZE_MAX

/* One address of a peer. */
struct balancer_target {
	uint64_t identity; /* balancer_identity() of it */
	uint32_t weight; /* its share of the sessions, from 1 */
	bool backup; /* used only when no other is up */
	bool up;
	uint32_t sessions; /* alive; the owner counts */
};

struct balancer;

/* A hash of a peer's name and address, the same on every host. */
uint64_t balancer_identity(const char *peer, const struct address *address);

/* The targets, at most UINT16_MAX, stay their owner's and must outlive the balancer. start: of several balancers, each
 * begins its turns elsewhere. Returns 0 or -ENOMEM. */
int balancer_create(struct balancer **balancer, enum balance balance, const struct balancer_target *targets,
		    size_t count, unsigned start);

/* NULL is accepted. */
void balancer_destroy(struct balancer *balancer);

/* To be called when a target has come up or gone down. Those that are up are chosen from; where none is, the backups
 * that are; where none of these is either, all that are no backups: an answer that may come is better than none. */
void balancer_update(struct balancer *balancer);

/* Whether targets are used although all are down. */
bool balancer_fails_open(const struct balancer *balancer);

/* The targets that are chosen from: their indices, until the next update. Returns how many there are. */
size_t balancer_candidates(const struct balancer *balancer, const uint16_t **choices);

/* The index of the target for a new session of this client; BALANCER_NONE where there are no targets. */
size_t balancer_choose(struct balancer *balancer, const struct address *client);

#endif

/* One address of a peer and how it fares. It is shared by the main loop, which checks it, and by the workers, whose
 * sessions meet its ICMP errors. */
#ifndef UDPRELAYD_UPSTREAM_ENDPOINT_H
#define UDPRELAYD_UPSTREAM_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

/* Grows whenever a target comes up or goes down, but for the end of a rest, which everybody can foresee. */
typedef atomic_uint endpoint_epoch;

struct endpoint {
	atomic_uint references;
	const struct peer_config *peer;
	struct address address;
	endpoint_epoch *news; /* of all targets; it outlives their use */
	atomic_uint fails; /* ICMP errors in a row */
	_Atomic uint64_t ejected_until_ms; /* monotonic */
	atomic_bool check_failed; /* the active check says so */
};

/* Returns a target with one reference, up, or NULL where there is no memory. */
struct endpoint *endpoint_create(const struct peer_config *peer, const struct address *address, endpoint_epoch *news);

/* Another configuration of the peer is in force. No thread uses the target meanwhile. */
void endpoint_adopt_config(struct endpoint *target, const struct peer_config *peer);

/* Takes another reference. */
struct endpoint *endpoint_get(struct endpoint *target);

/* Drops one; the last frees. NULL is accepted. */
void endpoint_put(struct endpoint *target);

/* Whether the check is content and the target does not rest. */
bool endpoint_is_up(const struct endpoint *target, uint64_t now_ms);

/* Until when it rests; in the past where it does not. */
uint64_t endpoint_ejected_until(const struct endpoint *target);

/* Any thread: ICMP said count times that nobody listens there. After max_fails in a row the target rests for
 * fail_timeout; after that a single one is enough, until an answer comes. Returns true where the rest begins now. */
bool endpoint_report_failure(struct endpoint *target, unsigned count, uint64_t now_ms);

/* Any thread: an answer came. */
void endpoint_report_success(struct endpoint *target);

/* The main loop: what the active check found. */
void endpoint_set_checked(struct endpoint *target, bool up);

#endif

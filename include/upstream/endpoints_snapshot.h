/* Where all peers are at one moment, shared by the threads and never changed; how each target fares is another matter.
 */
#ifndef UDPRELAYD_UPSTREAM_ENDPOINTS_SNAPSHOT_H
#define UDPRELAYD_UPSTREAM_ENDPOINTS_SNAPSHOT_H

#include <stdatomic.h>
#include <stddef.h>

#include "upstream/endpoint.h"

struct peer_endpoints {
	struct endpoint **items; /* in the order of preference: those that were there before come first */
	size_t count; /* 0: the name has no address yet */
};

struct endpoints_snapshot {
	atomic_uint references;
	size_t peer_count;
	struct peer_endpoints peers[]; /* by the peer's index */
};

/* A snapshot with one reference, which takes references of its own to the targets; or NULL where there is no memory. */
struct endpoints_snapshot *endpoints_snapshot_create(const struct peer_endpoints *peers, size_t count);

/* Takes another reference. */
struct endpoints_snapshot *endpoints_snapshot_get(struct endpoints_snapshot *snapshot);

/* Drops one; the last frees. NULL is accepted. */
void endpoints_snapshot_put(struct endpoints_snapshot *snapshot);

#endif

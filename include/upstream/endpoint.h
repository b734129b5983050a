/* Endpoint: one address of a peer, with its health. Snapshot: the endpoints of all peers at one moment.
 *
 * The main loop creates both and shares them with the workers. Both are reference-counted; the last endpoint_put() or
 * endpoints_snapshot_put() frees. The health of an endpoint changes atomically: the active check runs on the main loop,
 * ICMP errors are reported by the workers. A snapshot never changes; another one replaces it. */
#ifndef UDPRELAYD_UPSTREAM_ENDPOINT_H
#define UDPRELAYD_UPSTREAM_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

/* A counter shared by all endpoints. It is incremented whenever an endpoint goes up or down, except at the end of an
 * ejection, whose time is known in advance. Readers refresh their view when it differs from the value they saw last. */
typedef atomic_uint endpoint_epoch;

struct endpoint {
	atomic_uint references;
	const struct peer_config *peer;
	struct address address;
	endpoint_epoch *epoch; /* shared by all endpoints; it must outlive their use */
	atomic_uint fails; /* consecutive ICMP errors */
	_Atomic uint64_t ejected_until_ms; /* monotonic clock; the endpoint is down before */
	atomic_bool check_failed; /* result of the active check */
};

/* Returns an endpoint that is up, with one reference, or NULL when out of memory. */
struct endpoint *endpoint_create(const struct peer_config *peer, const struct address *address, endpoint_epoch *epoch);

/* Replaces the configuration of the peer. An endpoint without an active check is no longer down because of one. No
 * other thread may use the endpoint during the call. */
void endpoint_adopt_config(struct endpoint *endpoint, const struct peer_config *peer);

/* Takes another reference and returns the endpoint. */
struct endpoint *endpoint_get(struct endpoint *endpoint);

/* Drops a reference; the last one frees. Accepts NULL. */
void endpoint_put(struct endpoint *endpoint);

/* Returns whether the active check has not failed and the endpoint is not ejected. */
bool endpoint_is_up(const struct endpoint *endpoint, uint64_t now_ms);

/* Returns the end of the ejection, on the monotonic clock; a time in the past if the endpoint is not ejected. */
uint64_t endpoint_ejected_until(const struct endpoint *endpoint);

/* Reports count ICMP errors of a closed port. After max_fails consecutive errors the endpoint is ejected for
 * fail_timeout. After that a single error ejects it again, until a reply arrives. Returns true if this call began an
 * ejection. Any thread may call it. */
bool endpoint_report_failure(struct endpoint *endpoint, unsigned count, uint64_t now_ms);

/* Reports a reply. Any thread may call it. */
void endpoint_report_success(struct endpoint *endpoint);

/* Sets the result of the active check. Only the main loop calls it. */
void endpoint_set_checked(struct endpoint *endpoint, bool up);

struct peer_endpoints {
	struct endpoint **items; /* in order of preference: known addresses first, new ones after them */
	size_t count; /* 0 while the name of the peer has no address */
	bool no_address; /* the name exists, but count is 0 because no host has one of its addresses */
};

struct endpoints_snapshot {
	atomic_uint references;
	size_t peer_count;
	struct peer_endpoints peers[]; /* by index of the peer in the configuration */
};

/* Copies the lists and takes a reference to every endpoint. Returns a snapshot with one reference, or NULL when out of
 * memory. */
struct endpoints_snapshot *endpoints_snapshot_create(const struct peer_endpoints *peers, size_t count);

/* Takes another reference and returns the snapshot. */
struct endpoints_snapshot *endpoints_snapshot_get(struct endpoints_snapshot *snapshot);

/* Drops a reference; the last one frees. Accepts NULL. */
void endpoints_snapshot_put(struct endpoints_snapshot *snapshot);

#endif

/* Endpoint: one address of a peer, with its health. Snapshot: the endpoints of all peers at one moment.
 *
 * The main loop creates both and shares them with the workers. Both are reference-counted; the last endpoint_put() or
 * endpoints_snapshot_put() frees. The health of an endpoint changes atomically: the active check runs on the main loop,
 * errors and replies are reported by the workers. A snapshot never changes; another one replaces it.
 *
 * Any host can forge an ICMP error, so an error alone proves nothing. A reply resets the count and ends an ejection.
 * These rules decide whether an error counts:
 * 1. It does not count if a reply came in the last ENDPOINT_RECENT_MS, or if the last check got its reply.
 * 2. If a third of fail_timeout has passed since the first error without a reply, one error is enough. A client that
 *    sends twice in fail_timeout then leaves within fail_timeout: with its third datagram at the latest.
 * 3. Replies are missing if none has come since the first error, for ENDPOINT_MISSING_MS. Then each error counts.
 * 4. Otherwise one error counts per check_interval. */
#ifndef UDPRELAYD_UPSTREAM_ENDPOINT_H
#define UDPRELAYD_UPSTREAM_ENDPOINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

/* ICMP errors do not count against an endpoint that replied this recently. */
#define ENDPOINT_RECENT_MS 1000

/* After this time without a reply every error counts. */
#define ENDPOINT_MISSING_MS 1000

/* A counter shared by all endpoints. It is incremented whenever an endpoint goes up or down, except at the end of an
 * ejection, whose time is known in advance. Readers refresh their view when it differs from the value they saw last. */
typedef atomic_uint endpoint_epoch;

struct endpoint {
	atomic_uint references;
	const struct peer_config *peer;
	struct address address;
	endpoint_epoch *epoch; /* shared by all endpoints; it must outlive their use */
	atomic_uint fails; /* errors that counted since the last reply */
	_Atomic uint64_t replied_ms; /* monotonic clock; the last reply to any client. 0: none yet */
	_Atomic uint64_t checked_ms; /* the last reply to a check; 0: none yet */
	_Atomic uint64_t suspect_ms; /* the first error since the last reply, in the last fail_timeout; 0: none */
	_Atomic uint64_t counted_ms; /* the last error that counted */
	_Atomic uint64_t ejected_until_ms; /* monotonic clock; the endpoint is down before this time */
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

/* Returns whether the endpoint has replied to any client in the last ms milliseconds. */
bool endpoint_replied_within(const struct endpoint *endpoint, uint64_t ms, uint64_t now_ms);

/* Returns whether the endpoint has ever replied to a client. */
static inline bool endpoint_has_replied(const struct endpoint *endpoint)
{
	return atomic_load_explicit(&endpoint->replied_ms, memory_order_relaxed);
}

static inline bool endpoint_replied_recently(const struct endpoint *endpoint, uint64_t now_ms)
{
	return endpoint_replied_within(endpoint, ENDPOINT_RECENT_MS, now_ms);
}

/* Reports count ICMP errors or failed sends. After max_fails errors that count, without a reply between them, the
 * endpoint is ejected for fail_timeout. After that a single error ejects it again, until a reply arrives.
 * replies_expected: false if the endpoint never replies, so that a missing reply means nothing. Returns true if this
 * call began an ejection. Any thread may call it. */
bool endpoint_report_failure(struct endpoint *endpoint, unsigned count, bool replies_expected, uint64_t now_ms);

/* Reports a reply to a client. Returns true if it ended an ejection. Any thread may call it. */
bool endpoint_report_reply(struct endpoint *endpoint, uint64_t now_ms);

/* Does the same for the reply to a check. Errors do not count until the reply to the next check is late. */
bool endpoint_report_check_reply(struct endpoint *endpoint, uint64_t now_ms);

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

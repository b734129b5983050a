#include "upstream/endpoint.h"

#include <stdlib.h>

/* --- Endpoint --- */

struct endpoint *endpoint_create(const struct peer_config *peer, const struct address *address, endpoint_epoch *epoch)
{
	struct endpoint *endpoint = calloc(1, sizeof(*endpoint));

	if (!endpoint)
		return NULL;
	atomic_init(&endpoint->references, 1);
	endpoint->peer = peer;
	endpoint->address = *address;
	endpoint->epoch = epoch;
	return endpoint;
}

void endpoint_adopt_config(struct endpoint *endpoint, const struct peer_config *peer)
{
	endpoint->peer = peer;
	if (!peer->check.on)
		endpoint_set_checked(endpoint, true);
}

struct endpoint *endpoint_get(struct endpoint *endpoint)
{
	atomic_fetch_add_explicit(&endpoint->references, 1, memory_order_relaxed);
	return endpoint;
}

void endpoint_put(struct endpoint *endpoint)
{
	if (endpoint && atomic_fetch_sub_explicit(&endpoint->references, 1, memory_order_acq_rel) == 1)
		free(endpoint);
}

uint64_t endpoint_ejected_until(const struct endpoint *endpoint)
{
	return atomic_load_explicit(&endpoint->ejected_until_ms, memory_order_relaxed);
}

bool endpoint_is_up(const struct endpoint *endpoint, uint64_t now_ms)
{
	return !atomic_load_explicit(&endpoint->check_failed, memory_order_relaxed) &&
	       now_ms >= endpoint_ejected_until(endpoint);
}

static void endpoint_advance_epoch(struct endpoint *endpoint)
{
	atomic_fetch_add_explicit(endpoint->epoch, 1, memory_order_release);
}

/* --- Errors and replies --- */

bool endpoint_replied_within(const struct endpoint *endpoint, uint64_t ms, uint64_t now_ms)
{
	uint64_t replied_ms = atomic_load_explicit(&endpoint->replied_ms, memory_order_relaxed);

	return replied_ms && now_ms < replied_ms + ms;
}

/* Returns whether the last check got its reply, and the reply to the next one is not late. */
static bool endpoint_passes_checks(const struct endpoint *endpoint, uint64_t now_ms)
{
	uint64_t checked_ms = atomic_load_explicit(&endpoint->checked_ms, memory_order_relaxed);
	uint64_t valid_ms = endpoint->peer->check.interval_ms + endpoint->peer->check.timeout_ms;

	if (valid_ms < ENDPOINT_RECENT_MS)
		valid_ms = ENDPOINT_RECENT_MS;
	return checked_ms && endpoint->peer->check.on && now_ms < checked_ms + valid_ms;
}

/* Returns the time of the first error since the last reply: this one, if there was none in the last fail_timeout and no
 * other thread was first. */
static uint64_t endpoint_suspect_since(struct endpoint *endpoint, uint64_t now_ms)
{
	uint64_t suspect_ms = atomic_load_explicit(&endpoint->suspect_ms, memory_order_relaxed);
	uint64_t since_ms = now_ms ? now_ms : 1;

	if (suspect_ms && now_ms <= suspect_ms + endpoint->peer->fail_timeout_ms)
		return suspect_ms;
	if (!atomic_compare_exchange_strong(&endpoint->suspect_ms, &suspect_ms, since_ms))
		return suspect_ms;
	if (suspect_ms)
		atomic_store_explicit(&endpoint->counted_ms, 0, memory_order_relaxed); /* this error counts */
	return since_ms;
}

/* Returns how many of these errors count. */
static unsigned endpoint_count_failures(struct endpoint *endpoint, unsigned count, bool replies_expected,
					uint64_t now_ms)
{
	const struct peer_config *peer = endpoint->peer;
	uint64_t suspect_ms = endpoint_suspect_since(endpoint, now_ms);
	uint64_t counted_ms = atomic_load_explicit(&endpoint->counted_ms, memory_order_relaxed);

	if (endpoint_replied_recently(endpoint, now_ms) || endpoint_passes_checks(endpoint, now_ms))
		return 0;
	if (now_ms > suspect_ms && now_ms >= suspect_ms + peer->fail_timeout_ms / 3)
		return peer->max_fails;
	if (replies_expected && now_ms >= suspect_ms + ENDPOINT_MISSING_MS)
		return count;
	if (counted_ms && now_ms < counted_ms + peer->check.interval_ms)
		return 0;
	/* If several threads arrive here at once, the error of one of them counts. */
	return atomic_compare_exchange_strong(&endpoint->counted_ms, &counted_ms, now_ms) ? 1 : 0;
}

bool endpoint_report_failure(struct endpoint *endpoint, unsigned count, bool replies_expected, uint64_t now_ms)
{
	uint32_t max = endpoint->peer->max_fails;
	uint64_t ejected_until = endpoint_ejected_until(endpoint);
	unsigned fails;

	if (!max || now_ms < ejected_until)
		return false;
	count = endpoint_count_failures(endpoint, count, replies_expected, now_ms);
	fails = atomic_fetch_add_explicit(&endpoint->fails, count, memory_order_relaxed) + count;
	if (!count || fails < max)
		return false;
	/* If several threads arrive here at once, only one of them begins the ejection. */
	if (!atomic_compare_exchange_strong(&endpoint->ejected_until_ms, &ejected_until,
					    now_ms + endpoint->peer->fail_timeout_ms))
		return false;
	/* After the ejection one more error is enough. */
	atomic_store_explicit(&endpoint->fails, max - 1, memory_order_relaxed);
	endpoint_advance_epoch(endpoint);
	return true;
}

/* Usually there is no error to reset, and the reply is not the first in this millisecond. Skipping the stores then
 * keeps the cache line shared between the workers. replied_ms: the time to set. */
static bool endpoint_note_reply(struct endpoint *endpoint, _Atomic uint64_t *replied_ms, uint64_t now_ms)
{
	uint64_t ejected_until = endpoint_ejected_until(endpoint);

	if (atomic_load_explicit(replied_ms, memory_order_relaxed) != now_ms)
		atomic_store_explicit(replied_ms, now_ms, memory_order_relaxed);
	if (atomic_load_explicit(&endpoint->suspect_ms, memory_order_relaxed))
		atomic_store_explicit(&endpoint->suspect_ms, 0, memory_order_relaxed);
	if (atomic_load_explicit(&endpoint->fails, memory_order_relaxed))
		atomic_store_explicit(&endpoint->fails, 0, memory_order_relaxed);
	if (now_ms >= ejected_until || !atomic_compare_exchange_strong(&endpoint->ejected_until_ms, &ejected_until, 0))
		return false;
	endpoint_advance_epoch(endpoint);
	return true;
}

bool endpoint_report_reply(struct endpoint *endpoint, uint64_t now_ms)
{
	return endpoint_note_reply(endpoint, &endpoint->replied_ms, now_ms);
}

bool endpoint_report_check_reply(struct endpoint *endpoint, uint64_t now_ms)
{
	return endpoint_note_reply(endpoint, &endpoint->checked_ms, now_ms);
}

void endpoint_set_checked(struct endpoint *endpoint, bool up)
{
	if (atomic_exchange_explicit(&endpoint->check_failed, !up, memory_order_relaxed) == up)
		endpoint_advance_epoch(endpoint);
}

/* --- Snapshot --- */

/* One allocation holds the peers, followed by the endpoints of all peers. */
struct endpoints_snapshot *endpoints_snapshot_create(const struct peer_endpoints *peers, size_t count)
{
	struct endpoints_snapshot *snapshot;
	struct endpoint **next;
	size_t endpoints = 0;

	for (size_t i = 0; i < count; i++)
		endpoints += peers[i].count;
	snapshot = calloc(1, sizeof(*snapshot) + count * sizeof(*peers) + endpoints * sizeof(struct endpoint *));
	if (!snapshot)
		return NULL;
	next = (struct endpoint **)&snapshot->peers[count];
	atomic_init(&snapshot->references, 1);
	snapshot->peer_count = count;
	for (size_t i = 0; i < count; i++) {
		snapshot->peers[i] = (struct peer_endpoints){next, peers[i].count, peers[i].no_address};
		for (size_t j = 0; j < peers[i].count; j++)
			*next++ = endpoint_get(peers[i].items[j]);
	}
	return snapshot;
}

struct endpoints_snapshot *endpoints_snapshot_get(struct endpoints_snapshot *snapshot)
{
	atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);
	return snapshot;
}

void endpoints_snapshot_put(struct endpoints_snapshot *snapshot)
{
	if (!snapshot || atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel) != 1)
		return;
	for (size_t i = 0; i < snapshot->peer_count; i++) {
		for (size_t j = 0; j < snapshot->peers[i].count; j++)
			endpoint_put(snapshot->peers[i].items[j]);
	}
	free(snapshot);
}

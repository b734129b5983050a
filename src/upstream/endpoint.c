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

bool endpoint_report_failure(struct endpoint *endpoint, unsigned count, uint64_t now_ms)
{
	uint32_t max = endpoint->peer->max_fails;
	unsigned fails = atomic_fetch_add_explicit(&endpoint->fails, count, memory_order_relaxed) + count;
	uint64_t ejected_until = endpoint_ejected_until(endpoint);

	if (!max || fails < max || now_ms < ejected_until)
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

void endpoint_report_success(struct endpoint *endpoint)
{
	/* The counter is usually 0. Skipping the store then keeps the cache line shared between the workers. */
	if (atomic_load_explicit(&endpoint->fails, memory_order_relaxed))
		atomic_store_explicit(&endpoint->fails, 0, memory_order_relaxed);
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

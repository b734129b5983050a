#include "upstream/endpoints_snapshot.h"

#include <stdlib.h>

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

/* One piece of memory: the peers, and behind them the targets of all. */
struct endpoints_snapshot *endpoints_snapshot_create(const struct peer_endpoints *peers, size_t count)
{
	size_t targets = 0;

	for (size_t i = 0; i < count; i++)
		targets += peers[i].count;
	struct endpoints_snapshot *snapshot =
		calloc(1, sizeof(*snapshot) + count * sizeof(*peers) + targets * sizeof(struct endpoint *));
	if (!snapshot)
		return NULL;
	struct endpoint **next = (struct endpoint **)&snapshot->peers[count];

	atomic_init(&snapshot->references, 1);
	snapshot->peer_count = count;
	for (size_t i = 0; i < count; i++) {
		snapshot->peers[i] = (struct peer_endpoints){next, peers[i].count};
		for (size_t j = 0; j < peers[i].count; j++)
			*next++ = endpoint_get(peers[i].items[j]);
	}
	return snapshot;
}

#include "target_set.h"

#include <errno.h>
#include <stdlib.h>

static size_t count_targets(const struct listener_config *config, const struct peers_snapshot *snapshot)
{
	size_t count = 0;

	for (size_t i = 0; i < config->peer_count; i++)
		count += snapshot->peers[config->peers[i]->index].count;
	return count;
}

static void add_target(struct target_set *set, struct target *target, size_t peer_index)
{
	const struct peer_config *peer = target->peer;

	if (set->own && own_addresses_leads_back(set->own, &target->address)) {
		set->leads_back = true;
		return;
	}
	set->choices[set->count] = (struct balance_target){.identity = balance_identity(peer->name, &target->address),
							   .weight = peer->weight,
							   .backup = peer->backup,
							   .up = true};
	set->targets[set->count++] = (struct set_target){target, peer_index};
}

static void add_targets(struct target_set *set)
{
	for (size_t i = 0; i < set->config->peer_count; i++) {
		const struct peer_targets *peer = &set->snapshot->peers[set->config->peers[i]->index];

		for (size_t j = 0; j < peer->count; j++)
			add_target(set, peer->items[j], i);
	}
}

int target_set_init(struct target_set *set, const struct listener_config *config, const struct own_addresses *own,
		    const target_news *news, struct peers_snapshot *snapshot)
{
	size_t room = count_targets(config, snapshot) + 1;

	*set = (struct target_set){.config = config, .own = own, .news = news, .snapshot = snapshot};
	set->targets = calloc(room, sizeof(*set->targets));
	set->choices = calloc(room, sizeof(*set->choices));
	if (set->targets && set->choices) {
		add_targets(set);
		if (!balancer_create(&set->balancer, config->balance, set->choices, set->count))
			return 0;
	}
	set->snapshot = NULL;
	target_set_finish(set);
	return -ENOMEM;
}

void target_set_finish(struct target_set *set)
{
	balancer_destroy(set->balancer);
	free(set->choices);
	free(set->targets);
	peers_snapshot_put(set->snapshot);
	*set = (struct target_set){0};
}

size_t target_set_find(const struct target_set *set, const struct target *target)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->targets[i].target == target)
			return i;
	}
	return TARGET_NONE;
}

/* Returns whether any has changed. */
static bool look(struct target_set *set, uint64_t now_ms)
{
	bool changed = false;

	set->next_end_ms = UINT64_MAX;
	for (size_t i = 0; i < set->count; i++) {
		uint64_t end_ms = target_rests_until(set->targets[i].target);
		bool up = target_is_up(set->targets[i].target, now_ms);

		changed |= up != set->choices[i].up;
		set->choices[i].up = up;
		if (end_ms > now_ms && end_ms < set->next_end_ms)
			set->next_end_ms = end_ms;
	}
	return changed;
}

bool target_set_refresh(struct target_set *set, uint64_t now_ms)
{
	unsigned news = atomic_load_explicit(set->news, memory_order_acquire);

	if (news == set->news_seen && now_ms < set->next_end_ms)
		return false;
	set->news_seen = news;
	if (!look(set, now_ms))
		return false;
	balancer_update(set->balancer);
	return true;
}

size_t target_set_choose(struct target_set *set, const struct address *client)
{
	size_t choice = balancer_choose(set->balancer, client);

	return choice == BALANCE_NONE ? TARGET_NONE : choice;
}

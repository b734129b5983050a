#include "upstream/endpoint_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- Members --- */

static struct endpoint_ref *member_create(struct endpoint *target, size_t peer)
{
	struct endpoint_ref *member = calloc(1, sizeof(*member));

	if (member)
		*member =
			(struct endpoint_ref){.target = endpoint_get(target), .peer = peer, .index = ENDPOINT_REMOVED};
	return member;
}

static void member_release(struct endpoint_ref *member)
{
	if (member->sessions || member->index != ENDPOINT_REMOVED)
		return;
	endpoint_put(member->target);
	free(member);
}

/* --- A set of them --- */

/* What an update makes, before it takes the place of the old. */
struct draft {
	struct endpoint_ref **members;
	struct balancer_target *choices;
	size_t count;
	bool has_own_address;
	struct balancer *balancer;
};

static struct endpoint_ref *find(const struct endpoint_set *set, const struct endpoint *target)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->members[i]->target == target)
			return set->members[i];
	}
	return NULL;
}

/* Returns 0 or -ENOMEM. */
static int draft_add(struct draft *draft, const struct endpoint_set *set, struct endpoint *target, size_t peer)
{
	const struct peer_config *config = set->config->peers[peer];
	struct endpoint_ref *member;

	if (set->own && own_addresses_reaches_us(set->own, &target->address)) {
		draft->has_own_address = true;
		return 0;
	}
	member = find(set, target);
	if (!member)
		member = member_create(target, peer);
	if (!member)
		return -ENOMEM;
	member->peer = peer;
	draft->choices[draft->count] =
		(struct balancer_target){.identity = balancer_identity(config->name, &target->address),
					 .weight = config->weight,
					 .backup = config->backup,
					 .sessions = member->sessions,
					 .up = member->index == ENDPOINT_REMOVED || set->choices[member->index].up};
	draft->members[draft->count++] = member;
	return 0;
}

static int draft_fill(struct draft *draft, const struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	for (size_t i = 0; i < set->config->peer_count; i++) {
		const struct peer_endpoints *peer = &snapshot->peers[set->config->peers[i]->index];

		for (size_t j = 0; j < peer->count; j++) {
			if (draft_add(draft, set, peer->items[j], i))
				return -ENOMEM;
		}
	}
	return 0;
}

static size_t count_targets(const struct listener_config *config, const struct endpoints_snapshot *snapshot)
{
	size_t count = 0;

	for (size_t i = 0; i < config->peer_count; i++)
		count += snapshot->peers[config->peers[i]->index].count;
	return count;
}

static int draft_create(struct draft *draft, const struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	size_t room = count_targets(set->config, snapshot) + 1;

	*draft = (struct draft){0};
	draft->members = calloc(room, sizeof(struct endpoint_ref *));
	draft->choices = calloc(room, sizeof(*draft->choices));
	if (!draft->members || !draft->choices || draft_fill(draft, set, snapshot))
		return -ENOMEM;
	return 0;
}

/* Those that are new and were not taken into the set go with it. */
static void draft_discard(struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		member_release(draft->members[i]);
	free(draft->members);
	free(draft->choices);
}

static bool is_same(const struct endpoint_set *set, const struct draft *draft)
{
	return set->balancer && set->count == draft->count &&
	       !memcmp(set->members, draft->members, set->count * sizeof(struct endpoint_ref *));
}

/* The draft takes the place of the old members; of these, some may be in it again. */
static void take_over(struct endpoint_set *set, const struct draft *draft)
{
	struct endpoint_ref **old = set->members;
	size_t old_count = set->count;

	for (size_t i = 0; i < old_count; i++)
		old[i]->index = ENDPOINT_REMOVED;
	for (size_t i = 0; i < draft->count; i++)
		draft->members[i]->index = i;
	for (size_t i = 0; i < old_count; i++)
		member_release(old[i]);
	free(old);
	free(set->choices);
	balancer_destroy(set->balancer);
	set->members = draft->members;
	set->choices = draft->choices;
	set->count = draft->count;
	set->version++;
	set->balancer = draft->balancer;
	set->next_end_ms = 0; /* look at once */
}

/* anew: even where the members are the same. */
static int update(struct endpoint_set *set, const struct endpoints_snapshot *snapshot, bool anew)
{
	struct draft draft;
	int error = draft_create(&draft, set, snapshot);

	if (!error && (anew || !is_same(set, &draft)))
		error = balancer_create(&draft.balancer, set->config->balance, draft.choices, draft.count, set->start);
	if (error || !draft.balancer) {
		draft_discard(&draft);
		return error;
	}
	set->has_own_address = draft.has_own_address;
	take_over(set, &draft);
	return 0;
}

int endpoint_set_update(struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	return update(set, snapshot, false);
}

int endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
			      const struct own_addresses *own, const struct endpoints_snapshot *snapshot)
{
	set->config = config;
	set->own = own;
	return update(set, snapshot, true);
}

int endpoint_set_init(struct endpoint_set *set, const struct listener_config *config, const struct own_addresses *own,
		      const endpoint_epoch *news, unsigned start, const struct endpoints_snapshot *snapshot)
{
	*set = (struct endpoint_set){.config = config, .own = own, .news = news, .start = start};
	return endpoint_set_update(set, snapshot);
}

void endpoint_set_finish(struct endpoint_set *set)
{
	const struct draft nothing = {0};

	take_over(set, &nothing);
}

/* --- Which are up --- */

/* Returns whether any has changed. */
static bool look(struct endpoint_set *set, uint64_t now_ms)
{
	bool changed = false;

	set->next_end_ms = UINT64_MAX;
	for (size_t i = 0; i < set->count; i++) {
		const struct endpoint *target = set->members[i]->target;
		uint64_t end_ms = endpoint_ejected_until(target);
		bool up = endpoint_is_up(target, now_ms);

		changed |= up != set->choices[i].up;
		set->choices[i].up = up;
		if (end_ms > now_ms && end_ms < set->next_end_ms)
			set->next_end_ms = end_ms;
	}
	return changed;
}

bool endpoint_set_refresh(struct endpoint_set *set, uint64_t now_ms)
{
	unsigned news = atomic_load_explicit(set->news, memory_order_acquire);

	if (news == set->epoch_seen && now_ms < set->next_end_ms)
		return false;
	set->epoch_seen = news;
	if (!look(set, now_ms))
		return false;
	balancer_update(set->balancer);
	return true;
}

/* --- Sessions --- */

bool endpoint_set_has(const struct endpoint_set *set, const struct address *address)
{
	for (size_t i = 0; i < set->count; i++) {
		if (address_equal(&set->members[i]->target->address, address))
			return true;
	}
	return false;
}

struct endpoint_ref *endpoint_set_choose(struct endpoint_set *set, const struct address *client)
{
	size_t choice = balancer_choose(set->balancer, client);

	return choice == BALANCER_NONE ? NULL : set->members[choice];
}

/* A client at the address of a peer would be told, as an answer, what a peer says, and might answer that in turn, for
 * ever: one forged datagram is enough. */
bool endpoint_set_is_loop(const struct endpoint_set *set, const struct address *client)
{
	return set->config->loop_guard && endpoint_set_has(set, client);
}

/* Its address may have come to an interface of this host since the set was made. */
static bool has_come_here(const struct endpoint_set *set, const struct endpoint_ref *member)
{
	return set->own && own_addresses_has(set->own, &member->target->address);
}

enum drop_reason endpoint_set_assign(struct endpoint_set *set, const struct address *client,
				     struct endpoint_ref **member)
{
	if (endpoint_set_is_loop(set, client))
		return DROP_LOOP;
	*member = endpoint_set_choose(set, client);
	if (!*member)
		return set->has_own_address ? DROP_LOOP : DROP_UNRESOLVED;
	return has_come_here(set, *member) ? DROP_LOOP : DROP_NONE;
}

void endpoint_set_join(struct endpoint_set *set, struct endpoint_ref *member)
{
	member->sessions++;
	if (member->index != ENDPOINT_REMOVED)
		set->choices[member->index].sessions++;
}

void endpoint_set_leave(struct endpoint_set *set, struct endpoint_ref *member)
{
	member->sessions--;
	if (member->index != ENDPOINT_REMOVED)
		set->choices[member->index].sessions--;
	else
		member_release(member);
}

#include "upstream/endpoint_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- Members --- */

static struct member *member_create(struct target *target, size_t peer)
{
	struct member *member = calloc(1, sizeof(*member));

	if (member)
		*member = (struct member){.target = target_get(target), .peer = peer, .index = MEMBER_GONE};
	return member;
}

static void member_release(struct member *member)
{
	if (member->sessions || member->index != MEMBER_GONE)
		return;
	target_put(member->target);
	free(member);
}

/* --- A set of them --- */

/* What an update makes, before it takes the place of the old. */
struct draft {
	struct member **members;
	struct balance_target *choices;
	size_t count;
	bool leads_back;
	struct balancer *balancer;
};

static struct member *find(const struct target_set *set, const struct target *target)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->members[i]->target == target)
			return set->members[i];
	}
	return NULL;
}

/* Returns 0 or -ENOMEM. */
static int draft_add(struct draft *draft, const struct target_set *set, struct target *target, size_t peer)
{
	const struct peer_config *config = set->config->peers[peer];
	struct member *member;

	if (set->own && own_addresses_reaches_us(set->own, &target->address)) {
		draft->leads_back = true;
		return 0;
	}
	member = find(set, target);
	if (!member)
		member = member_create(target, peer);
	if (!member)
		return -ENOMEM;
	member->peer = peer;
	draft->choices[draft->count] =
		(struct balance_target){.identity = balance_identity(config->name, &target->address),
					.weight = config->weight,
					.backup = config->backup,
					.sessions = member->sessions,
					.up = member->index == MEMBER_GONE || set->choices[member->index].up};
	draft->members[draft->count++] = member;
	return 0;
}

static int draft_fill(struct draft *draft, const struct target_set *set, const struct peers_snapshot *snapshot)
{
	for (size_t i = 0; i < set->config->peer_count; i++) {
		const struct peer_targets *peer = &snapshot->peers[set->config->peers[i]->index];

		for (size_t j = 0; j < peer->count; j++) {
			if (draft_add(draft, set, peer->items[j], i))
				return -ENOMEM;
		}
	}
	return 0;
}

static size_t count_targets(const struct listener_config *config, const struct peers_snapshot *snapshot)
{
	size_t count = 0;

	for (size_t i = 0; i < config->peer_count; i++)
		count += snapshot->peers[config->peers[i]->index].count;
	return count;
}

static int draft_create(struct draft *draft, const struct target_set *set, const struct peers_snapshot *snapshot)
{
	size_t room = count_targets(set->config, snapshot) + 1;

	*draft = (struct draft){0};
	draft->members = calloc(room, sizeof(struct member *));
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

static bool is_same(const struct target_set *set, const struct draft *draft)
{
	return set->balancer && set->count == draft->count &&
	       !memcmp(set->members, draft->members, set->count * sizeof(struct member *));
}

/* The draft takes the place of the old members; of these, some may be in it again. */
static void take_over(struct target_set *set, const struct draft *draft)
{
	struct member **old = set->members;
	size_t old_count = set->count;

	for (size_t i = 0; i < old_count; i++)
		old[i]->index = MEMBER_GONE;
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
static int update(struct target_set *set, const struct peers_snapshot *snapshot, bool anew)
{
	struct draft draft;
	int error = draft_create(&draft, set, snapshot);

	if (!error && (anew || !is_same(set, &draft)))
		error = balancer_create(&draft.balancer, set->config->balance, draft.choices, draft.count, set->start);
	if (error || !draft.balancer) {
		draft_discard(&draft);
		return error;
	}
	set->leads_back = draft.leads_back;
	take_over(set, &draft);
	return 0;
}

int target_set_update(struct target_set *set, const struct peers_snapshot *snapshot)
{
	return update(set, snapshot, false);
}

int target_set_adopt_config(struct target_set *set, const struct listener_config *config,
			    const struct own_addresses *own, const struct peers_snapshot *snapshot)
{
	set->config = config;
	set->own = own;
	return update(set, snapshot, true);
}

int target_set_init(struct target_set *set, const struct listener_config *config, const struct own_addresses *own,
		    const target_news *news, unsigned start, const struct peers_snapshot *snapshot)
{
	*set = (struct target_set){.config = config, .own = own, .news = news, .start = start};
	return target_set_update(set, snapshot);
}

void target_set_finish(struct target_set *set)
{
	const struct draft nothing = {0};

	take_over(set, &nothing);
}

/* --- Which are up --- */

/* Returns whether any has changed. */
static bool look(struct target_set *set, uint64_t now_ms)
{
	bool changed = false;

	set->next_end_ms = UINT64_MAX;
	for (size_t i = 0; i < set->count; i++) {
		const struct target *target = set->members[i]->target;
		uint64_t end_ms = target_rests_until(target);
		bool up = target_is_up(target, now_ms);

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

/* --- Sessions --- */

bool target_set_has(const struct target_set *set, const struct address *address)
{
	for (size_t i = 0; i < set->count; i++) {
		if (address_equal(&set->members[i]->target->address, address))
			return true;
	}
	return false;
}

struct member *target_set_choose(struct target_set *set, const struct address *client)
{
	size_t choice = balancer_choose(set->balancer, client);

	return choice == BALANCE_NONE ? NULL : set->members[choice];
}

/* A client at the address of a peer would be told, as an answer, what a peer says, and might answer that in turn, for
 * ever: one forged datagram is enough. */
bool target_set_forbids(const struct target_set *set, const struct address *client)
{
	return set->config->loop_guard && target_set_has(set, client);
}

/* Its address may have come to an interface of this host since the set was made. */
static bool has_come_here(const struct target_set *set, const struct member *member)
{
	return set->own && own_addresses_has(set->own, &member->target->address);
}

enum drop_reason target_set_assign(struct target_set *set, const struct address *client, struct member **member)
{
	if (target_set_forbids(set, client))
		return DROP_LOOP;
	*member = target_set_choose(set, client);
	if (!*member)
		return set->leads_back ? DROP_LOOP : DROP_UNRESOLVED;
	return has_come_here(set, *member) ? DROP_LOOP : DROP_NONE;
}

void target_set_join(struct target_set *set, struct member *member)
{
	member->sessions++;
	if (member->index != MEMBER_GONE)
		set->choices[member->index].sessions++;
}

void target_set_leave(struct target_set *set, struct member *member)
{
	member->sessions--;
	if (member->index != MEMBER_GONE)
		set->choices[member->index].sessions--;
	else
		member_release(member);
}

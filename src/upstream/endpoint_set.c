#include "upstream/endpoint_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* --- Members --- */

static struct endpoint_ref *endpoint_ref_create(struct endpoint *endpoint, size_t peer)
{
	struct endpoint_ref *ref = calloc(1, sizeof(*ref));

	if (ref)
		*ref = (struct endpoint_ref){
			.endpoint = endpoint_get(endpoint), .peer = peer, .index = ENDPOINT_REMOVED};
	return ref;
}

/* Frees a member that has no session and is not in the set. */
static void endpoint_ref_release(struct endpoint_ref *ref)
{
	if (ref->sessions || ref->index != ENDPOINT_REMOVED)
		return;
	endpoint_put(ref->endpoint);
	free(ref);
}

static struct endpoint_ref *endpoint_set_find(const struct endpoint_set *set, const struct endpoint *endpoint)
{
	for (size_t i = 0; i < set->count; i++) {
		if (set->members[i]->endpoint == endpoint)
			return set->members[i];
	}
	return NULL;
}

/* --- Updates --- */

/* The result of an update, before it replaces the members. Members that stay are in both. */
struct draft {
	struct endpoint_ref **members;
	struct balancer_target *candidates;
	size_t count;
	bool has_own_address, has_no_address;
	struct balancer *balancer;
};

/* Returns 0 or -ENOMEM. */
static int draft_add(struct draft *draft, const struct endpoint_set *set, struct endpoint *endpoint, size_t peer)
{
	const struct peer_config *config = set->config->peers[peer];
	struct endpoint_ref *ref;

	if (set->own && own_addresses_reaches_us(set->own, &endpoint->address)) {
		draft->has_own_address = true;
		return 0;
	}
	ref = endpoint_set_find(set, endpoint);
	if (!ref)
		ref = endpoint_ref_create(endpoint, peer);
	if (!ref)
		return -ENOMEM;
	ref->peer = peer;
	draft->candidates[draft->count] =
		(struct balancer_target){.identity = balancer_identity(config->name, &endpoint->address),
					 .weight = config->weight,
					 .backup = config->backup,
					 .sessions = ref->sessions,
					 .up = ref->index == ENDPOINT_REMOVED || set->candidates[ref->index].up};
	draft->members[draft->count++] = ref;
	return 0;
}

static int draft_fill(struct draft *draft, const struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	for (size_t i = 0; i < set->config->peer_count; i++) {
		const struct peer_endpoints *peer = &snapshot->peers[set->config->peers[i]->index];

		draft->has_no_address |= peer->no_address;
		for (size_t j = 0; j < peer->count; j++) {
			if (draft_add(draft, set, peer->items[j], i))
				return -ENOMEM;
		}
	}
	return 0;
}

static size_t draft_size(const struct listener_config *config, const struct endpoints_snapshot *snapshot)
{
	size_t count = 0;

	for (size_t i = 0; i < config->peer_count; i++)
		count += snapshot->peers[config->peers[i]->index].count;
	return count;
}

/* The caller must commit or discard the draft, also after an error. */
static int draft_create(struct draft *draft, const struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	size_t size = draft_size(set->config, snapshot) + 1;

	*draft = (struct draft){0};
	draft->members = calloc(size, sizeof(struct endpoint_ref *));
	draft->candidates = calloc(size, sizeof(*draft->candidates));
	if (!draft->members || !draft->candidates || draft_fill(draft, set, snapshot))
		return -ENOMEM;
	return 0;
}

/* Frees the draft and the members that it created; members of the set stay. */
static void draft_discard(struct draft *draft)
{
	for (size_t i = 0; i < draft->count; i++)
		endpoint_ref_release(draft->members[i]);
	free(draft->members);
	free(draft->candidates);
}

static bool draft_has_same_members(const struct draft *draft, const struct endpoint_set *set)
{
	return set->balancer && set->count == draft->count &&
	       !memcmp(set->members, draft->members, set->count * sizeof(struct endpoint_ref *));
}

/* Replaces the members by those of the draft, which may include some of the old ones. */
static void endpoint_set_commit(struct endpoint_set *set, const struct draft *draft)
{
	struct endpoint_ref **old = set->members;
	size_t old_count = set->count;

	for (size_t i = 0; i < old_count; i++)
		old[i]->index = ENDPOINT_REMOVED;
	for (size_t i = 0; i < draft->count; i++)
		draft->members[i]->index = i;
	for (size_t i = 0; i < old_count; i++)
		endpoint_ref_release(old[i]);
	free(old);
	free(set->candidates);
	balancer_destroy(set->balancer);
	set->members = draft->members;
	set->candidates = draft->candidates;
	set->count = draft->count;
	set->version++;
	set->balancer = draft->balancer;
	set->next_ejection_end_ms = 0; /* the next refresh reads the health of all members */
}

/* force: create another balancer even if the members stay the same. */
static int endpoint_set_rebuild(struct endpoint_set *set, const struct endpoints_snapshot *snapshot, bool force)
{
	struct draft draft;
	int error = draft_create(&draft, set, snapshot);

	if (!error && (force || !draft_has_same_members(&draft, set)))
		error = balancer_create(&draft.balancer, set->config->balance, draft.candidates, draft.count,
					set->start);
	if (!error) {
		set->has_own_address = draft.has_own_address;
		set->has_no_address = draft.has_no_address;
	}
	if (error || !draft.balancer) {
		draft_discard(&draft);
		return error;
	}
	endpoint_set_commit(set, &draft);
	return 0;
}

int endpoint_set_update(struct endpoint_set *set, const struct endpoints_snapshot *snapshot)
{
	return endpoint_set_rebuild(set, snapshot, false);
}

int endpoint_set_adopt_config(struct endpoint_set *set, const struct listener_config *config,
			      const struct own_addresses *own, const struct endpoints_snapshot *snapshot)
{
	set->config = config;
	set->own = own;
	return endpoint_set_rebuild(set, snapshot, true);
}

int endpoint_set_init(struct endpoint_set *set, const struct listener_config *config, const struct own_addresses *own,
		      const endpoint_epoch *epoch, unsigned start, const struct endpoints_snapshot *snapshot)
{
	*set = (struct endpoint_set){.config = config, .own = own, .epoch = epoch, .start = start};
	return endpoint_set_update(set, snapshot);
}

void endpoint_set_finish(struct endpoint_set *set)
{
	const struct draft empty = {0};

	endpoint_set_commit(set, &empty);
}

/* --- Health --- */

/* Returns whether any member went up or down. */
static bool endpoint_set_read_health(struct endpoint_set *set, uint64_t now_ms)
{
	bool changed = false;

	set->next_ejection_end_ms = UINT64_MAX;
	for (size_t i = 0; i < set->count; i++) {
		const struct endpoint *endpoint = set->members[i]->endpoint;
		uint64_t end_ms = endpoint_ejected_until(endpoint);
		bool up = endpoint_is_up(endpoint, now_ms);

		changed |= up != set->candidates[i].up;
		set->candidates[i].up = up;
		if (end_ms > now_ms && end_ms < set->next_ejection_end_ms)
			set->next_ejection_end_ms = end_ms;
	}
	return changed;
}

bool endpoint_set_refresh(struct endpoint_set *set, uint64_t now_ms)
{
	unsigned epoch = atomic_load_explicit(set->epoch, memory_order_acquire);

	if (epoch == set->epoch_seen && now_ms < set->next_ejection_end_ms)
		return false;
	set->epoch_seen = epoch;
	if (!endpoint_set_read_health(set, now_ms))
		return false;
	balancer_update(set->balancer);
	return true;
}

/* --- Sessions --- */

bool endpoint_set_has(const struct endpoint_set *set, const struct address *address)
{
	for (size_t i = 0; i < set->count; i++) {
		if (address_equal(&set->members[i]->endpoint->address, address))
			return true;
	}
	return false;
}

struct endpoint_ref *endpoint_set_choose(struct endpoint_set *set, const struct address *client)
{
	size_t index = balancer_choose(set->balancer, client);

	return index == BALANCER_NONE ? NULL : set->members[index];
}

/* A client with the address of a peer would receive peers' datagrams as replies. It may reply to them, and so on
 * without end. One datagram with a forged source address is enough to start such a loop. */
bool endpoint_set_is_loop(const struct endpoint_set *set, const struct address *client)
{
	return set->config->loop_guard && endpoint_set_has(set, client);
}

bool endpoint_set_reaches_us(const struct endpoint_set *set, const struct endpoint_ref *ref)
{
	return set->own && own_addresses_has(set->own, &ref->endpoint->address);
}

enum drop_reason endpoint_set_assign(struct endpoint_set *set, const struct address *client, struct endpoint_ref **ref)
{
	if (endpoint_set_is_loop(set, client))
		return DROP_LOOP;
	*ref = endpoint_set_choose(set, client);
	if (!*ref && set->has_own_address)
		return DROP_LOOP;
	if (!*ref)
		return set->has_no_address ? DROP_NO_ADDRESS : DROP_UNRESOLVED;
	return endpoint_set_reaches_us(set, *ref) ? DROP_LOOP : DROP_NONE;
}

void endpoint_set_join(struct endpoint_set *set, struct endpoint_ref *ref)
{
	ref->sessions++;
	if (ref->index != ENDPOINT_REMOVED)
		set->candidates[ref->index].sessions++;
}

void endpoint_set_leave(struct endpoint_set *set, struct endpoint_ref *ref)
{
	ref->sessions--;
	if (ref->index != ENDPOINT_REMOVED)
		set->candidates[ref->index].sessions--;
	else
		endpoint_ref_release(ref);
}

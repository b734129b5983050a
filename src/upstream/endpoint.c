#include "upstream/endpoint.h"

#include <stdlib.h>

struct target *target_create(const struct peer_config *peer, const struct address *address, target_news *news)
{
	struct target *target = calloc(1, sizeof(*target));

	if (!target)
		return NULL;
	atomic_init(&target->references, 1);
	target->peer = peer;
	target->address = *address;
	target->news = news;
	return target;
}

void target_adopt_config(struct target *target, const struct peer_config *peer)
{
	target->peer = peer;
	if (!peer->check.on)
		target_set_checked(target, true);
}

struct target *target_get(struct target *target)
{
	atomic_fetch_add_explicit(&target->references, 1, memory_order_relaxed);
	return target;
}

void target_put(struct target *target)
{
	if (target && atomic_fetch_sub_explicit(&target->references, 1, memory_order_acq_rel) == 1)
		free(target);
}

uint64_t target_rests_until(const struct target *target)
{
	return atomic_load_explicit(&target->rests_until_ms, memory_order_relaxed);
}

bool target_is_up(const struct target *target, uint64_t now_ms)
{
	return !atomic_load_explicit(&target->check_failed, memory_order_relaxed) &&
	       now_ms >= target_rests_until(target);
}

static void tell(struct target *target)
{
	atomic_fetch_add_explicit(target->news, 1, memory_order_release);
}

bool target_failed(struct target *target, unsigned count, uint64_t now_ms)
{
	uint32_t max = target->peer->max_fails;
	unsigned fails = atomic_fetch_add_explicit(&target->fails, count, memory_order_relaxed) + count;
	uint64_t rests_until = target_rests_until(target);

	if (!max || fails < max || now_ms < rests_until)
		return false;
	/* Of several threads that come here at once, one begins the rest. */
	if (!atomic_compare_exchange_strong(&target->rests_until_ms, &rests_until,
					    now_ms + target->peer->fail_timeout_ms))
		return false;
	atomic_store_explicit(&target->fails, max - 1, memory_order_relaxed);
	tell(target);
	return true;
}

void target_answered(struct target *target)
{
	/* Mostly it is zero, and nobody's cache need lose the line. */
	if (atomic_load_explicit(&target->fails, memory_order_relaxed))
		atomic_store_explicit(&target->fails, 0, memory_order_relaxed);
}

void target_set_checked(struct target *target, bool up)
{
	if (atomic_exchange_explicit(&target->check_failed, !up, memory_order_relaxed) == up)
		tell(target);
}

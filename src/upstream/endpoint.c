#include "upstream/endpoint.h"

#include <stdlib.h>

struct endpoint *endpoint_create(const struct peer_config *peer, const struct address *address, endpoint_epoch *news)
{
	struct endpoint *target = calloc(1, sizeof(*target));

	if (!target)
		return NULL;
	atomic_init(&target->references, 1);
	target->peer = peer;
	target->address = *address;
	target->news = news;
	return target;
}

void endpoint_adopt_config(struct endpoint *target, const struct peer_config *peer)
{
	target->peer = peer;
	if (!peer->check.on)
		endpoint_set_checked(target, true);
}

struct endpoint *endpoint_get(struct endpoint *target)
{
	atomic_fetch_add_explicit(&target->references, 1, memory_order_relaxed);
	return target;
}

void endpoint_put(struct endpoint *target)
{
	if (target && atomic_fetch_sub_explicit(&target->references, 1, memory_order_acq_rel) == 1)
		free(target);
}

uint64_t endpoint_ejected_until(const struct endpoint *target)
{
	return atomic_load_explicit(&target->ejected_until_ms, memory_order_relaxed);
}

bool endpoint_is_up(const struct endpoint *target, uint64_t now_ms)
{
	return !atomic_load_explicit(&target->check_failed, memory_order_relaxed) &&
	       now_ms >= endpoint_ejected_until(target);
}

static void tell(struct endpoint *target)
{
	atomic_fetch_add_explicit(target->news, 1, memory_order_release);
}

bool endpoint_report_failure(struct endpoint *target, unsigned count, uint64_t now_ms)
{
	uint32_t max = target->peer->max_fails;
	unsigned fails = atomic_fetch_add_explicit(&target->fails, count, memory_order_relaxed) + count;
	uint64_t rests_until = endpoint_ejected_until(target);

	if (!max || fails < max || now_ms < rests_until)
		return false;
	/* Of several threads that come here at once, one begins the rest. */
	if (!atomic_compare_exchange_strong(&target->ejected_until_ms, &rests_until,
					    now_ms + target->peer->fail_timeout_ms))
		return false;
	atomic_store_explicit(&target->fails, max - 1, memory_order_relaxed);
	tell(target);
	return true;
}

void endpoint_report_success(struct endpoint *target)
{
	/* Mostly it is zero, and nobody's cache need lose the line. */
	if (atomic_load_explicit(&target->fails, memory_order_relaxed))
		atomic_store_explicit(&target->fails, 0, memory_order_relaxed);
}

void endpoint_set_checked(struct endpoint *target, bool up)
{
	if (atomic_exchange_explicit(&target->check_failed, !up, memory_order_relaxed) == up)
		tell(target);
}

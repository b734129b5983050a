#include "shared.h"

#include <errno.h>
#include <stdlib.h>

#include "capacity.h"

static int init(struct shared *shared, const struct listener_config *listener)
{
	bool rings = listener->action == ACTION_ECHO || listener->action == ACTION_FORWARD;
	int error = 0;

	if (listener->source_limit)
		error = source_limit_create(&shared->source_limit, listener->source_limit, listener->source_burst);
	if (!error && rings && listener->ring_guard)
		error = ring_guard_create(&shared->ring_guard, listener->action);
	return error;
}

int shared_create(struct shared **out, const struct config *config, uint64_t sessions)
{
	struct shared *shared = calloc(config->listener_count, sizeof(*shared));
	uint64_t wanted = capacity_wanted(config);
	int error = shared ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->listener_count && !error; i++) {
		uint64_t max = config->listeners[i].max_sessions;

		shared[i].quota.max = (unsigned)(sessions < wanted ? max * sessions / wanted : max);
		error = init(&shared[i], &config->listeners[i]);
	}
	if (error)
		shared_destroy(shared, config);
	else
		*out = shared;
	return error;
}

void shared_destroy(struct shared *shared, const struct config *config)
{
	for (size_t i = 0; shared && i < config->listener_count; i++) {
		source_limit_destroy(shared[i].source_limit);
		ring_guard_destroy(shared[i].ring_guard);
	}
	free(shared);
}

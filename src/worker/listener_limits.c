#include "worker/listener_limits.h"

#include <errno.h>
#include <stdlib.h>

static bool has_ring_guard(const struct listener_config *listener)
{
	return listener->ring_guard && action_traits(listener->action)->has_ring_guard;
}

/* What is remembered of sources and payloads stays, where it still means the same. */
static void share(struct listener_limits *shared, const struct listener_config *listener,
		  struct listener_limits *before, const struct listener_config *earlier)
{
	shared->before = before;
	if (listener->source_limit == earlier->source_limit && listener->source_burst == earlier->source_burst)
		shared->source_limit = before->source_limit;
	if (has_ring_guard(listener) && listener->action == earlier->action)
		shared->ring_guard = before->ring_guard;
}

static int init(struct listener_limits *shared, const struct listener_config *listener)
{
	int error = 0;

	if (listener->source_limit && !shared->source_limit)
		error = source_limit_create(&shared->source_limit, listener->source_limit, listener->source_burst);
	if (!error && has_ring_guard(listener) && !shared->ring_guard)
		error = ring_guard_create(&shared->ring_guard, listener->action);
	return error;
}

int listener_limits_create(struct listener_limits **out, const struct config *config, uint64_t sessions,
			   struct listener_limits *before, const struct config *config_before)
{
	struct listener_limits *shared = calloc(config->listener_count, sizeof(*shared));
	uint64_t wanted = config_max_sessions(config);
	int error = shared ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->listener_count && !error; i++) {
		const struct listener_config *listener = &config->listeners[i];
		size_t j = before ? config_find_listener(config_before, listener->name) : 0;
		uint64_t max = listener->max_sessions;

		shared[i].quota.max = (unsigned)(sessions < wanted ? max * sessions / wanted : max);
		if (before && j < config_before->listener_count)
			share(&shared[i], listener, &before[j], &config_before->listeners[j]);
		error = init(&shared[i], listener);
	}
	if (error)
		listener_limits_destroy(shared, config);
	else
		*out = shared;
	return error;
}

void listener_limits_adopt(struct listener_limits *shared, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		struct listener_limits *before = shared[i].before;

		if (before && before->source_limit == shared[i].source_limit)
			before->source_limit = NULL;
		if (before && before->ring_guard == shared[i].ring_guard)
			before->ring_guard = NULL;
		shared[i].before = NULL;
	}
}

void listener_limits_destroy(struct listener_limits *shared, const struct config *config)
{
	for (size_t i = 0; shared && i < config->listener_count; i++) {
		const struct listener_limits *before = shared[i].before;

		if (!before || before->source_limit != shared[i].source_limit)
			source_limit_destroy(shared[i].source_limit);
		if (!before || before->ring_guard != shared[i].ring_guard)
			ring_guard_destroy(shared[i].ring_guard);
	}
	free(shared);
}

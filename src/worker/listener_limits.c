#include "worker/listener_limits.h"

#include <errno.h>
#include <stdlib.h>

static bool listener_has_ring_guard(const struct listener_config *listener)
{
	return listener->loop_guard && listener->ring_guard && action_traits[listener->action].has_ring_guard;
}

/* Shares the tables whose contents mean the same under both configurations. */
static void listener_limits_share(struct listener_limits *limits, const struct listener_config *listener,
				  struct listener_limits *before, const struct listener_config *listener_before)
{
	limits->before = before;
	if (listener->source_limit == listener_before->source_limit &&
	    listener->source_burst == listener_before->source_burst)
		limits->source_limit = before->source_limit;
	if (listener_has_ring_guard(listener) && listener->action == listener_before->action)
		limits->ring_guard = before->ring_guard;
}

/* Without the key, a source gets its share of the possible sessions. Those can be fewer than max_sessions. */
static unsigned listener_sessions_per_source(const struct listener_config *listener, unsigned sessions)
{
	unsigned share = sessions / SOURCE_SESSIONS_SHARE;

	if (!action_traits[listener->action].has_sessions)
		return 0;
	if (config_line(&listener->lines, "source_sessions") || share >= listener->source_sessions)
		return listener->source_sessions;
	return share ? share : 1;
}

/* Creates the tables that are not shared. sessions: the maximum for a relay. */
static int listener_limits_init(struct listener_limits *limits, const struct listener_config *listener,
				unsigned sessions)
{
	int error = session_quota_init(&limits->quota, sessions, listener_sessions_per_source(listener, sessions),
				       listener->max_sessions);

	if (!error && listener->source_limit && !limits->source_limit)
		error = source_limit_create(&limits->source_limit, listener->source_limit, listener->source_burst);
	if (!error && listener_has_ring_guard(listener) && !limits->ring_guard)
		error = ring_guard_create(&limits->ring_guard);
	return error;
}

int listener_limits_create(struct listener_limits **out, const struct config *config, uint64_t sessions,
			   struct listener_limits *before, const struct config *config_before)
{
	struct listener_limits *limits = calloc(config->listener_count, sizeof(*limits));
	uint64_t wanted = config_max_sessions(config);
	int error = limits ? 0 : -ENOMEM;

	for (size_t i = 0; i < config->listener_count && !error; i++) {
		const struct listener_config *listener = &config->listeners[i];
		size_t j = before ? config_find_listener(config_before, listener->name) : 0;
		uint64_t max = listener->max_sessions;

		if (before && j < config_before->listener_count)
			listener_limits_share(&limits[i], listener, &before[j], &config_before->listeners[j]);
		error = listener_limits_init(&limits[i], listener,
					     (unsigned)(sessions < wanted ? max * sessions / wanted : max));
	}
	if (error)
		listener_limits_destroy(limits, config);
	else
		*out = limits;
	return error;
}

void listener_limits_adopt(struct listener_limits *limits, const struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		struct listener_limits *before = limits[i].before;

		if (before && before->source_limit == limits[i].source_limit)
			before->source_limit = NULL;
		if (before && before->ring_guard == limits[i].ring_guard)
			before->ring_guard = NULL;
		limits[i].before = NULL;
	}
}

void listener_limits_destroy(struct listener_limits *limits, const struct config *config)
{
	for (size_t i = 0; limits && i < config->listener_count; i++) {
		const struct listener_limits *before = limits[i].before;

		if (!before || before->source_limit != limits[i].source_limit)
			source_limit_destroy(limits[i].source_limit);
		if (!before || before->ring_guard != limits[i].ring_guard)
			ring_guard_destroy(limits[i].ring_guard);
		session_quota_finish(&limits[i].quota);
	}
	free(limits);
}

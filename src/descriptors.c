#include "descriptors.h"

#include <inttypes.h>
#include <sys/resource.h>

/* Logs, signals, look-ups, and what libraries open. */
#define PROCESS_DESCRIPTORS 64

/* A loop has about ten of its own. */
#define WORKER_DESCRIPTORS 16

static uint64_t count_sessions(const struct config *config)
{
	uint64_t sessions = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (config->listeners[i].action == ACTION_RELAY)
			sessions += config->listeners[i].max_sessions;
	}
	return sessions;
}

/* A listener that takes all addresses has a socket of each family. A check of a peer's health has one at a time. */
static uint64_t count_others(const struct config *config, unsigned workers)
{
	uint64_t each = WORKER_DESCRIPTORS + config->peer_count;

	for (size_t i = 0; i < config->listener_count; i++)
		each += 2 * config->listeners[i].bind_count;
	return PROCESS_DESCRIPTORS + 2 * config->peer_count + workers * each;
}

/* Up to the hard limit everybody may go; beyond it, who has CAP_SYS_RESOURCE. Returns what is granted. */
static uint64_t raise_limit(uint64_t needed)
{
	struct rlimit limit, higher;

	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_cur >= needed)
		return limit.rlim_cur;
	higher = (struct rlimit){needed, limit.rlim_max > needed ? limit.rlim_max : needed};
	if (!setrlimit(RLIMIT_NOFILE, &higher))
		return needed;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_max;
}

void descriptors_provide(const struct config *config, unsigned workers, struct log *log)
{
	uint64_t sessions = count_sessions(config);
	uint64_t needed = sessions + count_others(config, workers);
	uint64_t granted = sessions ? raise_limit(needed) : needed;

	if (granted < needed)
		log_warning(log,
			    "the relays may have %" PRIu64 " sessions (max_sessions) and need %" PRIu64
			    " descriptors for them, but this process may open only %" PRIu64 ", which is %" PRIu64
			    " too few: lower max_sessions, or raise the limit (LimitNOFILE= of the unit, `ulimit -Hn`)",
			    sessions, needed, granted, needed - granted);
}

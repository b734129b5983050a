#include "daemon/session_capacity.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/http_socket.h"
#include "base/fd_limit.h"

/* Logs, signals, name lookups, and descriptors that libraries open. */
#define PROCESS_DESCRIPTORS 64

/* A libuv loop uses about ten. */
#define WORKER_DESCRIPTORS 16

/* Upper limit of the descriptors that are not for sessions. A listener on all addresses has one socket per address
 * family, and each socket has two descriptors. The health check of a peer has one socket at a time. */
static uint64_t count_other_descriptors(const struct config *config, unsigned workers)
{
	uint64_t each = WORKER_DESCRIPTORS + config->peer_count;

	for (size_t i = 0; i < config->listener_count; i++)
		each += 4 * config->listeners[i].bind_count;
	return PROCESS_DESCRIPTORS + (config->http.text ? HTTP_DESCRIPTORS : 0) + 2 * config->peer_count +
	       workers * each;
}

/* others is an upper limit. If it leaves too little, sessions may use a quarter of all descriptors. */
static uint64_t descriptors_for_sessions(uint64_t granted, uint64_t others)
{
	uint64_t quarter = granted / 4;

	return granted > others + quarter ? granted - others : quarter;
}

/* Returns the number of local ports of the host, or UINT64_MAX if the kernel does not report it. */
static uint64_t count_local_ports(void)
{
	FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
	unsigned first, last;
	int numbers;

	if (!file)
		return UINT64_MAX;
	numbers = fscanf(file, "%u %u", &first, &last);
	fclose(file);
	return numbers == 2 && first <= last ? last - first + 1 : UINT64_MAX;
}

static void check_local_ports(const struct config *config, struct log *log)
{
	uint64_t sessions = config_max_sessions(config), ports = count_local_ports();

	if (sessions > ports)
		log_warning(log,
			    "the relays may have %" PRIu64 " sessions (max_sessions), but this host has only %" PRIu64
			    " local ports for them and for all other programs: lower max_sessions, or widen "
			    "net.ipv4.ip_local_port_range",
			    sessions, ports);
}

uint64_t session_capacity_reserve(const struct config *config, unsigned workers, struct log *log)
{
	uint64_t sessions = config_max_sessions(config), others = count_other_descriptors(config, workers);
	uint64_t needed = sessions + others;
	uint64_t granted = sessions ? fd_limit_raise(needed) : needed;
	uint64_t available = descriptors_for_sessions(granted, others);

	check_local_ports(config, log);
	if (granted >= needed)
		return sessions;
	log_warning(log,
		    "the relays may have %" PRIu64 " sessions (max_sessions) and need %" PRIu64
		    " descriptors for them, but this process may open only %" PRIu64 ", which is %" PRIu64
		    " too few, and is enough for %" PRIu64 " sessions: lower max_sessions, or raise the limit "
		    "(LimitNOFILE= of the unit, `ulimit -Hn`)",
		    sessions, needed, granted, needed - granted, available);
	return available;
}

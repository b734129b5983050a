#include "admin/summary.h"

#include <inttypes.h>
#include <stdio.h>

#define DROPS_TEXT_MAX (DROP_REASONS * 48)

/* Returns "7 (too_large=2 loop=5)", or "0". */
static const char *format_drops(uint64_t total, const counter dropped[DROP_REASONS], char text[DROPS_TEXT_MAX])
{
	int used = snprintf(text, DROPS_TEXT_MAX, "%" PRIu64, total);
	const char *separator = " (";

	for (int i = 0; i < DROP_REASONS; i++) {
		uint64_t n = counter_get(&dropped[i]);

		if (!n)
			continue;
		used += snprintf(text + used, DROPS_TEXT_MAX - (size_t)used, "%s%s=%" PRIu64, separator,
				 drop_reason_name((enum drop_reason)i), n);
		separator = " ";
	}
	if (total)
		snprintf(text + used, DROPS_TEXT_MAX - (size_t)used, ")");
	return text;
}

static void log_listener_counters(struct log *log, const struct status_listener *listener)
{
	const struct listener_counters *counters = &listener->counters;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "listener %s: received=%" PRIu64 " bytes=%" PRIu64 " sunk=%" PRIu64 " echoed=%" PRIu64
		 " forwarded=%" PRIu64 " relayed=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 listener->config->name, counter_get(&counters->received), counter_get(&counters->received_bytes),
		 counter_get(&counters->sunk), counter_get(&counters->echoed), counter_get(&counters->forwarded),
		 counter_get(&counters->relayed), format_drops(listener->dropped, counters->dropped, drops),
		 listener->kernel_dropped);
}

static void log_relay_counters(struct log *log, const struct status_listener *listener)
{
	const struct relay_counters *counters = &listener->relay;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "relay %s: sessions=%" PRIu64 " started=%" PRIu64 " ended=%" PRIu64 " answers=%" PRIu64
		 " bytes=%" PRIu64 " answered=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 listener->config->name, listener->sessions, counter_get(&counters->started),
		 counter_get(&counters->ended), counter_get(&counters->replies), counter_get(&counters->reply_bytes),
		 counter_get(&counters->replied), format_drops(listener->replies_dropped, counters->dropped, drops),
		 counter_get(&counters->kernel_dropped));
}

static void log_peer_counters(struct log *log, const struct status_peer *peer)
{
	const struct peer_counters *counters = &peer->counters;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "peer %s: handed=%" PRIu64 " sent=%" PRIu64 " bytes=%" PRIu64 " answers=%" PRIu64
		 " icmp_errors=%" PRIu64 " dropped=%s",
		 peer->config->name, counter_get(&counters->submitted), counter_get(&counters->sent),
		 counter_get(&counters->sent_bytes), counter_get(&counters->replies),
		 counter_get(&counters->icmp_errors), format_drops(peer->dropped, counters->dropped, drops));
}

void summary_write(struct log *log, const struct status_source *source)
{
	struct status *status = status_collect(source);

	if (!status) {
		log_error(log, "cannot print the summary: out of memory");
		return;
	}
	for (size_t i = 0; i < status->listener_count; i++) {
		log_listener_counters(log, &status->listeners[i]);
		if (action_traits[status->listeners[i].config->action].has_sessions)
			log_relay_counters(log, &status->listeners[i]);
	}
	for (size_t i = 0; i < status->peer_count; i++)
		log_peer_counters(log, &status->peers[i]);
	if (status->datagram_log.on)
		log_info(log, "datagram log: written=%" PRIu64 " dropped=%" PRIu64, status->datagram_log.written,
			 status->datagram_log.dropped);
	else
		log_info(log, "datagram log: off");
	status_destroy(status);
}

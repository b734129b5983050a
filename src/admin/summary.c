#include "admin/summary.h"

#include <inttypes.h>
#include <stdio.h>

#define DROPS_TEXT_MAX (DROP_REASONS * 48)

/* "7 (loop=5 too_large=2)", or "0". */
static const char *format_drops(uint64_t total, const counter dropped[DROP_REASONS], char text[DROPS_TEXT_MAX])
{
	int used = snprintf(text, DROPS_TEXT_MAX, "%" PRIu64, total);
	const char *before = " (";

	for (int i = 0; i < DROP_REASONS; i++) {
		uint64_t n = counter_get(&dropped[i]);

		if (!n)
			continue;
		used += snprintf(text + used, DROPS_TEXT_MAX - (size_t)used, "%s%s=%" PRIu64, before,
				 drop_reason_name((enum drop_reason)i), n);
		before = " ";
	}
	if (total)
		snprintf(text + used, DROPS_TEXT_MAX - (size_t)used, ")");
	return text;
}

static void write_listener(struct log *log, const struct status_listener *listener)
{
	const struct listener_counters *sum = &listener->counters;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "listener %s: received=%" PRIu64 " bytes=%" PRIu64 " sunk=%" PRIu64 " echoed=%" PRIu64
		 " forwarded=%" PRIu64 " relayed=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 listener->config->name, counter_get(&sum->received), counter_get(&sum->received_bytes),
		 counter_get(&sum->sunk), counter_get(&sum->echoed), counter_get(&sum->forwarded),
		 counter_get(&sum->relayed), format_drops(listener->dropped, sum->dropped, drops),
		 listener->kernel_dropped);
}

static void write_relay(struct log *log, const struct status_listener *listener)
{
	const struct relay_counters *sum = &listener->relay;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "relay %s: sessions=%" PRIu64 " started=%" PRIu64 " ended=%" PRIu64 " answers=%" PRIu64
		 " bytes=%" PRIu64 " answered=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 listener->config->name, listener->sessions, counter_get(&sum->started), counter_get(&sum->ended),
		 counter_get(&sum->replies), counter_get(&sum->reply_bytes), counter_get(&sum->replied),
		 format_drops(listener->answers_dropped, sum->dropped, drops), counter_get(&sum->kernel_dropped));
}

static void write_peer(struct log *log, const struct status_peer *peer)
{
	const struct peer_counters *sum = &peer->counters;
	char drops[DROPS_TEXT_MAX];

	log_info(log,
		 "peer %s: handed=%" PRIu64 " sent=%" PRIu64 " bytes=%" PRIu64 " answers=%" PRIu64
		 " icmp_errors=%" PRIu64 " dropped=%s",
		 peer->config->name, counter_get(&sum->submitted), counter_get(&sum->sent),
		 counter_get(&sum->sent_bytes), counter_get(&sum->replies), counter_get(&sum->icmp_errors),
		 format_drops(peer->dropped, sum->dropped, drops));
}

void summary_write(struct log *log, const struct status_source *view)
{
	struct status *status = status_collect(view);

	if (!status) {
		log_error(log, "no memory for the summary");
		return;
	}
	for (size_t i = 0; i < status->listener_count; i++) {
		write_listener(log, &status->listeners[i]);
		if (action_traits(status->listeners[i].config->action)->has_sessions)
			write_relay(log, &status->listeners[i]);
	}
	for (size_t i = 0; i < status->peer_count; i++)
		write_peer(log, &status->peers[i]);
	if (status->datagram_log.on)
		log_info(log, "datagram log: written=%" PRIu64 " dropped=%" PRIu64, status->datagram_log.written,
			 status->datagram_log.dropped);
	else
		log_info(log, "datagram log: off");
	status_destroy(status);
}

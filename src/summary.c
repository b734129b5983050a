#include "summary.h"

#include <inttypes.h>
#include <stdio.h>

#include "metrics.h"

#define DROPS_TEXT_MAX (DROP_REASONS * 48)

/* "7 (loop=5 too_large=2)", or "0". */
static const char *format_drops(const counter dropped[DROP_REASONS], char text[DROPS_TEXT_MAX])
{
	uint64_t total = 0;
	int used;

	for (int i = 0; i < DROP_REASONS; i++)
		total += counter_get(&dropped[i]);
	used = snprintf(text, DROPS_TEXT_MAX, "%" PRIu64, total);
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

static void write_listener(struct log *log, const struct listener_config *config, struct worker *const *workers,
			   unsigned worker_count, uint64_t kernel)
{
	struct listener_counters sum = {0};
	char drops[DROPS_TEXT_MAX];

	for (unsigned i = 0; i < worker_count; i++)
		listener_counters_add(&sum, worker_listener_counters(workers[i], config->index));
	log_info(log,
		 "listener %s: received=%" PRIu64 " bytes=%" PRIu64 " sunk=%" PRIu64 " echoed=%" PRIu64
		 " forwarded=%" PRIu64 " relayed=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 config->name, counter_get(&sum.received), counter_get(&sum.received_bytes), counter_get(&sum.sunk),
		 counter_get(&sum.echoed), counter_get(&sum.forwarded), counter_get(&sum.relayed),
		 format_drops(sum.dropped, drops), kernel);
}

static void write_relay(struct log *log, const struct listener_config *config, struct worker *const *workers,
			unsigned worker_count)
{
	struct relay_counters sum = {0};
	char drops[DROPS_TEXT_MAX];

	for (unsigned i = 0; i < worker_count; i++)
		relay_counters_add(&sum, worker_relay_counters(workers[i], config->index));
	uint64_t ended = counter_get(&sum.ended), started = counter_get(&sum.started);

	log_info(log,
		 "relay %s: sessions=%" PRIu64 " started=%" PRIu64 " ended=%" PRIu64 " answers=%" PRIu64
		 " bytes=%" PRIu64 " answered=%" PRIu64 " dropped=%s kernel_dropped=%" PRIu64,
		 config->name, started > ended ? started - ended : 0, started, ended, counter_get(&sum.answers),
		 counter_get(&sum.answer_bytes), counter_get(&sum.answered), format_drops(sum.dropped, drops),
		 counter_get(&sum.kernel_dropped));
}

static void write_peer(struct log *log, const struct peer_config *config, struct worker *const *workers,
		       unsigned worker_count)
{
	struct peer_counters sum = {0};
	char drops[DROPS_TEXT_MAX];

	for (unsigned i = 0; i < worker_count; i++)
		peer_counters_add(&sum, worker_peer_counters(workers[i], config->index));
	log_info(log,
		 "peer %s: handed=%" PRIu64 " sent=%" PRIu64 " bytes=%" PRIu64 " answers=%" PRIu64
		 " icmp_errors=%" PRIu64 " dropped=%s",
		 config->name, counter_get(&sum.handed), counter_get(&sum.sent), counter_get(&sum.sent_bytes),
		 counter_get(&sum.answers), counter_get(&sum.icmp_errors), format_drops(sum.dropped, drops));
}

void summary_write(const struct generation *generation)
{
	struct log *log = generation->setup->log;
	const struct config *config = generation->config;
	const struct datagram_log *datagram_log = generation->datagram_log;
	struct worker *const *workers = generation->workers;
	unsigned count = generation->setup->worker_count;

	for (size_t i = 0; i < config->listener_count; i++) {
		write_listener(log, &config->listeners[i], workers, count,
			       bound_sockets_drops(&generation->sockets, i));
		if (config->listeners[i].action == ACTION_RELAY)
			write_relay(log, &config->listeners[i], workers, count);
	}
	for (size_t i = 0; i < config->peer_count; i++)
		write_peer(log, &config->peers[i], workers, count);
	if (datagram_log)
		log_info(log, "datagram log: written=%" PRIu64 " dropped=%" PRIu64, datagram_log_written(datagram_log),
			 datagram_log_dropped(datagram_log));
	else
		log_info(log, "datagram log: off");
}

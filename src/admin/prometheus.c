#include "admin/prometheus.h"

#include <inttypes.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#include "build_config.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* --- Metric families --- */

struct family {
	const char *name, *type, *help;
	size_t offset; /* offset of the number in an item */
	bool is_uint64; /* the number is a uint64_t, not a counter */
};

/* Items of one kind. The name of an item is the value of its label. */
struct items {
	const char *label;
	const void *first;
	size_t count, size;
	const char *(*name)(const void *item);
	bool (*filter)(const void *item); /* returns true for the items to write; NULL: all */
};

#define COUNTER(name, type, member, help)                                                                              \
	{                                                                                                              \
		name "_total", "counter", help, offsetof(struct type, member), false                                   \
	}
#define UINT64_VALUE(name, kind, type, member, help)                                                                   \
	{                                                                                                              \
		name, kind, help, offsetof(struct type, member), true                                                  \
	}

static const struct family listener_families[] = {
	COUNTER("udprelayd_listener_received_datagrams", status_listener, counters.received,
		"Datagrams that the listener received: the sum of sunk, echoed, forwarded, relayed and "
		"dropped datagrams."),
	COUNTER("udprelayd_listener_received_bytes", status_listener, counters.received_bytes,
		"Payload bytes that the listener received."),
	COUNTER("udprelayd_listener_sunk_datagrams", status_listener, counters.sunk,
		"Datagrams that were logged and not sent on."),
	COUNTER("udprelayd_listener_echoed_datagrams", status_listener, counters.echoed,
		"Datagrams that were sent back to their source."),
	COUNTER("udprelayd_listener_forwarded_datagrams", status_listener, counters.forwarded,
		"Datagrams that were passed to the kernel for at least one peer."),
	COUNTER("udprelayd_listener_relayed_datagrams", status_listener, counters.relayed,
		"Datagrams that were passed to the kernel for the peer of their session."),
	UINT64_VALUE("udprelayd_listener_kernel_dropped_datagrams_total", "counter", status_listener, kernel_dropped,
		     "Datagrams that the kernel dropped because the receive buffer was full."),
};

static const struct family relay_families[] = {
	UINT64_VALUE("udprelayd_relay_sessions", "gauge", status_listener, sessions, "Open sessions."),
	UINT64_VALUE("udprelayd_relay_sessions_limit", "gauge", status_listener, sessions_max,
		     "Maximum number of open sessions."),
	COUNTER("udprelayd_relay_sessions_started", status_listener, relay.started, "Sessions that were started."),
	COUNTER("udprelayd_relay_sessions_ended", status_listener, relay.ended, "Sessions that ended."),
	COUNTER("udprelayd_relay_received_answers", status_listener, relay.replies,
		"Replies from peers: the sum of sent and dropped replies."),
	COUNTER("udprelayd_relay_received_answer_bytes", status_listener, relay.reply_bytes,
		"Payload bytes of the replies from peers."),
	COUNTER("udprelayd_relay_sent_answers", status_listener, relay.replied,
		"Replies that were passed to the kernel for their clients."),
	COUNTER("udprelayd_relay_kernel_dropped_answers", status_listener, relay.kernel_dropped,
		"Replies that the kernel dropped because the receive buffer of a session was full; "
		"counted when the session ends."),
};

static const struct family peer_families[] = {
	COUNTER("udprelayd_peer_handed_datagrams", status_peer, counters.submitted,
		"Datagrams for the peer: the sum of sent and dropped datagrams."),
	COUNTER("udprelayd_peer_sent_datagrams", status_peer, counters.sent,
		"Datagrams that were passed to the kernel for the peer."),
	COUNTER("udprelayd_peer_sent_bytes", status_peer, counters.sent_bytes,
		"Payload bytes that were passed to the kernel for the peer."),
	COUNTER("udprelayd_peer_icmp_errors", status_peer, counters.icmp_errors,
		"ICMP errors about datagrams that were sent earlier."),
	COUNTER("udprelayd_peer_received_answers", status_peer, counters.replies, "Replies from the peer."),
	COUNTER("udprelayd_peer_received_answer_bytes", status_peer, counters.reply_bytes,
		"Payload bytes of the replies from the peer."),
};

static const struct family listener_drops = {"udprelayd_listener_dropped_datagrams_total", "counter",
					     "Datagrams that were received and dropped, by reason.",
					     offsetof(struct status_listener, counters.dropped), false};
static const struct family relay_drops = {"udprelayd_relay_dropped_answers_total", "counter",
					  "Replies from peers that were dropped, by reason.",
					  offsetof(struct status_listener, relay.dropped), false};
static const struct family relay_refusals = {"udprelayd_relay_refused_sessions_total", "counter",
					     "Sessions that were refused, by reason.",
					     offsetof(struct status_listener, relay.refused), false};
static const struct family peer_drops = {"udprelayd_peer_dropped_datagrams_total", "counter",
					 "Datagrams for the peer that were dropped, by reason.",
					 offsetof(struct status_peer, counters.dropped), false};

static const char *listener_name(const void *item)
{
	return ((const struct status_listener *)item)->config->name;
}

static bool has_sessions(const void *item)
{
	return action_traits[((const struct status_listener *)item)->config->action].has_sessions;
}

static const char *peer_name(const void *item)
{
	return ((const struct status_peer *)item)->config->name;
}

/* --- Format --- */

void prometheus_write_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
}

static void prometheus_write_head(FILE *out, const char *name, const char *type, const char *help)
{
	fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Writes "name{label="value"". The caller continues the line. */
static void prometheus_write_series(FILE *out, const char *name, const char *label, const char *value)
{
	fprintf(out, "%s{%s=\"", name, label);
	prometheus_write_label(out, value);
	fputc('"', out);
}

static void prometheus_write_integer(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	prometheus_write_head(out, name, type, help);
	fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void prometheus_write_seconds(FILE *out, const char *name, const char *type, const char *help, double value)
{
	prometheus_write_head(out, name, type, help);
	fprintf(out, "%s %.6f\n", name, value);
}

static const void *selected_item(const struct items *items, size_t i)
{
	const void *item = (const char *)items->first + i * items->size;

	return !items->filter || items->filter(item) ? item : NULL;
}

static uint64_t read_value(const void *item, const struct family *family)
{
	const void *number = (const char *)item + family->offset;

	return family->is_uint64 ? *(const uint64_t *)number : counter_get(number);
}

static void prometheus_write_family(FILE *out, const struct items *items, const struct family *family)
{
	prometheus_write_head(out, family->name, family->type, family->help);
	for (size_t i = 0; i < items->count; i++) {
		const void *item = selected_item(items, i);

		if (!item)
			continue;
		prometheus_write_series(out, family->name, items->label, items->name(item));
		fprintf(out, "} %" PRIu64 "\n", read_value(item, family));
	}
}

/* Writes each reason, also with the value 0, so that the first drop is visible as growth. */
static void prometheus_write_drops(FILE *out, const struct items *items, const struct family *family)
{
	prometheus_write_head(out, family->name, family->type, family->help);
	for (size_t i = 0; i < items->count; i++) {
		const void *item = selected_item(items, i);

		for (int reason = DROP_NONE + 1; item && reason < DROP_REASONS; reason++) {
			const counter *dropped = (const void *)((const char *)item + family->offset);

			prometheus_write_series(out, family->name, items->label, items->name(item));
			fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n", drop_reason_name((enum drop_reason)reason),
				counter_get(&dropped[reason]));
		}
	}
}

/* Writes each reason, like the drops. */
static void prometheus_write_session_ends(FILE *out, const struct items *items)
{
	static const char name[] = "udprelayd_relay_ended_sessions_total";

	prometheus_write_head(out, name, "counter", "Sessions that ended, by reason.");
	for (size_t i = 0; i < items->count; i++) {
		const struct status_listener *listener = selected_item(items, i);

		for (int end = 0; listener && end < SESSION_ENDS; end++) {
			prometheus_write_series(out, name, items->label, items->name(listener));
			fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n", session_end_name((enum session_end)end),
				counter_get(&listener->relay.ended_by[end]));
		}
	}
}

static bool has_any_item(const struct items *items)
{
	bool any = false;

	for (size_t i = 0; i < items->count && !any; i++)
		any = selected_item(items, i) != NULL;
	return any;
}

static void prometheus_write_families(FILE *out, const struct items *items, const struct family *families, size_t count,
				      const struct family *drops)
{
	bool any = has_any_item(items);

	for (size_t i = 0; i < count && any; i++)
		prometheus_write_family(out, items, &families[i]);
	if (any)
		prometheus_write_drops(out, items, drops);
}

/* --- Parts --- */

static void prometheus_write_endpoints(FILE *out, const struct status *status)
{
	if (!status->snapshot || !status->peer_count)
		return;
	prometheus_write_head(out, "udprelayd_peer_addresses", "gauge",
			      "Addresses of the peer; 0 until its name is resolved.");
	for (size_t i = 0; i < status->peer_count; i++) {
		prometheus_write_series(out, "udprelayd_peer_addresses", "peer", status->peers[i].config->name);
		fprintf(out, "} %zu\n", status->peers[i].endpoints->count);
	}
	prometheus_write_head(out, "udprelayd_peer_up", "gauge",
			      "1 if the address of the peer is up; 0 while its health check fails or after ICMP "
			      "errors.");
	for (size_t i = 0; i < status->peer_count; i++) {
		const struct peer_endpoints *endpoints = status->peers[i].endpoints;

		for (size_t e = 0; e < endpoints->count; e++) {
			char address[ADDRESS_TEXT_MAX];

			prometheus_write_series(out, "udprelayd_peer_up", "peer", status->peers[i].config->name);
			fputs(",address=\"", out);
			prometheus_write_label(out, address_format(&endpoints->items[e]->address, address));
			fprintf(out, "\"} %d\n", endpoint_is_up(endpoints->items[e], status->now_ms));
		}
	}
}

static void prometheus_write_datagram_log(FILE *out, const struct status *status)
{
	if (!status->datagram_log.on)
		return;
	prometheus_write_integer(out, "udprelayd_datagram_log_written_records_total", "counter",
				 "Records that the datagram log wrote.", status->datagram_log.written);
	prometheus_write_integer(out, "udprelayd_datagram_log_dropped_records_total", "counter",
				 "Records that the datagram log dropped because its queue was full.",
				 status->datagram_log.dropped);
	prometheus_write_integer(out, "udprelayd_datagram_log_waiting_records", "gauge",
				 "Records that wait for the log writer.", status->datagram_log.waiting);
}

static uint64_t prometheus_write_buckets(FILE *out, const char *name, const char *help,
					 const counter buckets[SIZE_BUCKETS])
{
	uint64_t count = 0;

	prometheus_write_head(out, name, "histogram", help);
	for (unsigned i = 0; i < SIZE_BUCKETS; i++) {
		count += counter_get(&buckets[i]);
		fprintf(out, "%s_bucket{le=\"%u\"} %" PRIu64 "\n", name, 1u << i, count);
	}
	fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_count %" PRIu64 "\n", name, count, name, count);
	return count;
}

/* The sum of the trains of all receives is the number of trains. */
static void prometheus_write_sizes(FILE *out, const struct receive_counters *receives)
{
	uint64_t trains = 0;

	for (int i = 0; i < SIZE_BUCKETS; i++)
		trains += counter_get(&receives->trains[i]);
	prometheus_write_buckets(out, "udprelayd_receive_trains",
				 "Trains per receive call: a train is one datagram, or several that the kernel joined "
				 "(GRO).",
				 receives->receives);
	fprintf(out, "udprelayd_receive_trains_sum %" PRIu64 "\n", trains);
	prometheus_write_buckets(out, "udprelayd_train_datagrams", "Datagrams per received train.", receives->trains);
	fprintf(out, "udprelayd_train_datagrams_sum %" PRIu64 "\n", counter_get(&receives->datagrams));
}

/* Returns 0 if the kernel does not report it. */
static uint64_t resident_bytes(void)
{
	FILE *file = fopen("/proc/self/statm", "re");
	uint64_t pages = 0;

	if (!file)
		return 0;
	if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void prometheus_write_process(FILE *out, const struct status *status)
{
	prometheus_write_head(out, "udprelayd_build_info", "gauge", "Version and build features; always 1.");
	fprintf(out, "udprelayd_build_info{version=\"%s\",libuv=\"%s\"} 1\n", UDPRELAYD_VERSION, uv_version_string());
	prometheus_write_seconds(out, "udprelayd_start_time_seconds", "gauge",
				 "Start time of the daemon, in seconds since 1970.",
				 (double)status->source->start_wall_us / 1e6);
	prometheus_write_integer(out, "udprelayd_workers", "gauge", "Worker threads, which receive and send.",
				 status->worker_count);
	prometheus_write_seconds(out, "process_cpu_seconds_total", "counter", "CPU time of the process.",
				 cpu_seconds());
	prometheus_write_integer(out, "process_resident_memory_bytes", "gauge", "Resident memory of the process.",
				 resident_bytes());
}

static void prometheus_write_reloads(FILE *out, const struct status *status)
{
	const struct status_source *source = status->source;

	prometheus_write_head(out, "udprelayd_reloads_total", "counter", "Reloads of the configuration, by result.");
	fprintf(out,
		"udprelayd_reloads_total{result=\"success\"} %u\n"
		"udprelayd_reloads_total{result=\"failure\"} %" PRIu64 "\n",
		status->generation - 1, source->reloads_failed);
	prometheus_write_integer(
		out, "udprelayd_last_reload_successful", "gauge",
		"1 if the last reload succeeded; 0 if it failed and the previous configuration is active.",
		!source->last_reload_failed);
}

void prometheus_write(FILE *out, const struct status *status)
{
	struct items listeners = {.label = "listener",
				  .first = status->listeners,
				  .count = status->listener_count,
				  .size = sizeof(*status->listeners),
				  .name = listener_name};
	struct items relays = listeners;
	struct items peers = {.label = "peer",
			      .first = status->peers,
			      .count = status->peer_count,
			      .size = sizeof(*status->peers),
			      .name = peer_name};

	relays.filter = has_sessions;
	prometheus_write_process(out, status);
	prometheus_write_reloads(out, status);
	prometheus_write_families(out, &listeners, listener_families, COUNT(listener_families), &listener_drops);
	prometheus_write_families(out, &relays, relay_families, COUNT(relay_families), &relay_drops);
	if (has_any_item(&relays)) {
		prometheus_write_session_ends(out, &relays);
		prometheus_write_drops(out, &relays, &relay_refusals);
	}
	prometheus_write_families(out, &peers, peer_families, COUNT(peer_families), &peer_drops);
	prometheus_write_endpoints(out, status);
	prometheus_write_datagram_log(out, status);
	prometheus_write_sizes(out, &status->receives);
}

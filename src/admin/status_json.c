#include "admin/status_json.h"

#include <unistd.h>

#include "base/clock.h"
#include "build_config.h"
#include "text/json_writer.h"

/* The output, the status to write, and an earlier status for the rates or NULL. */
struct status_page {
	struct json_writer json;
	const struct status *now, *before;
};

static void json_write_reasons(struct json_writer *json, const char *name, const counter counters[DROP_REASONS])
{
	json_writer_begin(json, name, '{');
	for (int i = DROP_NONE + 1; i < DROP_REASONS; i++) {
		if (counter_get(&counters[i]))
			json_writer_number(json, drop_reason_name((enum drop_reason)i), counter_get(&counters[i]));
	}
	json_writer_end(json, '}');
}

static void json_write_drops(struct json_writer *json, uint64_t total, const counter dropped[DROP_REASONS])
{
	json_writer_number(json, "dropped", total);
	json_write_reasons(json, "dropped_by_reason", dropped);
}

static void json_write_session_ends(struct json_writer *json, const counter ended_by[SESSION_ENDS])
{
	json_writer_begin(json, "ended_by_reason", '{');
	for (int i = 0; i < SESSION_ENDS; i++) {
		if (counter_get(&ended_by[i]))
			json_writer_number(json, session_end_name((enum session_end)i), counter_get(&ended_by[i]));
	}
	json_writer_end(json, '}');
}

static void json_write_rate(struct status_page *page, const char *name, const counter *earlier, const counter *later)
{
	json_writer_decimal(
		&page->json, name,
		status_rate(page->before, page->now, earlier ? counter_get(earlier) : 0, counter_get(later)));
}

static void json_write_address(struct json_writer *json, const char *name, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	json_writer_string(json, name, address_format(address, text));
}

/* --- Parts --- */

static void json_write_workers(struct status_page *page)
{
	json_writer_begin(&page->json, "workers", '[');
	for (unsigned i = 0; i < page->now->worker_count; i++) {
		json_writer_begin(&page->json, NULL, '{');
		json_writer_number(&page->json, "number", i);
		json_writer_decimal(&page->json, "seconds_since_last_turn", (double)page->now->stalled_ms[i] / 1000);
		json_writer_end(&page->json, '}');
	}
	json_writer_end(&page->json, ']');
}

static void json_write_bound_addresses(struct status_page *page, const struct listener_config *config)
{
	const struct listen_sockets *sockets = page->now->source->sockets;

	json_writer_begin(&page->json, "addresses", '[');
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].config == config && sockets->items[i].worker == 0)
			json_write_address(&page->json, NULL, &sockets->items[i].local);
	}
	json_writer_end(&page->json, ']');
}

static void json_write_relay(struct json_writer *json, const struct status_listener *listener)
{
	const struct relay_counters *relay = &listener->relay;

	json_writer_begin(json, "relay", '{');
	json_writer_number(json, "sessions", listener->sessions);
	json_writer_number(json, "sessions_limit", listener->sessions_max);
	json_writer_number(json, "started", counter_get(&relay->started));
	json_writer_number(json, "ended", counter_get(&relay->ended));
	json_write_session_ends(json, relay->ended_by);
	json_write_reasons(json, "refused_by_reason", relay->refused);
	json_writer_number(json, "answers", counter_get(&relay->replies));
	json_writer_number(json, "answer_bytes", counter_get(&relay->reply_bytes));
	json_writer_number(json, "answered", counter_get(&relay->replied));
	json_write_drops(json, listener->replies_dropped, relay->dropped);
	json_writer_number(json, "kernel_dropped", counter_get(&relay->kernel_dropped));
	json_writer_end(json, '}');
}

static void json_write_listener(struct status_page *page, const struct status_listener *listener,
				const struct status_listener *before)
{
	const struct listener_counters *counters = &listener->counters;
	struct json_writer *json = &page->json;

	json_writer_begin(json, NULL, '{');
	json_writer_string(json, "name", listener->config->name);
	json_writer_string(json, "action", action_names[listener->config->action]);
	json_write_bound_addresses(page, listener->config);
	json_writer_boolean(json, "bound", listener->bound);
	json_writer_number(json, "received", counter_get(&counters->received));
	json_writer_number(json, "received_bytes", counter_get(&counters->received_bytes));
	json_write_rate(page, "datagrams_per_second", before ? &before->counters.received : NULL, &counters->received);
	json_write_rate(page, "bytes_per_second", before ? &before->counters.received_bytes : NULL,
			&counters->received_bytes);
	json_writer_number(json, "sunk", counter_get(&counters->sunk));
	json_writer_number(json, "echoed", counter_get(&counters->echoed));
	json_writer_number(json, "forwarded", counter_get(&counters->forwarded));
	json_writer_number(json, "relayed", counter_get(&counters->relayed));
	json_write_drops(json, listener->dropped, counters->dropped);
	json_writer_number(json, "kernel_dropped", listener->kernel_dropped);
	if (action_traits[listener->config->action].has_sessions)
		json_write_relay(json, listener);
	json_writer_end(json, '}');
}

static void json_write_endpoints(struct status_page *page, const struct peer_endpoints *endpoints)
{
	json_writer_begin(&page->json, "addresses", '[');
	for (size_t i = 0; endpoints && i < endpoints->count; i++) {
		json_writer_begin(&page->json, NULL, '{');
		json_write_address(&page->json, "address", &endpoints->items[i]->address);
		json_writer_boolean(&page->json, "up", endpoint_is_up(endpoints->items[i], page->now->now_ms));
		json_writer_end(&page->json, '}');
	}
	json_writer_end(&page->json, ']');
}

static void json_write_peer(struct status_page *page, const struct status_peer *peer, const struct status_peer *before)
{
	const struct peer_counters *counters = &peer->counters;
	struct json_writer *json = &page->json;

	json_writer_begin(json, NULL, '{');
	json_writer_string(json, "name", peer->config->name);
	json_writer_string(json, "address", peer->config->address_text);
	json_write_endpoints(page, peer->endpoints);
	json_writer_number(json, "handed", counter_get(&counters->submitted));
	json_writer_number(json, "sent", counter_get(&counters->sent));
	json_writer_number(json, "sent_bytes", counter_get(&counters->sent_bytes));
	json_write_rate(page, "datagrams_per_second", before ? &before->counters.sent : NULL, &counters->sent);
	json_write_rate(page, "bytes_per_second", before ? &before->counters.sent_bytes : NULL, &counters->sent_bytes);
	json_writer_number(json, "answers", counter_get(&counters->replies));
	json_writer_number(json, "answer_bytes", counter_get(&counters->reply_bytes));
	json_writer_number(json, "icmp_errors", counter_get(&counters->icmp_errors));
	json_write_drops(json, peer->dropped, counters->dropped);
	json_writer_end(json, '}');
}

static void json_write_datagram_log(struct status_page *page)
{
	struct json_writer *json = &page->json;

	if (!page->now->datagram_log.on) {
		json_writer_null(json, "datagram_log");
		return;
	}
	json_writer_begin(json, "datagram_log", '{');
	json_writer_number(json, "written", page->now->datagram_log.written);
	json_writer_number(json, "dropped", page->now->datagram_log.dropped);
	json_writer_number(json, "waiting", page->now->datagram_log.waiting);
	json_writer_end(json, '}');
}

static void json_write_problem(const char *problem, void *data)
{
	json_writer_string(data, NULL, problem);
}

static void json_write_daemon(struct status_page *page)
{
	const struct status_source *source = page->now->source;
	struct json_writer *json = &page->json;
	char start[CLOCK_TEXT_MAX];

	json_writer_string(json, "version", UDPRELAYD_VERSION);
	json_writer_number(json, "pid", (uint64_t)getpid());
	json_writer_string(json, "start_time", clock_format(source->start_wall_us, start));
	json_writer_decimal(json, "uptime_seconds", (double)(page->now->now_ms - source->start_ms) / 1000);
	json_writer_begin(json, "configuration", '{');
	json_writer_string(json, "path", source->config->path);
	json_writer_number(json, "generation", page->now->generation);
	json_writer_number(json, "reloads_failed", source->reloads_failed);
	json_writer_boolean(json, "last_reload_failed", source->last_reload_failed);
	json_writer_end(json, '}');
	json_writer_begin(json, "faults", '[');
	status_health_problems(page->now, json_write_problem, json);
	json_writer_end(json, ']');
}

/* Returns before, or NULL if it is of another configuration, because its listeners and peers may be others. */
static const struct status *comparable_status(const struct status *before, const struct status *now)
{
	return before && before->generation == now->generation ? before : NULL;
}

void status_json_write(FILE *out, const struct status *status, const struct status *before)
{
	struct status_page page = {.json = {.out = out}, .now = status, .before = comparable_status(before, status)};
	struct json_writer *json = &page.json;

	json_writer_begin(json, NULL, '{');
	json_write_daemon(&page);
	json_write_workers(&page);
	json_writer_begin(json, "listeners", '[');
	for (size_t i = 0; i < status->listener_count; i++)
		json_write_listener(&page, &status->listeners[i], page.before ? &page.before->listeners[i] : NULL);
	json_writer_end(json, ']');
	json_writer_begin(json, "peers", '[');
	for (size_t i = 0; i < status->peer_count; i++)
		json_write_peer(&page, &status->peers[i], page.before ? &page.before->peers[i] : NULL);
	json_writer_end(json, ']');
	json_write_datagram_log(&page);
	json_writer_end(json, '}');
	fputc('\n', out);
}

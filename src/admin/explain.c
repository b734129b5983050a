#include "admin/explain.h"

#include <stdlib.h>

#include "admin/explain_payload.h"
#include "admin/explain_peers.h"
#include "admin/explain_report.h"
#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "datapath/actions.h"
#include "guard/hop_limit.h"
#include "guard/source_limit.h"
#include "net/train.h"

/* --- Words --- */

static struct config_location explain_location(const struct explain_report *report, const char *key)
{
	return config_location_of(&report->listener->lines, key);
}

static const char *explain_action_name(const struct explain_report *report)
{
	return explain_choice_name("action", report->listener->action);
}

/* --- Own addresses according to the configuration --- */

/* Port 0 and the addresses of inherited sockets (fd:NAME) are known only after the start. */
static bool is_unknown_before_bind(const struct bind_config *bind)
{
	return bind->fd_name || (bind->address.any.sa_family != AF_UNIX && !address_port(&bind->address));
}

static size_t add_bind_addresses(struct address *addresses, const struct listener_config *listener,
				 const struct bind_config *bind)
{
	size_t count = config_bind_addresses(bind, addresses);

	for (size_t i = 0; i < listener->group_count; i++) {
		addresses[count] = listener->groups[i].group;
		address_set_port(&addresses[count++], address_port(&bind->address));
	}
	return count;
}

static size_t count_addresses_max(const struct config *config)
{
	size_t count = 1;

	for (size_t i = 0; i < config->listener_count; i++)
		count += config->listeners[i].bind_count * (BIND_ADDRESSES_MAX + config->listeners[i].group_count);
	return count;
}

static int create_configured_addresses(struct own_addresses **own, const struct config *config)
{
	struct address *addresses = xcheck(calloc(count_addresses_max(config), sizeof(*addresses)));
	size_t count = 0;
	int error;

	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *listener = &config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (!is_unknown_before_bind(&listener->binds[i]))
				count += add_bind_addresses(addresses + count, listener, &listener->binds[i]);
		}
	}
	error = own_addresses_create(own, addresses, count);
	free(addresses);
	return error;
}

static bool has_unknown_addresses(const struct config *config)
{
	for (size_t l = 0; l < config->listener_count; l++) {
		for (size_t i = 0; i < config->listeners[l].bind_count; i++) {
			if (is_unknown_before_bind(&config->listeners[l].binds[i]))
				return true;
		}
	}
	return false;
}

/* --- allow and deny --- */

static void report_admitted_source(const struct explain_report *report, const struct prefix *prefix)
{
	const struct listener_config *listener = report->listener;
	char text[PREFIX_TEXT_MAX];

	if (prefix)
		explain_line(report, "source: admitted by allow %s (line %u)", prefix_format(prefix, text),
			     prefix->line);
	else if (report->query->source.any.sa_family == AF_UNIX)
		explain_line(report, "source: admitted: allow and deny do not apply to unix: senders");
	else if (listener->deny)
		explain_line(report,
			     "source: admitted: no prefix of deny matches (%s), and all others are allowed (%s)",
			     explain_location(report, "deny").text, explain_location(report, "allow").text);
	else
		explain_line(report, "source: admitted: all are allowed (%s; %s)",
			     explain_location(report, "allow").text, explain_location(report, "deny").text);
}

static void report_source(const struct explain_report *report, const struct access_decision *decision)
{
	char text[PREFIX_TEXT_MAX];

	if (decision->rule == ACCESS_DENIED)
		explain_line(report, "source: refused by deny %s (line %u)", prefix_format(decision->prefix, text),
			     decision->prefix->line);
	else if (decision->rule == ACCESS_NOT_ALLOWED)
		explain_line(report, "source: refused: no prefix of allow matches (%s)",
			     explain_location(report, "allow").text);
	else
		report_admitted_source(report, decision->prefix);
}

/* --- Guard --- */

static void report_refused_port(const struct explain_report *report)
{
	bool written = config_line(&report->listener->lines, "refuse_source_ports");

	explain_line(report, "guard: refused: source port %u gets no reply (%s%s)",
		     address_port(&report->query->source), explain_location(report, "refuse_source_ports").text,
		     written ? "" : ": ports below 1024 and those of echo listeners");
}

static void report_guard_passed(const struct explain_report *report)
{
	if (report->query->source.any.sa_family == AF_UNIX)
		explain_line(report, "guard: passed: the sender has a path, and it is not one of our listeners (%s)",
			     explain_location(report, "loop_guard").text);
	else
		explain_line(report,
			     "guard: passed: the source is a host, not one of our listeners (%s), and its port is "
			     "not refused (%s)",
			     explain_location(report, "loop_guard").text,
			     explain_location(report, "refuse_source_ports").text);
	if (has_unknown_addresses(report->config))
		explain_line(report,
			     "guard: addresses with port 0 and fd:NAME become known at start: whether the source is "
			     "one of them is not checked");
}

static void report_guard(const struct explain_report *report, enum access_rule rule)
{
	const char *source = report->source;

	switch (rule) {
	case ACCESS_DENIED:
	case ACCESS_NOT_ALLOWED:
		break;
	case ACCESS_NO_REPLY_ACTION:
		explain_line(report, "guard: not needed: %s sends no replies (%s)", explain_action_name(report),
			     explain_location(report, "action").text);
		break;
	case ACCESS_UNNAMED:
		explain_line(report, "guard: refused: a unix: sender without a path gets no reply from %s (%s)",
			     explain_action_name(report), explain_location(report, "action").text);
		break;
	case ACCESS_UNNAMED_ONE_WAY:
		explain_line(report, "guard: passed: the sender has no path, but no reply is expected (%s)",
			     explain_location(report, "responses").text);
		break;
	case ACCESS_LOOP_GUARD_OFF:
		explain_line(report, "guard: off: every source gets replies (%s)",
			     explain_location(report, "loop_guard").text);
		break;
	case ACCESS_NO_HOST:
		explain_line(report, "guard: refused: %s is not the address of a host (%s)", source,
			     explain_location(report, "loop_guard").text);
		break;
	case ACCESS_OWN_ADDRESS:
		explain_line(report, "guard: refused: %s is one of our own addresses (%s)", source,
			     explain_location(report, "loop_guard").text);
		break;
	case ACCESS_PORT_ZERO:
		explain_line(report, "guard: refused: a reply to port 0 is not possible (%s)",
			     explain_location(report, "loop_guard").text);
		break;
	case ACCESS_REFUSED_PORT:
		report_refused_port(report);
		break;
	case ACCESS_ADMITTED:
		report_guard_passed(report);
		break;
	}
}

static void explain_access(struct explain_report *report)
{
	struct access_decision decision = access_check(report->listener, report->own, &report->query->source);

	report_source(report, &decision);
	report_guard(report, decision.rule);
	report->drop = decision.reason;
}

/* --- Limits --- */

static void report_source_limit(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;
	uint32_t burst = listener->source_burst ? listener->source_burst : listener->source_limit;

	if (!listener->source_limit)
		explain_line(report, "source limit: none (%s)", explain_location(report, "source_limit").text);
	else if (report->query->source.any.sa_family == AF_UNIX)
		explain_line(report, "source limit: does not apply to unix: senders (%s)",
			     explain_location(report, "source_limit").text);
	else
		explain_line(report,
			     "source limit: %u datagrams per second (%s), burst %u (%s): further ones would be "
			     "dropped:source_limit, except one in %d",
			     listener->source_limit, explain_location(report, "source_limit").text, burst,
			     explain_location(report, "source_burst").text, SOURCE_LIMIT_SHARE);
}

static void explain_size(struct explain_report *report)
{
	uint32_t size = (uint32_t)report->query->size, max = report->listener->max_datagram;
	struct train train = {.size = size, .segment = size, .count = 1};

	train_limit_size(&train, max);
	report->drop = train.drop;
	explain_line(report, "size: %u bytes, %s %u (%s)", size, train.drop ? "refused: more than" : "of at most", max,
		     explain_location(report, "max_datagram").text);
}

/* A datagram with a smaller hop limit than the result is not sent on. */
static unsigned least_hop_limit(size_t copies)
{
	unsigned received = 1;

	while (received < UINT8_MAX && !hop_limit_next((uint8_t)received, copies))
		received++;
	return received;
}

static void report_hop_limit(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;
	size_t copies = action_traits[listener->action].has_sessions ? 1 : listener->peer_count;
	bool is_unix = report->query->source.any.sa_family == AF_UNIX;

	if (is_unix || address_is_multicast(&report->query->destination))
		explain_line(report, "hop limit: %s, so the datagram is sent on with %u (%s)",
			     is_unix ? "unix: senders have none" : "it has no meaning for groups",
			     hop_limit_next(0, copies), explain_location(report, "ring_guard").text);
	else
		explain_line(report, "hop limit: below %u it would be dropped:hop_limit (%s)", least_hop_limit(copies),
			     explain_location(report, "ring_guard").text);
}

static void report_ring_guard(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;
	const struct action_traits *traits = &action_traits[listener->action];
	bool is_on = listener->loop_guard && listener->ring_guard;

	if (!traits->has_ring_guard)
		return;
	explain_line(report, "ring guard: %s (%s)", is_on ? "fast repetitions can be dropped:ring" : "off",
		     explain_location(report, listener->loop_guard ? "ring_guard" : "loop_guard").text);
	if (is_on && traits->has_peers)
		report_hop_limit(report);
}

static void explain_limits(struct explain_report *report)
{
	report_source_limit(report);
	if (report->query->has_payload)
		explain_size(report);
	else
		explain_line(report, "payload: not given: assumed to be small enough and convertible");
	if (!report->drop)
		report_ring_guard(report);
}

/* --- Replies --- */

/* Returns the source address of replies as text. For a multicast destination, the kernel chooses one of the addresses
 * of the host. */
static const char *reply_source(const struct explain_report *report, char text[ADDRESS_TEXT_MAX])
{
	const struct address *destination = &report->query->destination;

	if (!destination->length)
		return "the address that the datagram was sent to";
	if (address_is_multicast(destination))
		return "an address that the kernel chooses";
	return address_format(destination, text);
}

static void report_echo(const struct explain_report *report)
{
	const struct explain_query *query = report->query;
	char text[ADDRESS_TEXT_MAX];

	if (query->has_payload)
		explain_line(report, "reply: the same %zu bytes to %s, from %s", query->size, report->source,
			     reply_source(report, text));
	else
		explain_line(report, "reply: the same bytes to %s, from %s", report->source,
			     reply_source(report, text));
}

static void report_replies(const struct explain_report *report)
{
	uint32_t responses = report->listener->responses;
	char text[ADDRESS_TEXT_MAX];

	if (!responses) {
		explain_line(report, "replies: none (%s)", explain_location(report, "responses").text);
		return;
	}
	if (responses == RESPONSES_UNLIMITED)
		explain_line(report, "replies: unlimited (%s), to %s, from %s",
			     explain_location(report, "responses").text, report->source, reply_source(report, text));
	else
		explain_line(report, "replies: at most %u for each datagram (%s), to %s, from %s", responses,
			     explain_location(report, "responses").text, report->source, reply_source(report, text));
}

/* --- Action and verdict --- */

/* Returns the list of possible verdicts, which the caller frees, or NULL if record has the only one. */
static char *explain_action(const struct explain_report *report, struct datagram_record *record)
{
	enum action_kind kind = report->listener->action;
	const struct action_traits *traits = &action_traits[kind];
	char *verdicts = NULL;

	if (traits->has_sessions) {
		verdicts = explain_relay(report, record);
		if (verdicts || record->verdict == VERDICT_RELAYED)
			report_replies(report);
	} else if (traits->has_peers) {
		explain_forward(report, record);
	} else {
		record->verdict = action_of(kind)->verdict;
		if (traits->reflects)
			report_echo(report);
	}
	return verdicts;
}

static void report_verdict(const struct explain_report *report, const struct datagram_record *record,
			   const char *verdicts)
{
	char text[RECORD_VERDICT_MAX];

	if (verdicts)
		explain_line(report, "verdict: %s", verdicts);
	else
		explain_line(report, "verdict: %.*s", (int)(record_format_verdict(text, record) - text), text);
}

static void explain_verdict(const struct explain_report *report)
{
	struct datagram_record record = {.verdict = VERDICT_DROPPED, .reason = report->drop};
	char *verdicts = report->drop ? NULL : explain_action(report, &record);

	report_verdict(report, &record, verdicts);
	free(verdicts);
}

/* --- The report --- */

static void report_query(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;
	const struct address *destination = &report->query->destination;
	char *path = diagnostics_escape(report->config->path), to[ADDRESS_TEXT_MAX];

	fprintf(report->out, "%s > ", report->source);
	if (destination->length)
		fprintf(report->out, "%s, ", address_format(destination, to));
	fprintf(report->out, "listener %s (%s), %s:%u\n", listener->name, explain_action_name(report), path,
		listener->lines.line);
	free(path);
}

int explain(const struct config *config, const struct explain_query *query, FILE *out)
{
	struct explain_report report = {.config = config, .query = query, .listener = query->listener, .out = out};
	int error = create_configured_addresses(&report.own, config);

	if (error)
		return error;
	address_format(&query->source, report.source);
	report_query(&report);
	explain_access(&report);
	if (!report.drop)
		explain_limits(&report);
	if (query->has_payload)
		explain_payload(&report);
	explain_verdict(&report);
	own_addresses_destroy(report.own);
	return 0;
}

#include "admin/explain_peers.h"

#include <inttypes.h>
#include <netdb.h>
#include <stdlib.h>

#include "base/xalloc.h"
#include "datapath/delivery.h"
#include "datapath/peer_socket.h"
#include "datapath/pipeline.h"
#include "upstream/endpoint_set.h"
#include "upstream/resolver_result.h"

/* Number of bytes of a converted payload that are printed in hexadecimal. */
#define HEX_BYTES_MAX 32

/* Large enough for each conversion: delivery_convert() rejects a result that does not fit into a datagram. */
#define CONVERTED_MAX CONFIG_DATAGRAM_MAX

/* A peer of the listener. */
struct explain_peer {
	const struct peer_config *config;
	struct converter *converter; /* borrowed from the pipeline; NULL: bytes are not converted */
	struct peer_socket *socket; /* borrowed from the pipeline */
	struct resolver_result resolved; /* its addresses */
	int resolve_error; /* from getaddrinfo(3) */
	enum drop_reason drop; /* why the peer would get no copy */
};

/* All peers of the listener, with the same converters as in the daemon. */
struct explain_peers_state {
	const struct explain_report *report;
	struct peer_socket *sockets; /* by index of the peer in the configuration */
	struct pipeline pipeline;
	struct explain_peer *items; /* in the order of the listener's peers */
	size_t count;
};

/* --- Addresses of a peer --- */

static void resolve_name(struct explain_peer *peer)
{
	static const struct resolver_result nothing;
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;

	peer->resolve_error = getaddrinfo(peer->config->host, NULL, &hints, &list);
	if (peer->resolve_error)
		return;
	resolver_result_read(&peer->resolved, &nothing, list, address_port(&peer->config->address));
	freeaddrinfo(list);
}

static void resolve_peer(struct explain_peer *peer)
{
	if (peer->config->host)
		resolve_name(peer);
	else
		peer->resolved = (struct resolver_result){.count = 1, .addresses = {peer->config->address}};
	if (peer->resolved.count)
		peer_socket_set_address(peer->socket, &peer->resolved.addresses[0]);
	else if (peer->resolved.refused_kind)
		peer_socket_set_no_address(peer->socket);
}

static enum drop_reason explain_missing_address(const struct explain_peer *peer)
{
	if (peer->resolved.count)
		return DROP_NONE;
	return peer->resolved.refused_kind ? DROP_NO_ADDRESS : DROP_UNRESOLVED;
}

static void write_refused_address(FILE *out, const struct explain_peer *peer)
{
	char text[ADDRESS_TEXT_MAX];

	fprintf(out, "%s is %s", address_format(&peer->resolved.refused, text),
		destination_text(peer->resolved.refused_kind));
}

static void write_addresses(FILE *out, const struct explain_peer *peer, enum action_kind action)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < peer->resolved.count; i++)
		fprintf(out, "%s%s", i ? ", " : "", address_format(&peer->resolved.addresses[i], text));
	if (peer->resolved.more)
		fputs(" and more (not used)", out);
	if (peer->resolved.count > 1 && !action_traits[action].has_sessions)
		fputs("; the first one is used", out);
}

/* A name is printed with its present addresses, because they may change. */
static void write_location(FILE *out, const struct explain_peer *peer, enum action_kind action)
{
	const struct peer_config *config = peer->config;

	if (!config->host) {
		write_addresses(out, peer, action);
		return;
	}
	fprintf(out, "%s", config->address_text);
	if (peer->resolved.count) {
		fputs(" is now ", out);
		write_addresses(out, peer, action);
	} else {
		fputs(" has no address now (", out);
		if (peer->resolved.refused_kind)
			write_refused_address(out, peer);
		else
			fputs(gai_strerror(peer->resolve_error), out);
		putc(')', out);
	}
}

/* --- Payload for a peer --- */

static void write_hex_bytes(FILE *out, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size && i < HEX_BYTES_MAX; i++)
		fprintf(out, " %02x", bytes[i]);
	if (size > HEX_BYTES_MAX)
		fputs(" …", out);
}

static void write_converted_payload(const struct explain_report *report, FILE *out, const struct explain_peer *peer,
				    const uint8_t *bytes, size_t size)
{
	struct decoded_preview preview = preview_payload(report, (char *const *)&peer->config->encoding, 1,
							 CODEC_BACKSLASHREPLACE, bytes, size, NULL);

	fprintf(out, ", converted to %s: %zuB %s, hex:", peer->config->encoding, size, preview.text);
	write_hex_bytes(out, bytes, size);
	free(preview.text);
}

/* Converts the payload with the function of the data path. */
static void convert_payload(const struct explain_report *report, FILE *out, struct explain_peer *peer)
{
	const struct explain_query *query = report->query;
	uint8_t *bytes = xcheck(malloc(CONVERTED_MAX));
	size_t size;

	peer->drop = delivery_convert(peer->converter, query->payload, query->size, bytes, CONVERTED_MAX, &size);
	if (!peer->drop)
		write_converted_payload(report, out, peer, bytes, size);
	else
		fprintf(out, ", %s to %s (%s)", drop_reason_name(peer->drop), peer->config->encoding,
			config_location_of(&report->listener->lines, "errors").text);
	free(bytes);
}

static void write_payload(const struct explain_report *report, FILE *out, struct explain_peer *peer)
{
	if (peer->converter && report->query->has_payload)
		convert_payload(report, out, peer);
	else if (peer->converter)
		fprintf(out, ", converted to %s", peer->config->encoding);
	else
		fputs(", payload unchanged", out);
	fprintf(out, " (%s)", config_location_of(&peer->config->lines, "encoding").text);
}

/* drop: the reason why nothing can be sent to the peer; then the payload is not converted. */
static void report_peer(const struct explain_report *report, struct explain_peer *peer, enum drop_reason drop)
{
	FILE *out = report->out;

	fprintf(out, EXPLAIN_INDENT "peer %s: ", peer->config->name);
	write_location(out, peer, report->listener->action);
	fprintf(out, " (line %u)", peer->config->line);
	peer->drop = drop;
	if (drop)
		fprintf(out, ", %s", drop_reason_name(drop));
	else
		write_payload(report, out, peer);
	putc('\n', out);
}

/* --- All peers --- */

static void explain_peers_init(struct explain_peers_state *state, const struct explain_report *report)
{
	const struct config *config = report->config;
	const struct listener_config *listener = report->listener;

	*state = (struct explain_peers_state){.report = report, .count = listener->peer_count};
	state->sockets = xcheck(calloc(config->peer_count, sizeof(*state->sockets)));
	state->items = xcheck(calloc(state->count, sizeof(*state->items)));
	for (size_t i = 0; i < config->peer_count; i++)
		peer_socket_init(&state->sockets[i], &config->peers[i], 0, report->own, NULL);
	/* Fails only when out of memory. */
	xcheck(pipeline_init(&state->pipeline, NULL, listener, state->sockets) ? NULL : state);
	for (size_t i = 0; i < state->count; i++) {
		state->items[i].config = listener->peers[i];
		state->items[i].converter = state->pipeline.peers[i].converter;
		state->items[i].socket = state->pipeline.peers[i].socket;
		resolve_peer(&state->items[i]);
	}
}

static void explain_peers_finish(struct explain_peers_state *state)
{
	pipeline_finish(&state->pipeline);
	free(state->items);
	free(state->sockets);
}

/* --- Forward --- */

static void report_peer_host(const struct explain_peers_state *state)
{
	const struct explain_report *report = state->report;

	for (size_t i = 0; i < state->count; i++) {
		const struct peer_socket *socket = state->items[i].socket;

		if (!address_same_host(&socket->address, &report->query->source))
			continue;
		explain_line(report, "ring guard: %s is on the host of peer %s: all ports of this host are one sender",
			     report->source, socket->config->name);
		return;
	}
}

void explain_forward(const struct explain_report *report, struct datagram_record *record)
{
	struct explain_peers_state state;

	explain_peers_init(&state, report);
	explain_line(report, "peers: a copy to each of %zu (%s)", state.count,
		     config_location_of(&report->listener->lines, "peers").text);
	for (size_t i = 0; i < state.count; i++)
		report_peer(report, &state.items[i], peer_socket_check(state.items[i].socket));
	if (report->listener->loop_guard && report->listener->ring_guard)
		report_peer_host(&state);
	record->copies = (uint16_t)state.count;
	for (size_t i = 0; i < state.count; i++) {
		record->sent = (uint16_t)(record->sent + !state.items[i].drop);
		record->reason = state.items[i].drop ? state.items[i].drop : record->reason;
	}
	record->verdict = record->sent ? VERDICT_FORWARDED : VERDICT_DROPPED;
	explain_peers_finish(&state);
}

/* --- Relay: endpoints, as in a worker --- */

struct explain_endpoints {
	endpoint_epoch epoch;
	struct endpoints_snapshot *snapshot;
	struct endpoint_set set;
};

static struct peer_endpoints create_peer_endpoints(const struct explain_peer *peer, endpoint_epoch *epoch)
{
	struct peer_endpoints endpoints = {.items = xcheck(calloc(peer->resolved.count + 1, sizeof(struct endpoint *))),
					   .no_address = explain_missing_address(peer) == DROP_NO_ADDRESS};

	for (; endpoints.count < peer->resolved.count; endpoints.count++) {
		const struct address *address = &peer->resolved.addresses[endpoints.count];

		endpoints.items[endpoints.count] = xcheck(endpoint_create(peer->config, address, epoch));
	}
	return endpoints;
}

static void release_peer_endpoints(struct peer_endpoints *endpoints)
{
	for (size_t i = 0; i < endpoints->count; i++)
		endpoint_put(endpoints->items[i]);
	free(endpoints->items);
}

static void explain_endpoints_init(struct explain_endpoints *endpoints, const struct explain_peers_state *state)
{
	const struct explain_report *report = state->report;
	size_t count = report->config->peer_count;
	struct peer_endpoints *lists = xcheck(calloc(count, sizeof(*lists)));

	*endpoints = (struct explain_endpoints){0};
	for (size_t i = 0; i < state->count; i++)
		lists[state->items[i].config->index] = create_peer_endpoints(&state->items[i], &endpoints->epoch);
	endpoints->snapshot = xcheck(endpoints_snapshot_create(lists, count));
	for (size_t i = 0; i < count; i++)
		release_peer_endpoints(&lists[i]);
	free(lists);
	xcheck(endpoint_set_init(&endpoints->set, report->listener, report->own, &endpoints->epoch, 0,
				 endpoints->snapshot)
		       ? NULL
		       : endpoints);
}

static void explain_endpoints_finish(struct explain_endpoints *endpoints)
{
	endpoint_set_finish(&endpoints->set);
	endpoints_snapshot_put(endpoints->snapshot);
}

/* --- Relay: choice of the peer --- */

static void report_refused_session(const struct explain_report *report, const struct endpoint_set *set,
				   enum drop_reason reason)
{
	if (reason == DROP_LOOP && endpoint_set_is_loop(set, &report->query->source))
		explain_line(report, "session: refused: %s is the address of a peer of this relay (%s)", report->source,
			     config_location_of(&report->listener->lines, "loop_guard").text);
	else if (reason == DROP_LOOP)
		explain_line(report, "session: refused: all peers are our own listeners");
	else
		explain_line(report, "session: refused: no peer has an address now");
}

/* Writes the list of candidates: "resolver at 192.0.2.53:53, …". */
static void write_candidates(FILE *out, const struct endpoint_set *set)
{
	const uint16_t *candidates;
	size_t count = balancer_candidates(set->balancer, &candidates);
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		const struct endpoint *endpoint = set->members[candidates[i]]->endpoint;

		fprintf(out, "%s%s at %s", i ? ", " : "", endpoint->peer->name,
			address_format(&endpoint->address, text));
	}
}

/* Descriptions of the choice, by enum balance. */
static const char *const balance_reasons[] = {
	[BALANCE_HASH] = "chosen by the client address, if all peers are up",
	[BALANCE_ROUND_ROBIN] = "in turn by weight, separately on each worker; the next is one of",
	[BALANCE_RANDOM] = "at random by weight, one of",
	[BALANCE_LEAST_SESSIONS] = "the fewest sessions for the weight, separately on each worker; one of",
	[BALANCE_FAILOVER] = "the first peer that is up",
};

/* Returns true if the choice depends only on the client, so that the daemon chooses the same peer. */
static bool depends_on_client_only(const struct endpoint_set *set)
{
	const uint16_t *candidates;

	return set->config->balance == BALANCE_HASH || set->config->balance == BALANCE_FAILOVER ||
	       balancer_candidates(set->balancer, &candidates) == 1;
}

static void report_name_peers(const struct explain_peers_state *state)
{
	for (size_t i = 0; i < state->count; i++) {
		if (!state->items[i].config->host)
			continue;
		explain_line(state->report, "balance: a name counts as all of its addresses; they may change");
		return;
	}
}

static void report_choice(const struct explain_report *report, const struct endpoint_set *set,
			  const struct endpoint_ref *ref)
{
	const struct listener_config *listener = report->listener;
	const char *name = explain_choice_name("balance", listener->balance);
	struct config_location location = config_location_of(&listener->lines, "balance");
	const uint16_t *candidates;
	char text[ADDRESS_TEXT_MAX];

	address_format(&ref->endpoint->address, text);
	if (balancer_candidates(set->balancer, &candidates) == 1) {
		explain_line(report, "balance: %s (%s): %s at %s, the only %s", name, location.text,
			     ref->endpoint->peer->name, text,
			     listener->peer_count > 1 ? "candidate: the others wait until it is down" : "peer");
	} else if (depends_on_client_only(set)) {
		explain_line(report, "balance: %s (%s): %s at %s, %s", name, location.text, ref->endpoint->peer->name,
			     text, balance_reasons[listener->balance]);
	} else {
		fprintf(report->out, EXPLAIN_INDENT "balance: %s (%s): %s ", name, location.text,
			balance_reasons[listener->balance]);
		write_candidates(report->out, set);
		putc('\n', report->out);
	}
}

/* --- Relay: session --- */

struct duration_text {
	char text[32];
};

static struct duration_text explain_format_duration(uint64_t ms)
{
	struct duration_text duration;

	snprintf(duration.text, sizeof(duration.text), ms % 1000 ? "%" PRIu64 "ms" : "%" PRIu64 "s",
		 ms % 1000 ? ms : ms / 1000);
	return duration;
}

static void report_session(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;

	explain_line(report, "session: a new one; an existing session of %s stays with its peer while the peer is up",
		     report->source);
	explain_line(report, "session: ends after %s without datagrams (%s); at most %u sessions (%s)",
		     explain_format_duration(listener->idle_timeout_ms).text,
		     config_location_of(&listener->lines, "idle_timeout").text, listener->max_sessions,
		     config_location_of(&listener->lines, "max_sessions").text);
	if (listener->source_sessions && report->query->source.any.sa_family != AF_UNIX)
		explain_line(report, "session: at most %u per source (%s)", listener->source_sessions,
			     config_location_of(&listener->lines, "source_sessions").text);
}

/* --- Relay: verdict --- */

static void set_peer_verdict(struct datagram_record *record, const struct explain_peer *peer)
{
	record->peer = peer->config;
	record->reason = peer->drop;
	record->verdict = peer->drop ? VERDICT_DROPPED : VERDICT_RELAYED;
}

/* Returns true if new sessions may go to the peer. */
static bool is_candidate(const struct endpoint_set *set, size_t peer)
{
	const uint16_t *candidates;
	size_t count = balancer_candidates(set->balancer, &candidates);

	for (size_t i = 0; i < count; i++) {
		if (set->members[candidates[i]]->peer == peer)
			return true;
	}
	return false;
}

/* Returns "relayed:a or relayed:b". Each drop reason occurs once. The caller frees the text. */
static char *format_possible_verdicts(const struct explain_peers_state *state, const struct endpoint_set *set,
				      struct datagram_record *record)
{
	char *text = NULL, verdict[RECORD_VERDICT_MAX];
	bool seen[DROP_REASONS] = {0};
	size_t size, count = 0;
	FILE *out = xcheck(open_memstream(&text, &size));

	for (size_t i = 0; i < state->count; i++) {
		set_peer_verdict(record, &state->items[i]);
		if (!is_candidate(set, i) || (record->reason && seen[record->reason]))
			continue;
		seen[record->reason] = true;
		fprintf(out, "%s%.*s", count++ ? " or " : "", (int)(record_format_verdict(verdict, record) - verdict),
			verdict);
	}
	fclose(out);
	return xcheck(text);
}

static char *explain_session(const struct explain_peers_state *state, struct endpoint_set *set,
			     struct datagram_record *record)
{
	struct endpoint_ref *ref = NULL;

	record->reason = endpoint_set_assign(set, &state->report->query->source, &ref);
	if (record->reason) {
		record->verdict = VERDICT_DROPPED;
		report_refused_session(state->report, set, record->reason);
		return NULL;
	}
	report_name_peers(state);
	report_choice(state->report, set, ref);
	report_session(state->report);
	set_peer_verdict(record, &state->items[ref->peer]);
	return depends_on_client_only(set) ? NULL : format_possible_verdicts(state, set, record);
}

char *explain_relay(const struct explain_report *report, struct datagram_record *record)
{
	struct explain_peers_state state;
	struct explain_endpoints endpoints;
	char *verdicts;

	explain_peers_init(&state, report);
	explain_line(report, "peers: one of %zu (%s)", state.count,
		     config_location_of(&report->listener->lines, "peers").text);
	for (size_t i = 0; i < state.count; i++)
		report_peer(report, &state.items[i], explain_missing_address(&state.items[i]));
	explain_endpoints_init(&endpoints, &state);
	verdicts = explain_session(&state, &endpoints.set, record);
	explain_endpoints_finish(&endpoints);
	explain_peers_finish(&state);
	return verdicts;
}

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

/* Bytes of a converted payload that are shown as such. */
#define HEX_SHOWN 32

/* Enough for any conversion: what does not fit into a datagram is refused before. */
#define CONVERTED_MAX CONFIG_DATAGRAM_MAX

/* A peer of the listener, as it is now. */
struct peer_view {
	const struct peer_config *config;
	struct converter *converter; /* of the route; NULL: bytes pass untouched */
	struct peer_socket *link; /* of the route */
	struct resolver_result found; /* where it is */
	int look_up_error; /* of getaddrinfo(3) */
	enum drop_reason drop; /* of a copy to it */
};

/* The peers of the listener, with the converters that the daemon would have. */
struct peers_view {
	const struct explain_report *explanation;
	struct peer_socket *links; /* by the peer's index in the configuration */
	struct pipeline route;
	struct peer_view *items; /* by the listener's peers */
	size_t count;
};

/* --- Where a peer is --- */

static void look_up(struct peer_view *peer)
{
	static const struct resolver_result nothing;
	struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *list = NULL;

	peer->look_up_error = getaddrinfo(peer->config->host, NULL, &hints, &list);
	if (peer->look_up_error)
		return;
	resolver_result_read(&peer->found, &nothing, list, address_port(&peer->config->address));
	freeaddrinfo(list);
}

static void locate(struct peer_view *peer)
{
	if (peer->config->host)
		look_up(peer);
	else
		peer->found = (struct resolver_result){.count = 1, .addresses = {peer->config->address}};
	if (peer->found.count)
		peer_socket_set_address(peer->link, &peer->found.addresses[0]);
}

static void put_found(FILE *out, const struct peer_view *peer, enum action_kind action)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < peer->found.count; i++)
		fprintf(out, "%s%s", i ? ", " : "", address_format(&peer->found.addresses[i], text));
	if (peer->found.more)
		fputs(" and more, which are not used", out);
	if (peer->found.count > 1 && !action_traits(action)->has_sessions)
		fputs(", of which the first is used", out);
}

/* The address of a name may be another one tomorrow. */
static void put_place(FILE *out, const struct peer_view *peer, enum action_kind action)
{
	const struct peer_config *config = peer->config;

	if (!config->host) {
		put_found(out, peer, action);
		return;
	}
	fprintf(out, "%s", config->address_text);
	if (peer->found.count) {
		fputs(" is now ", out);
		put_found(out, peer, action);
	} else {
		fprintf(out, " has no address now (%s)",
			peer->look_up_error ? gai_strerror(peer->look_up_error) : "none that can be sent to");
	}
}

/* --- What a peer gets --- */

static void put_bytes(FILE *out, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size && i < HEX_SHOWN; i++)
		fprintf(out, " %02x", bytes[i]);
	if (size > HEX_SHOWN)
		fputs(" …", out);
}

static void put_converted(const struct explain_report *explanation, FILE *out, const struct peer_view *peer,
			  const uint8_t *bytes, size_t size)
{
	struct decoded_preview reading = preview_payload(explanation, (char *const *)&peer->config->encoding, 1,
							 CODEC_BACKSLASHREPLACE, bytes, size, NULL);

	fprintf(out, ", converted to %s: %zuB %s, hex:", peer->config->encoding, size, reading.text);
	put_bytes(out, bytes, size);
	free(reading.text);
}

/* As the daemon converts. */
static void convert(const struct explain_report *explanation, FILE *out, struct peer_view *peer)
{
	const struct explain_query *question = explanation->question;
	uint8_t *bytes = xcheck(malloc(CONVERTED_MAX));
	size_t size;

	peer->drop = delivery_convert(peer->converter, question->payload, question->size, bytes, CONVERTED_MAX, &size);
	if (!peer->drop)
		put_converted(explanation, out, peer, bytes, size);
	else
		fprintf(out, ", %s to %s (%s)", drop_reason_name(peer->drop), peer->config->encoding,
			config_location_of(&explanation->listener->lines, "errors").text);
	free(bytes);
}

static void put_payload(const struct explain_report *explanation, FILE *out, struct peer_view *peer)
{
	if (peer->converter && explanation->question->has_payload)
		convert(explanation, out, peer);
	else if (peer->converter)
		fprintf(out, ", converted to %s", peer->config->encoding);
	else
		fputs(", bytes untouched", out);
	fprintf(out, " (%s)", config_location_of(&peer->config->lines, "encoding").text);
}

/* drop: why nothing can go there at all; then it is not converted. */
static void tell_peer(const struct explain_report *explanation, struct peer_view *peer, enum drop_reason drop)
{
	FILE *out = explanation->out;

	fprintf(out, FACT_INDENT "peer %s: ", peer->config->name);
	put_place(out, peer, explanation->listener->action);
	fprintf(out, " (line %u)", peer->config->line);
	peer->drop = drop;
	if (drop)
		fprintf(out, ", %s", drop_reason_name(drop));
	else
		put_payload(explanation, out, peer);
	putc('\n', out);
}

/* --- All peers --- */

static void peers_view_init(struct peers_view *view, const struct explain_report *explanation)
{
	const struct config *config = explanation->config;
	const struct listener_config *listener = explanation->listener;

	*view = (struct peers_view){.explanation = explanation, .count = listener->peer_count};
	view->links = xcheck(calloc(config->peer_count, sizeof(*view->links)));
	view->items = xcheck(calloc(view->count, sizeof(*view->items)));
	for (size_t i = 0; i < config->peer_count; i++)
		peer_socket_init(&view->links[i], &config->peers[i], 0, explanation->own, NULL);
	/* Only memory can be short. */
	xcheck(pipeline_init(&view->route, NULL, listener, view->links) ? NULL : view);
	for (size_t i = 0; i < view->count; i++) {
		view->items[i].config = listener->peers[i];
		view->items[i].converter = view->route.peers[i].converter;
		view->items[i].link = view->route.peers[i].socket;
		locate(&view->items[i]);
	}
}

static void peers_view_finish(struct peers_view *view)
{
	pipeline_finish(&view->route);
	free(view->items);
	free(view->links);
}

/* --- Forward --- */

void explain_forward(const struct explain_report *explanation, struct datagram_record *record)
{
	struct peers_view view;

	peers_view_init(&view, explanation);
	explain_line(explanation, "peers: a copy to each of %zu (%s)", view.count,
		     config_location_of(&explanation->listener->lines, "peers").text);
	for (size_t i = 0; i < view.count; i++)
		tell_peer(explanation, &view.items[i], peer_socket_check(view.items[i].link));
	record->copies = (uint16_t)view.count;
	for (size_t i = 0; i < view.count; i++) {
		record->sent = (uint16_t)(record->sent + !view.items[i].drop);
		record->reason = view.items[i].drop ? view.items[i].drop : record->reason;
	}
	record->verdict = record->sent ? VERDICT_FORWARDED : VERDICT_DROPPED;
	peers_view_finish(&view);
}

/* --- Relay: the targets, as a worker would have them --- */

struct targets_view {
	endpoint_epoch news;
	struct endpoints_snapshot *snapshot;
	struct endpoint_set set;
};

static struct peer_endpoints targets_of(const struct peer_view *peer, endpoint_epoch *news)
{
	struct peer_endpoints targets = {.items = xcheck(calloc(peer->found.count + 1, sizeof(struct endpoint *)))};

	for (; targets.count < peer->found.count; targets.count++) {
		const struct address *address = &peer->found.addresses[targets.count];

		targets.items[targets.count] = xcheck(endpoint_create(peer->config, address, news));
	}
	return targets;
}

static void targets_free(struct peer_endpoints *targets)
{
	for (size_t i = 0; i < targets->count; i++)
		endpoint_put(targets->items[i]);
	free(targets->items);
}

static void targets_view_init(struct targets_view *targets, const struct peers_view *view)
{
	const struct explain_report *explanation = view->explanation;
	size_t count = explanation->config->peer_count;
	struct peer_endpoints *lists = xcheck(calloc(count, sizeof(*lists)));

	*targets = (struct targets_view){0};
	for (size_t i = 0; i < view->count; i++)
		lists[view->items[i].config->index] = targets_of(&view->items[i], &targets->news);
	targets->snapshot = xcheck(endpoints_snapshot_create(lists, count));
	for (size_t i = 0; i < count; i++)
		targets_free(&lists[i]);
	free(lists);
	xcheck(endpoint_set_init(&targets->set, explanation->listener, explanation->own, &targets->news, 0,
				 targets->snapshot)
		       ? NULL
		       : targets);
}

static void targets_view_finish(struct targets_view *targets)
{
	endpoint_set_finish(&targets->set);
	endpoints_snapshot_put(targets->snapshot);
}

/* --- Relay: the choice --- */

static void tell_refusal(const struct explain_report *explanation, const struct endpoint_set *set,
			 enum drop_reason reason)
{
	if (reason == DROP_LOOP && endpoint_set_is_loop(set, &explanation->question->source))
		explain_line(explanation, "session: refused: %s is the address of one of its own peers (%s)",
			     explanation->source, config_location_of(&explanation->listener->lines, "loop_guard").text);
	else if (reason == DROP_LOOP)
		explain_line(explanation, "session: refused: its peers are our own listeners");
	else
		explain_line(explanation, "session: refused: no peer has an address now");
}

/* What there is to choose from: "resolver at 192.0.2.53:53, …". */
static void put_choices(FILE *out, const struct endpoint_set *set)
{
	const uint16_t *choices;
	size_t count = balancer_candidates(set->balancer, &choices);
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < count; i++) {
		const struct endpoint *target = set->members[choices[i]]->target;

		fprintf(out, "%s%s at %s", i ? ", " : "", target->peer->name, address_format(&target->address, text));
	}
}

/* Why the choice is what it is, or what it depends on. */
static const char *const grounds[] = {
	[BALANCE_HASH] = "by the client's address alone, while all peers are up",
	[BALANCE_ROUND_ROBIN] = "in turn by weight, on each worker for itself; the next is one of",
	[BALANCE_RANDOM] = "at random by weight, one of",
	[BALANCE_LEAST_SESSIONS] = "the fewest sessions for the weight, on each worker for itself; one of",
	[BALANCE_FAILOVER] = "the first, while it is up",
};

/* Whether the client alone decides, so that the choice here is the daemon's. */
static bool is_certain(const struct endpoint_set *set)
{
	const uint16_t *choices;

	return set->config->balance == BALANCE_HASH || set->config->balance == BALANCE_FAILOVER ||
	       balancer_candidates(set->balancer, &choices) == 1;
}

static void tell_names(const struct peers_view *view)
{
	for (size_t i = 0; i < view->count; i++) {
		if (!view->items[i].config->host)
			continue;
		explain_line(view->explanation, "balance: a name stands for all of its addresses, which may change");
		return;
	}
}

static void tell_choice(const struct explain_report *explanation, const struct endpoint_set *set,
			const struct endpoint_ref *member)
{
	const struct listener_config *listener = explanation->listener;
	const char *word = explain_choice_name("balance", listener->balance);
	struct config_location place = config_location_of(&listener->lines, "balance");
	const uint16_t *choices;
	char text[ADDRESS_TEXT_MAX];

	address_format(&member->target->address, text);
	if (balancer_candidates(set->balancer, &choices) == 1) {
		explain_line(explanation, "balance: %s (%s): %s at %s, the only choice", word, place.text,
			     member->target->peer->name, text);
	} else if (is_certain(set)) {
		explain_line(explanation, "balance: %s (%s): %s at %s, %s", word, place.text,
			     member->target->peer->name, text, grounds[listener->balance]);
	} else {
		fprintf(explanation->out, FACT_INDENT "balance: %s (%s): %s ", word, place.text,
			grounds[listener->balance]);
		put_choices(explanation->out, set);
		putc('\n', explanation->out);
	}
}

/* --- Relay: the session --- */

struct duration_text {
	char text[32];
};

static struct duration_text duration(uint64_t ms)
{
	struct duration_text duration;

	snprintf(duration.text, sizeof(duration.text), ms % 1000 ? "%" PRIu64 "ms" : "%" PRIu64 "s",
		 ms % 1000 ? ms : ms / 1000);
	return duration;
}

static void tell_session(const struct explain_report *explanation)
{
	const struct listener_config *listener = explanation->listener;

	explain_line(explanation, "session: a new one; one that %s has already stays with its peer while that is up",
		     explanation->source);
	explain_line(explanation, "session: ends after %s without datagrams (%s); there are at most %u (%s)",
		     duration(listener->idle_timeout_ms).text,
		     config_location_of(&listener->lines, "idle_timeout").text, listener->max_sessions,
		     config_location_of(&listener->lines, "max_sessions").text);
}

/* --- Relay: the verdict --- */

static void judge(struct datagram_record *record, const struct peer_view *peer)
{
	record->peer = peer->config;
	record->reason = peer->drop;
	record->verdict = peer->drop ? VERDICT_DROPPED : VERDICT_RELAYED;
}

/* Whether new sessions may go to the peer. */
static bool is_choice(const struct endpoint_set *set, size_t peer)
{
	const uint16_t *choices;
	size_t count = balancer_candidates(set->balancer, &choices);

	for (size_t i = 0; i < count; i++) {
		if (set->members[choices[i]]->peer == peer)
			return true;
	}
	return false;
}

/* "relayed:a or relayed:b"; what would be dropped, once for each reason. */
static char *judge_all(const struct peers_view *view, const struct endpoint_set *set, struct datagram_record *record)
{
	char *text = NULL, word[RECORD_VERDICT_MAX];
	bool seen[DROP_REASONS] = {0};
	size_t size, count = 0;
	FILE *out = xcheck(open_memstream(&text, &size));

	for (size_t i = 0; i < view->count; i++) {
		judge(record, &view->items[i]);
		if (!is_choice(set, i) || (record->reason && seen[record->reason]))
			continue;
		seen[record->reason] = true;
		fprintf(out, "%s%.*s", count++ ? " or " : "", (int)(record_put_verdict(word, record) - word), word);
	}
	fclose(out);
	return xcheck(text);
}

static char *explain_choice(const struct peers_view *view, struct endpoint_set *set, struct datagram_record *record)
{
	struct endpoint_ref *member = NULL;

	record->reason = endpoint_set_assign(set, &view->explanation->question->source, &member);
	if (record->reason) {
		record->verdict = VERDICT_DROPPED;
		tell_refusal(view->explanation, set, record->reason);
		return NULL;
	}
	tell_names(view);
	tell_choice(view->explanation, set, member);
	tell_session(view->explanation);
	judge(record, &view->items[member->peer]);
	return is_certain(set) ? NULL : judge_all(view, set, record);
}

char *explain_relay(const struct explain_report *explanation, struct datagram_record *record)
{
	struct peers_view view;
	struct targets_view targets;
	char *open;

	peers_view_init(&view, explanation);
	explain_line(explanation, "peers: one of %zu (%s)", view.count,
		     config_location_of(&explanation->listener->lines, "peers").text);
	for (size_t i = 0; i < view.count; i++)
		tell_peer(explanation, &view.items[i], view.items[i].found.count ? DROP_NONE : DROP_UNRESOLVED);
	targets_view_init(&targets, &view);
	open = explain_choice(&view, &targets.set, record);
	targets_view_finish(&targets);
	peers_view_finish(&view);
	return open;
}

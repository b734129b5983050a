#include "route.h"

#include <errno.h>
#include <stdlib.h>

static int peer_init(struct route *route, const struct peer_config *peer, struct link *links)
{
	const struct listener_config *config = route->config;
	struct route_peer *to = &route->peers[route->peer_count++];
	int error;

	to->link = &links[peer->index];
	if (!peer->encoding)
		return 0;
	route->converts = true;
	error = converter_create(&to->converter, config->encodings, config->encoding_count, peer->encoding,
				 config->errors, CONFIG_DATAGRAM_MAX);
	if (error || config->action != ACTION_RELAY)
		return error;
	return converter_create(&to->answer_converter, (char *const *)&peer->encoding, 1, config->encodings[0],
				config->errors, CONFIG_DATAGRAM_MAX);
}

int route_init(struct route *route, const struct listener_config *config, struct link *links)
{
	*route = (struct route){.config = config};
	route->peers = calloc(config->peer_count + 1, sizeof(*route->peers));
	if (!route->peers)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++) {
		int error = peer_init(route, config->peers[i], links);

		if (error) {
			route_finish(route);
			return error;
		}
	}
	return 0;
}

void route_finish(struct route *route)
{
	for (size_t i = 0; i < route->peer_count; i++) {
		converter_destroy(route->peers[i].converter);
		converter_destroy(route->peers[i].answer_converter);
	}
	free(route->peers);
	route->peers = NULL;
	route->peer_count = 0;
}

unsigned route_batch_limit(const struct route *route)
{
	return route->converts ? WAY_CONVERTED_TRAINS : BATCH_TRAINS;
}

size_t route_copies_max(const struct route *route)
{
	size_t ways = route->config->action == ACTION_FORWARD ? route->peer_count : 1;
	size_t copies = route->converts ? WAY_CONVERTED_COPIES : WAY_COPIES;

	return ways * copies * route_batch_limit(route);
}

/* --- Towards the flush --- */

/* A source may have its fill, and a little of what it sends beyond that. */
static enum drop_reason check_source(struct route *route, const struct train *train, uint64_t now_ms)
{
	if (!route->source_limit || source_limit_take(route->source_limit, &train->source, train->count, now_ms) ||
	    source_limit_spares(route->source_limit, &route->source_draw))
		return DROP_NONE;
	return DROP_SOURCE_LIMIT;
}

static bool comes_from_peer(const struct route *route, const struct train *train)
{
	for (size_t i = 0; i < route->peer_count; i++) {
		if (address_same_host(&route->peers[i].link->address, &train->source))
			return true;
	}
	return false;
}

static void tell_ring(struct route *route, const struct train *train)
{
	static const char *const doings[] = {[ACTION_ECHO] = "repeats one payload without end, as another echo would",
					     [ACTION_FORWARD] =
						     "sends back what others sent, as a ring of hosts would"};
	char source[ADDRESS_TEXT_MAX];

	log_write_limited(route->log, &route->ring_limit, LOG_LEVEL_WARNING,
			  "listener %s: %s %s: that is dropped (ring); where it is meant, write ring_guard = off",
			  route->config->name, address_format(&train->source, source), doings[route->config->action]);
}

static enum drop_reason check_ring(struct route *route, const struct train *train, uint64_t now_ms)
{
	if (!route->ring_guard ||
	    ring_guard_admits(route->ring_guard, &route->ring_draw, train, comes_from_peer(route, train), now_ms))
		return DROP_NONE;
	tell_ring(route, train);
	return DROP_RING;
}

static struct copy *echo(struct route *route, const struct arrival *arrival, const struct train *train)
{
	struct way way = {.outlet = arrival->outlet,
			  .to = &train->source,
			  .from = train->local ? &train->local->reply_from : NULL};

	return way_take(&route->carrier, &way, train);
}

static struct copy *forward_to(struct route *route, const struct route_peer *peer, const struct train *train,
			       uint64_t now_ms)
{
	enum drop_reason down = link_ready(peer->link, now_ms);
	struct way way = {.outlet = &peer->link->outlet, .converter = peer->converter};

	return down ? way_refuse(&route->carrier, train, down) : way_take(&route->carrier, &way, train);
}

static struct copy *forward(struct route *route, const struct train *train, uint64_t now_ms)
{
	struct copy *first = forward_to(route, &route->peers[0], train, now_ms);

	for (size_t i = 1; i < route->peer_count; i++)
		forward_to(route, &route->peers[i], train, now_ms);
	return first;
}

/* Answers leave from the address that the client wrote to; a wildcard socket has to name it. */
static struct relay_client client_of(const struct arrival *arrival, const struct train *train, struct address *local)
{
	struct relay_client client = {.client = &train->source, .local = arrival->local, .back = arrival->outlet};

	if (!train->local || !train->local->reply_from.length)
		return client;
	*local = train->local->reply_from;
	address_set_port(local, address_port(arrival->local));
	client.local = local;
	client.names_source = true;
	return client;
}

static struct copy *relay(struct route *route, const struct arrival *arrival, struct train *train,
			  struct session **session)
{
	struct address local;
	struct relay_client client = client_of(arrival, train, &local);

	train->drop = relay_find(route->relay, &client, arrival->now_ms, session);
	if (train->drop)
		return NULL;
	const struct route_peer *peer = &route->peers[(*session)->member->peer];
	struct way way = {.outlet = &(*session)->outlet, .converter = peer->converter};

	return way_take(&route->carrier, &way, train);
}

static struct copy *act(struct route *route, const struct arrival *arrival, struct train *train,
			struct session **session)
{
	switch (route->config->action) {
	case ACTION_SINK:
		break;
	case ACTION_ECHO:
		return echo(route, arrival, train);
	case ACTION_FORWARD:
		return forward(route, train, arrival->now_ms);
	case ACTION_RELAY:
		return relay(route, arrival, train, session);
	}
	return NULL;
}

void route_begin(struct route *route, const struct arrival *arrival, struct train *trains, unsigned count)
{
	route->carrier.arena->used = 0;
	if (route->relay)
		relay_begin(route->relay, arrival->now_ms);
	for (unsigned i = 0; i < count; i++) {
		struct train *train = &trains[i];

		if (!train->drop)
			train->drop = guard_check(route->config, route->own, train);
		if (!train->drop)
			train->drop = check_source(route, train, arrival->now_ms);
		if (!train->drop)
			train_limit_size(train, route->config->max_datagram);
		if (!train->drop)
			train->drop = check_ring(route, train, arrival->now_ms);
		if (!train->drop)
			route->copies[i] = act(route, arrival, train, &route->sessions[i]);
	}
}

/* --- After the flush --- */

static struct link *link_of(const struct route *route, const struct session *session)
{
	return route->peers[session->member->peer].link;
}

static void read_outcome(struct route *route, struct outcome *outcome, const struct train *train, unsigned i)
{
	const struct copy *copy = route->copies[i];

	outcome_begin(outcome, train->count, train->drop ? train->drop : DROP_TOO_LARGE);
	if (train->drop)
		return;
	switch (route->config->action) {
	case ACTION_SINK:
		for (uint32_t at = train->skip; at < train->count; at++)
			outcome->sent[at] = 1;
		break;
	case ACTION_ECHO:
		outcome_read(outcome, train, copy, NULL);
		break;
	case ACTION_FORWARD:
		for (size_t p = 0; p < route->peer_count; p++)
			copy = outcome_read(outcome, train, copy, route->peers[p].link);
		break;
	case ACTION_RELAY:
		outcome_read(outcome, train, copy, link_of(route, route->sessions[i]));
		break;
	}
}

static void account(struct route *route, const struct outcome *outcome, const struct train *train, unsigned i)
{
	struct listener_counters *counters = route->counters;
	counter *const taken[] = {[ACTION_SINK] = &counters->sunk,
				  [ACTION_ECHO] = &counters->echoed,
				  [ACTION_FORWARD] = &counters->forwarded,
				  [ACTION_RELAY] = &counters->relayed};
	uint32_t sent = outcome_count(outcome, train->count, counters->dropped);

	counter_add(&counters->received, train->count);
	counter_add(&counters->received_bytes, train->size);
	counter_add(taken[route->config->action], sent);
	if (route->relay && !train->drop)
		relay_sent(route->relay, route->sessions[i], sent);
}

/* Whether log = 1/N wants this datagram. */
static bool wants_record(struct route *route)
{
	if (route->until_record) {
		route->until_record--;
		return false;
	}
	route->until_record = route->config->log_every - 1;
	return true;
}

void route_record(struct route *route, struct datagram_record *record, enum verdict verdict,
		  const struct outcome *outcome, const struct train *train)
{
	for (uint32_t i = 0; i < train->count; i++) {
		if (!wants_record(route))
			continue;
		record->payload = train->data + (size_t)i * train->segment;
		record->size = train_datagram_size(train, i);
		record->sent = outcome->sent[i];
		record->reason = outcome->reason[i];
		record->verdict = record->sent ? verdict : VERDICT_DROPPED;
		datagram_ring_push(route->ring, record);
	}
}

static void record(struct route *route, const struct arrival *arrival, const struct outcome *outcome,
		   const struct train *train, unsigned i)
{
	static const enum verdict verdicts[] = {[ACTION_SINK] = VERDICT_SUNK,
						[ACTION_ECHO] = VERDICT_ECHOED,
						[ACTION_FORWARD] = VERDICT_FORWARDED,
						[ACTION_RELAY] = VERDICT_RELAYED};
	struct address destination = train->local ? train->local->written_to : *arrival->local;
	struct datagram_record record = {.time_us = arrival->time_us,
					 .listener = route->config,
					 .source = &train->source,
					 .destination = &destination,
					 .copies = (uint16_t)route->peer_count};

	address_set_port(&destination, address_port(arrival->local));
	if (route->relay && !train->drop)
		record.peer = link_of(route, route->sessions[i])->config;
	route_record(route, &record, verdicts[route->config->action], outcome, train);
}

/* Sessions end only now that nothing of the batch, nor the egress, looks at them any more. */
static void settle(struct route *route, const struct arrival *arrival, const struct train *trains, unsigned count)
{
	if (!route->relay) {
		for (size_t i = 0; i < route->peer_count; i++)
			link_settle(route->peers[i].link);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!trains[i].drop)
			relay_settle(route->relay, route->sessions[i], arrival->now_ms);
	}
}

void route_end(struct route *route, const struct arrival *arrival, const struct train *trains, unsigned count)
{
	struct outcome outcome;

	for (unsigned i = 0; i < count; i++) {
		read_outcome(route, &outcome, &trains[i], i);
		account(route, &outcome, &trains[i], i);
		if (route->ring)
			record(route, arrival, &outcome, &trains[i], i);
	}
	egress_reset(route->carrier.egress);
	settle(route, arrival, trains, count);
	if (route->ring)
		datagram_ring_wake(route->ring);
}

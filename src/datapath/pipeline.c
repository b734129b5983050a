#include "datapath/pipeline.h"

#include <errno.h>
#include <stdlib.h>

static int peer_init(struct pipeline *route, const struct peer_config *peer, struct peer_socket *links)
{
	const struct listener_config *config = route->config;
	struct pipeline_peer *to = &route->peers[route->peer_count++];

	to->link = &links[peer->index];
	if (!peer->encoding)
		return 0;
	route->carrier.converts = true;
	return converter_create(&to->converter, config->encodings, config->encoding_count, peer->encoding,
				config->errors, CONFIG_DATAGRAM_MAX);
}

int pipeline_init(struct pipeline *route, const struct action *action, const struct listener_config *config,
		  struct peer_socket *links)
{
	*route = (struct pipeline){.action = action, .config = config, .carrier = {.config = config}};
	route->peers = calloc(config->peer_count + 1, sizeof(*route->peers));
	if (!route->peers)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++) {
		int error = peer_init(route, config->peers[i], links);

		if (error) {
			pipeline_finish(route);
			return error;
		}
	}
	return 0;
}

void pipeline_finish(struct pipeline *route)
{
	for (size_t i = 0; i < route->peer_count; i++)
		converter_destroy(route->peers[i].converter);
	free(route->peers);
	route->peers = NULL;
	route->peer_count = 0;
}

size_t pipeline_chunks_max(const struct pipeline *route)
{
	size_t ways = route->action->copies_to_peers ? route->peer_count : 1;
	size_t copies = route->carrier.converts ? DELIVERY_CONVERTED_CHUNKS : DELIVERY_CHUNKS;

	return ways * copies * delivery_batch_limit(&route->carrier);
}

/* --- Towards the flush --- */

/* A source may have its fill, and a little of what it sends beyond that. */
static enum drop_reason check_source(struct pipeline *route, const struct train *train, uint64_t now_ms)
{
	if (!route->source_limit || source_limit_take(route->source_limit, &train->source, train->count, now_ms) ||
	    source_limit_sample(route->source_limit, &route->source_limit_sampler))
		return DROP_NONE;
	return DROP_SOURCE_LIMIT;
}

static bool comes_from_peer(const struct pipeline *route, const struct train *train)
{
	for (size_t i = 0; i < route->peer_count; i++) {
		if (address_same_host(&route->peers[i].link->address, &train->source))
			return true;
	}
	return false;
}

static void tell_ring(struct pipeline *route, const struct train *train)
{
	char source[ADDRESS_TEXT_MAX];

	log_write_limited(route->log, &route->ring_limit, LOG_LEVEL_WARNING,
			  "listener %s: %s %s: that is dropped (ring); where it is meant, write ring_guard = off",
			  route->config->name, address_format(&train->source, source), route->action->ring_warning);
}

static enum drop_reason check_ring(struct pipeline *route, const struct train *train, uint64_t now_ms)
{
	if (!route->ring_guard || ring_guard_admits(route->ring_guard, &route->ring_guard_sampler, train,
						    comes_from_peer(route, train), now_ms))
		return DROP_NONE;
	tell_ring(route, train);
	return DROP_RING;
}

void pipeline_submit(struct pipeline *route, const struct rx_context *arrival, struct train *trains, unsigned count)
{
	delivery_begin_batch(&route->carrier);
	if (route->action->begin)
		route->action->begin(route, arrival);
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
			train->drop = route->action->submit(route, arrival, train, i);
	}
}

/* --- After the flush --- */

static void account(struct pipeline *route, const struct outcome *outcome, const struct train *train)
{
	struct listener_counters *counters = route->counters;
	counter *delivered = (counter *)((char *)counters + route->action->counter);

	counter_add(&counters->received, train->count);
	counter_add(&counters->received_bytes, train->size);
	counter_add(delivered, outcome_count_sent(outcome, train->count, counters->dropped));
}

static void record(struct pipeline *route, const struct rx_context *arrival, const struct outcome *outcome,
		   const struct train *train)
{
	struct address destination = train->local ? train->local->destination : *arrival->local;
	struct datagram_record record = {.time_us = arrival->time_us,
					 .listener = route->config,
					 .source = &train->source,
					 .destination = &destination,
					 .peer = outcome->peer,
					 .copies = (uint16_t)route->peer_count};

	address_set_port(&destination, address_port(arrival->local));
	delivery_record(&route->carrier, &record, route->action->verdict, outcome, train);
}

void pipeline_complete(struct pipeline *route, const struct rx_context *arrival, const struct train *trains,
		       unsigned count)
{
	struct outcome outcome;

	for (unsigned i = 0; i < count; i++) {
		const struct train *train = &trains[i];

		outcome_init(&outcome, train->count, train->drop ? train->drop : DROP_TOO_LARGE);
		if (!train->drop)
			route->action->collect(route, train, i, &outcome);
		account(route, &outcome, train);
		if (route->carrier.ring)
			record(route, arrival, &outcome, train);
	}
	tx_batch_clear(route->carrier.egress);
	if (route->action->finish)
		route->action->finish(route, arrival, trains, count);
	if (route->carrier.ring)
		record_ring_wake(route->carrier.ring);
}

#include "datapath/pipeline.h"

#include <errno.h>
#include <stdlib.h>

#include "guard/access.h"
#include "guard/hop_limit.h"

static int pipeline_add_peer(struct pipeline *pipeline, const struct peer_config *config, struct peer_socket *sockets)
{
	const struct listener_config *listener = pipeline->config;
	struct pipeline_peer *peer = &pipeline->peers[pipeline->peer_count++];

	peer->socket = &sockets[config->index];
	if (!config->encoding)
		return 0;
	pipeline->delivery.converts = true;
	pipeline->delivery.batch_limit = DELIVERY_CONVERTED_TRAINS;
	return converter_create(&peer->converter, listener->encodings, listener->encoding_count, config->encoding,
				listener->errors, CONFIG_DATAGRAM_MAX);
}

int pipeline_init(struct pipeline *pipeline, const struct action *action, const struct listener_config *config,
		  struct peer_socket *sockets)
{
	*pipeline = (struct pipeline){
		.action = action, .config = config, .delivery = {.config = config, .batch_limit = RX_BATCH_TRAINS}};
	pipeline->peers = calloc(config->peer_count + 1, sizeof(*pipeline->peers));
	if (!pipeline->peers)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++) {
		int error = pipeline_add_peer(pipeline, config->peers[i], sockets);

		if (error) {
			pipeline_finish(pipeline);
			return error;
		}
	}
	return 0;
}

void pipeline_finish(struct pipeline *pipeline)
{
	for (size_t i = 0; i < pipeline->peer_count; i++)
		converter_destroy(pipeline->peers[i].converter);
	free(pipeline->peers);
	pipeline->peers = NULL;
	pipeline->peer_count = 0;
}

size_t pipeline_chunks_max(const struct pipeline *pipeline)
{
	size_t destinations = pipeline->action->copies_to_peers ? pipeline->peer_count : 1;
	size_t chunks = pipeline->delivery.converts ? DELIVERY_CONVERTED_CHUNKS : DELIVERY_CHUNKS;

	return destinations * chunks * pipeline->delivery.batch_limit;
}

/* A peer socket has one flow for each hop limit. Without peers, each train may be a flow. */
size_t pipeline_flows_max(const struct pipeline *pipeline)
{
	size_t peers = pipeline->peer_count;

	return pipeline->action->copies_to_peers ? peers * hop_limit_values(peers) : RX_BATCH_TRAINS;
}

/* --- Before the flush --- */

/* Returns 0 for an unknown hop limit. A multicast datagram starts with a small one, so its value has no meaning. */
static uint8_t pipeline_received_hop_limit(const struct rx_context *rx, const struct train *train)
{
	return address_is_multicast(train->local ? &train->local->destination : rx->local) ? 0 : train->hop_limit;
}

enum drop_reason pipeline_hop_limit(const struct pipeline *pipeline, const struct rx_context *rx,
				    const struct train *train, size_t copies, uint8_t *hop_limit)
{
	*hop_limit = 0;
	if (!pipeline->delivery.ring_guard)
		return DROP_NONE;
	*hop_limit = hop_limit_next(pipeline_received_hop_limit(rx, train), copies);
	return *hop_limit ? DROP_NONE : DROP_HOP_LIMIT;
}

/* A peer can send a datagram back from a new port each time, so a forward identifies its peers by their hosts. */
static enum ring_direction pipeline_direction(const struct pipeline *pipeline, const struct train *train)
{
	for (size_t i = 0; pipeline->action->copies_to_peers && i < pipeline->peer_count; i++) {
		if (address_same_host(&pipeline->peers[i].socket->address, &train->source))
			return RING_FROM_PEER_HOST;
	}
	return RING_FROM_CLIENT;
}

/* The guard: drops the train, or some of its datagrams, under a reason. */
static void pipeline_guard(struct pipeline *pipeline, const struct rx_context *rx, struct train *train)
{
	train->drop = access_check(pipeline->config, pipeline->own, &train->source).reason;
	if (train->drop)
		return;
	if (pipeline->source_limit &&
	    !source_limit_take(pipeline->source_limit, &train->source, train->count, rx->now_ms) &&
	    !source_limit_sample(pipeline->source_limit, &pipeline->source_limit_sampler)) {
		train->drop = DROP_SOURCE_LIMIT;
		return;
	}
	train_limit_size(train, pipeline->config->max_datagram);
	if (!train->drop && pipeline->delivery.ring_guard)
		delivery_check_ring(&pipeline->delivery, &train->source, pipeline_direction(pipeline, train), train,
				    rx->now_ms);
}

void pipeline_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *trains, unsigned count)
{
	pipeline->delivery.arena->used = 0;
	if (pipeline->action->begin)
		pipeline->action->begin(pipeline, rx);
	for (unsigned i = 0; i < count; i++) {
		struct train *train = &trains[i];

		if (!train->drop)
			pipeline_guard(pipeline, rx, train);
		if (!train->drop)
			train->drop = pipeline->action->submit(pipeline, rx, train, i);
	}
}

/* --- After the flush --- */

static void pipeline_record(struct pipeline *pipeline, const struct rx_context *rx, const struct outcome *outcome,
			    const struct train *train)
{
	struct address destination = train->local ? train->local->destination : *rx->local;
	struct datagram_record record = {.time_us = rx->time_us,
					 .listener = pipeline->config,
					 .source = &train->source,
					 .destination = &destination,
					 .peer = outcome->peer,
					 .copies = (uint16_t)pipeline->peer_count};

	address_set_port(&destination, address_port(rx->local));
	delivery_record(&pipeline->delivery, &record, pipeline->action->verdict, outcome, train);
}

void pipeline_complete(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
		       unsigned count)
{
	const struct action *action = pipeline->action;
	struct listener_counters *counters = pipeline->counters;
	counter *delivered = (counter *)((char *)counters + action->counter);
	struct outcome outcome;

	for (unsigned i = 0; i < count; i++) {
		const struct train *train = &trains[i];

		if (train->ignored)
			continue;
		outcome_init(&outcome, train);
		if (!train->drop)
			action->collect(pipeline, rx, train, i, &outcome);
		counter_add(&counters->received, train->count);
		counter_add(&counters->received_bytes, train->size);
		counter_add(delivered, outcome_count_sent(&outcome, train->count, counters->dropped));
		if (pipeline->delivery.ring)
			pipeline_record(pipeline, rx, &outcome, train);
	}
	tx_batch_clear(pipeline->delivery.tx_batch);
	if (action->finish)
		action->finish(pipeline, rx, trains, count);
	if (pipeline->delivery.ring)
		record_ring_wake(pipeline->delivery.ring);
}

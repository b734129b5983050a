#include "datapath/pipeline.h"

#include <errno.h>
#include <stdlib.h>

#include "guard/access.h"

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

/* --- Before the flush --- */

static bool pipeline_is_from_peer(const struct pipeline *pipeline, const struct train *train)
{
	for (size_t i = 0; i < pipeline->peer_count; i++) {
		if (address_same_host(&pipeline->peers[i].socket->address, &train->source))
			return true;
	}
	return false;
}

static void pipeline_log_ring(struct pipeline *pipeline, const struct train *train)
{
	char source[ADDRESS_TEXT_MAX];

	log_write_limited(pipeline->log, &pipeline->ring_log_limit, LOG_LEVEL_WARNING,
			  "listener %s: %s %s: that is dropped (ring); where it is meant, write ring_guard = off",
			  pipeline->config->name, address_format(&train->source, source),
			  pipeline->action->ring_warning);
}

/* The guard: returns the reason to drop the train, or DROP_NONE. */
static enum drop_reason pipeline_guard(struct pipeline *pipeline, struct train *train, uint64_t now_ms)
{
	enum drop_reason reason = access_check(pipeline->config, pipeline->own, &train->source).reason;

	if (reason)
		return reason;
	if (pipeline->source_limit &&
	    !source_limit_take(pipeline->source_limit, &train->source, train->count, now_ms) &&
	    !source_limit_sample(pipeline->source_limit, &pipeline->source_limit_sampler))
		return DROP_SOURCE_LIMIT;
	train_limit_size(train, pipeline->config->max_datagram);
	if (train->drop)
		return train->drop;
	if (pipeline->ring_guard && !ring_guard_admits(pipeline->ring_guard, &pipeline->ring_guard_sampler, train,
						       pipeline_is_from_peer(pipeline, train), now_ms)) {
		pipeline_log_ring(pipeline, train);
		return DROP_RING;
	}
	return DROP_NONE;
}

void pipeline_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *trains, unsigned count)
{
	pipeline->delivery.arena->used = 0;
	if (pipeline->action->begin)
		pipeline->action->begin(pipeline, rx);
	for (unsigned i = 0; i < count; i++) {
		struct train *train = &trains[i];

		if (!train->drop)
			train->drop = pipeline_guard(pipeline, train, rx->now_ms);
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

#include "datapath/actions.h"

#include "datapath/pipeline.h"

/* --- Sink: takes the datagram and sends nothing --- */

static enum drop_reason sink_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *train,
				    unsigned i)
{
	(void)pipeline, (void)rx, (void)train, (void)i;
	return DROP_NONE;
}

static void sink_collect(struct pipeline *pipeline, const struct rx_context *rx, const struct train *train, unsigned i,
			 struct outcome *outcome)
{
	(void)pipeline, (void)rx, (void)i;
	for (uint32_t d = train->skip; d < train->end; d++)
		outcome->sent[d] = 1;
}

static const struct action action_sink = {
	.verdict = VERDICT_SUNK,
	.counter = offsetof(struct listener_counters, sunk),
	.submit = sink_submit,
	.collect = sink_collect,
};

/* --- Echo: sends the datagram back to its sender --- */

static enum drop_reason echo_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *train,
				    unsigned i)
{
	const struct address *from = train->local ? &train->local->reply_source : NULL;
	struct delivery delivery = {.destination = {.socket = rx->tx, .to = &train->source, .from = from}};

	pipeline->chunks[i] = delivery_enqueue(&pipeline->delivery, &delivery, train);
	return DROP_NONE;
}

static void echo_collect(struct pipeline *pipeline, const struct rx_context *rx, const struct train *train, unsigned i,
			 struct outcome *outcome)
{
	outcome_collect(outcome, train, pipeline->chunks[i], rx->tx, NULL);
}

static const struct action action_echo = {
	.verdict = VERDICT_ECHOED,
	.counter = offsetof(struct listener_counters, echoed),
	.submit = echo_submit,
	.collect = echo_collect,
};

/* --- Forward: sends a copy to every peer --- */

/* Each delivery adds its chunks behind those of the peer before, so chunks[i] leads to all of them. */
static enum drop_reason forward_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *train,
				       unsigned i)
{
	uint8_t hop_limit;
	enum drop_reason reason = pipeline_hop_limit(pipeline, rx, train, pipeline->peer_count, &hop_limit);

	if (reason)
		return reason;
	pipeline->chunks[i] = NULL;
	for (size_t p = 0; p < pipeline->peer_count; p++) {
		struct pipeline_peer *peer = &pipeline->peers[p];
		struct delivery delivery = {.destination = {.socket = &peer->socket->tx, .hop_limit = hop_limit},
					    .converter = peer->converter};
		enum drop_reason down = peer_socket_ensure_open(peer->socket, rx->now_ms);
		struct tx_chunk *chunk;

		if (address_is_multicast(&peer->socket->address))
			delivery.destination.hop_limit = 0; /* IP_MULTICAST_TTL limits the scope */
		chunk = down ? delivery_enqueue_dropped(&pipeline->delivery, train, down)
			     : delivery_enqueue(&pipeline->delivery, &delivery, train);

		if (!pipeline->chunks[i])
			pipeline->chunks[i] = chunk;
	}
	return DROP_NONE;
}

static void forward_collect(struct pipeline *pipeline, const struct rx_context *rx, const struct train *train,
			    unsigned i, struct outcome *outcome)
{
	const struct tx_chunk *chunk = pipeline->chunks[i];

	(void)rx;
	for (size_t p = 0; p < pipeline->peer_count; p++) {
		struct peer_socket *socket = pipeline->peers[p].socket;

		chunk = outcome_collect(outcome, train, chunk, &socket->tx, &socket->counters);
	}
}

static void forward_finish(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
			   unsigned count)
{
	(void)rx, (void)trains, (void)count;
	for (size_t p = 0; p < pipeline->peer_count; p++)
		peer_socket_collect_icmp(pipeline->peers[p].socket);
}

static const struct action action_forward = {
	.verdict = VERDICT_FORWARDED,
	.counter = offsetof(struct listener_counters, forwarded),
	.copies_to_peers = true,
	.submit = forward_submit,
	.collect = forward_collect,
	.finish = forward_finish,
};

const struct action *action_of(enum action_kind kind)
{
	static const struct action *const actions[ACTIONS] = {
		[ACTION_SINK] = &action_sink, [ACTION_ECHO] = &action_echo, [ACTION_FORWARD] = &action_forward};

	return actions[kind];
}

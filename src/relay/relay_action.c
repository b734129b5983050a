#include "relay/relay_action.h"

#include "datapath/pipeline.h"
#include "relay/relay.h"

static void relay_action_begin(struct pipeline *pipeline, const struct rx_context *rx)
{
	relay_refresh_endpoints(pipeline->action_state, rx->now_ms);
}

/* A reply leaves from the address that the client used. A socket that is bound to a wildcard must name this address. */
static struct relay_client relay_client_of(const struct rx_context *rx, const struct train *train,
					   struct address *local)
{
	struct relay_client client = {.client = &train->source, .local = rx->local, .tx = rx->tx};

	if (!train->local || !train->local->reply_source.length)
		return client;
	*local = train->local->reply_source;
	address_set_port(local, address_port(rx->local));
	client.local = local;
	client.set_source_address = true;
	return client;
}

static enum drop_reason relay_action_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *train,
					    unsigned i)
{
	struct relay *relay = pipeline->action_state;
	struct address local;
	struct relay_client client = relay_client_of(rx, train, &local);
	struct session *session;
	uint8_t hop_limit;
	enum drop_reason reason = pipeline_hop_limit(pipeline, rx, train, 1, &hop_limit);

	if (!reason)
		reason = relay_lookup_or_open(relay, &client, rx->now_ms, &session);
	if (reason)
		return reason;
	struct delivery delivery = {.destination = {.socket = &session->tx, .hop_limit = hop_limit},
				    .converter = pipeline->peers[session->endpoint_ref->peer].converter};

	relay->batch_sessions[i] = session;
	pipeline->chunks[i] = delivery_enqueue(&pipeline->delivery, &delivery, train);
	return DROP_NONE;
}

static void relay_action_collect(struct pipeline *pipeline, const struct rx_context *rx, const struct train *train,
				 unsigned i, struct outcome *outcome)
{
	struct relay *relay = pipeline->action_state;
	struct session *session = relay->batch_sessions[i];
	struct peer_socket *peer = pipeline->peers[session->endpoint_ref->peer].socket;

	(void)rx;
	outcome_collect(outcome, train, pipeline->chunks[i], &session->tx, &peer->counters);
	outcome->peer = peer->config;
	relay_count_sent(relay, session, outcome->total_sent);
}

/* Sessions end only here, because chunks and trains of the batch refer to them until now. */
static void relay_action_finish(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
				unsigned count)
{
	struct relay *relay = pipeline->action_state;

	for (unsigned i = 0; i < count; i++) {
		if (!trains[i].drop)
			relay_finish_batch(relay, relay->batch_sessions[i], rx->now_ms);
	}
}

const struct action relay_action = {
	.verdict = VERDICT_RELAYED,
	.counter = offsetof(struct listener_counters, relayed),
	.short_turns = true,
	.begin = relay_action_begin,
	.submit = relay_action_submit,
	.collect = relay_action_collect,
	.finish = relay_action_finish,
};

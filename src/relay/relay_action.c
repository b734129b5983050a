#include "relay/relay_action.h"

#include "datapath/pipeline.h"
#include "relay/relay.h"

static void relay_action_begin(struct pipeline *route, const struct rx_context *arrival)
{
	relay_refresh_endpoints(route->action_state, arrival->now_ms);
}

/* Answers leave from the address that the client wrote to; a wildcard socket has to name it. */
static struct relay_client client_of(const struct rx_context *arrival, const struct train *train, struct address *local)
{
	struct relay_client client = {.client = &train->source, .local = arrival->local, .back = arrival->outlet};

	if (!train->local || !train->local->reply_source.length)
		return client;
	*local = train->local->reply_source;
	address_set_port(local, address_port(arrival->local));
	client.local = local;
	client.set_source_address = true;
	return client;
}

static enum drop_reason relay_action_submit(struct pipeline *route, const struct rx_context *arrival,
					    struct train *train, unsigned i)
{
	struct relay *relay = route->action_state;
	struct address local;
	struct relay_client client = client_of(arrival, train, &local);
	enum drop_reason drop = relay_lookup_or_open(relay, &client, arrival->now_ms, &relay->batch[i]);
	struct delivery way;

	if (drop)
		return drop;
	way = (struct delivery){.outlet = &relay->batch[i]->outlet,
				.converter = route->peers[relay->batch[i]->member->peer].converter};
	route->copies[i] = delivery_enqueue(&route->carrier, &way, train);
	return DROP_NONE;
}

static void relay_action_collect(struct pipeline *route, const struct train *train, unsigned i, struct outcome *outcome)
{
	struct relay *relay = route->action_state;
	struct session *session = relay->batch[i];
	struct peer_socket *link = route->peers[session->member->peer].link;

	outcome_collect(outcome, train, route->copies[i], link);
	outcome->peer = link->config;
	relay_count_sent(relay, session, outcome->total);
}

/* Sessions end only now that nothing of the batch, nor the egress, looks at them any more. */
static void relay_action_finish(struct pipeline *route, const struct rx_context *arrival, const struct train *trains,
				unsigned count)
{
	struct relay *relay = route->action_state;

	for (unsigned i = 0; i < count; i++) {
		if (!trains[i].drop)
			relay_finish_batch(relay, relay->batch[i], arrival->now_ms);
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

#include "datapath/actions.h"

#include "datapath/pipeline.h"

/* --- Sink --- */

static enum drop_reason sink_submit(struct pipeline *route, const struct rx_context *arrival, struct train *train,
				    unsigned i)
{
	(void)route, (void)arrival, (void)train, (void)i;
	return DROP_NONE;
}

static void sink_collect(struct pipeline *route, const struct train *train, unsigned i, struct outcome *outcome)
{
	(void)route, (void)i;
	for (uint32_t at = train->skip; at < train->count; at++)
		outcome->sent[at] = 1;
}

static const struct action sink = {
	.verdict = VERDICT_SUNK,
	.counter = offsetof(struct listener_counters, sunk),
	.submit = sink_submit,
	.collect = sink_collect,
};

/* --- Echo --- */

static enum drop_reason echo_submit(struct pipeline *route, const struct rx_context *arrival, struct train *train,
				    unsigned i)
{
	struct delivery way = {.outlet = arrival->outlet,
			       .to = &train->source,
			       .from = train->local ? &train->local->reply_source : NULL};

	route->copies[i] = delivery_enqueue(&route->carrier, &way, train);
	return DROP_NONE;
}

static void echo_collect(struct pipeline *route, const struct train *train, unsigned i, struct outcome *outcome)
{
	outcome_collect(outcome, train, route->copies[i], NULL);
}

static const struct action echo = {
	.verdict = VERDICT_ECHOED,
	.counter = offsetof(struct listener_counters, echoed),
	.ring_warning = "repeats one payload without end, as another echo would",
	.submit = echo_submit,
	.collect = echo_collect,
};

/* --- Forward --- */

static struct tx_chunk *forward_to(struct pipeline *route, const struct pipeline_peer *peer, const struct train *train,
				   uint64_t now_ms)
{
	enum drop_reason down = peer_socket_ensure_open(peer->link, now_ms);
	struct delivery way = {.outlet = &peer->link->outlet, .converter = peer->converter};

	return down ? delivery_enqueue_dropped(&route->carrier, train, down)
		    : delivery_enqueue(&route->carrier, &way, train);
}

/* The copies for the peers follow each other, in the order of the peers. */
static enum drop_reason forward_submit(struct pipeline *route, const struct rx_context *arrival, struct train *train,
				       unsigned i)
{
	route->copies[i] = forward_to(route, &route->peers[0], train, arrival->now_ms);
	for (size_t p = 1; p < route->peer_count; p++)
		forward_to(route, &route->peers[p], train, arrival->now_ms);
	return DROP_NONE;
}

static void forward_collect(struct pipeline *route, const struct train *train, unsigned i, struct outcome *outcome)
{
	const struct tx_chunk *copy = route->copies[i];

	for (size_t p = 0; p < route->peer_count; p++)
		copy = outcome_collect(outcome, train, copy, route->peers[p].link);
}

static void forward_finish(struct pipeline *route, const struct rx_context *arrival, const struct train *trains,
			   unsigned count)
{
	(void)arrival, (void)trains, (void)count;
	for (size_t p = 0; p < route->peer_count; p++)
		peer_socket_collect_icmp(route->peers[p].link);
}

static const struct action forward = {
	.verdict = VERDICT_FORWARDED,
	.counter = offsetof(struct listener_counters, forwarded),
	.ring_warning = "sends back what others sent, as a ring of hosts would",
	.copies_to_peers = true,
	.submit = forward_submit,
	.collect = forward_collect,
	.finish = forward_finish,
};

const struct action *action_of(enum action_kind kind)
{
	static const struct action *const actions[ACTIONS] = {
		[ACTION_SINK] = &sink, [ACTION_ECHO] = &echo, [ACTION_FORWARD] = &forward};

	return actions[kind];
}

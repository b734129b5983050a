#include "route.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* What conversion may make of a train: a byte that cannot be said becomes \xNN, in UTF-32 sixteen bytes; and a byte
 * order mark for each datagram. */
#define CONVERSION_EXPANSION 16
#define CONVERSION_MARKS (TRAIN_MAX * 4)

int arena_create(struct arena *arena, size_t peers)
{
	size_t train = (size_t)BATCH_SLOT_SIZE * CONVERSION_EXPANSION + CONVERSION_MARKS;

	*arena = (struct arena){.size = peers * ROUTE_CONVERTED_TRAINS * train};
	if (!arena->size)
		return 0;
	arena->bytes =
		mmap(NULL, arena->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena->bytes != MAP_FAILED)
		return 0;
	*arena = (struct arena){0};
	return -ENOMEM;
}

void arena_destroy(struct arena *arena)
{
	if (arena->bytes)
		munmap(arena->bytes, arena->size);
}

static int route_peer_init(struct route *route, const struct peer_config *peer, struct link *links)
{
	const struct listener_config *config = route->config;
	struct route_peer *to = &route->peers[route->peer_count++];

	to->link = &links[peer->index];
	if (!peer->encoding)
		return 0;
	route->converts = true;
	return converter_create(&to->converter, config->encodings, config->encoding_count, peer->encoding,
				config->errors, CONFIG_DATAGRAM_MAX);
}

int route_init(struct route *route, const struct listener_config *config, struct link *links)
{
	*route = (struct route){.config = config};
	route->peers = calloc(config->peer_count + 1, sizeof(*route->peers));
	if (!route->peers)
		return -ENOMEM;
	for (size_t i = 0; i < config->peer_count; i++) {
		int error = route_peer_init(route, config->peers[i], links);

		if (error) {
			route_finish(route);
			return error;
		}
	}
	return 0;
}

void route_finish(struct route *route)
{
	for (size_t i = 0; i < route->peer_count; i++)
		converter_destroy(route->peers[i].converter);
	free(route->peers);
	route->peers = NULL;
	route->peer_count = 0;
}

unsigned route_batch_limit(const struct route *route)
{
	return route->converts ? ROUTE_CONVERTED_TRAINS : BATCH_TRAINS;
}

size_t route_copies_max(const struct route *route)
{
	size_t ways = route->config->action == ACTION_FORWARD ? route->peer_count : 1;
	size_t copies = route->converts ? TRAIN_MAX : TRAIN_MAX / COPY_DATAGRAMS;

	return ways * copies * route_batch_limit(route);
}

/* --- Towards the flush --- */

/* Larger datagrams than the listener takes: all of a train but, perhaps, its last. */
static void limit_size(struct train *train, uint32_t max)
{
	train->skip = 0;
	if (train->segment <= max)
		return;
	if (train_datagram_size(train, train->count - 1u) <= max)
		train->skip = (uint16_t)(train->count - 1);
	else
		train->drop = DROP_TOO_LARGE;
}

/* The first copy that an egress makes of a train is remembered; the others follow it. */
static struct copy *add(struct route *route, struct outlet *outlet, const struct address *to,
			const struct address *from, const struct train *train)
{
	uint32_t skipped = train->skip * train->segment;
	struct copy *first;

	egress_add(route->egress, outlet, to, from, train->data + skipped, train->size - skipped, train->segment,
		   (uint32_t)(train->count - train->skip), &first);
	return first;
}

static struct copy *add_failed(struct route *route, const struct train *train, enum drop_reason reason)
{
	uint32_t skipped = train->skip * train->segment;
	struct copy *first;

	egress_add_failed(route->egress, train->data + skipped, train->size - skipped, train->segment,
			  (uint32_t)(train->count - train->skip), reason, &first);
	return first;
}

static struct copy *convert_datagram(struct route *route, const struct route_peer *peer, const uint8_t *data,
				     uint32_t size)
{
	struct arena *arena = route->arena;
	size_t room = arena->size - arena->used;
	uint8_t *out = arena->bytes + arena->used;
	ssize_t made = converter_run(peer->converter, data, size, out,
				     room < CONFIG_DATAGRAM_MAX ? room : CONFIG_DATAGRAM_MAX);
	struct copy *copy;

	if (made < 0) {
		egress_add_failed(route->egress, data, size, size, 1,
				  made == -EILSEQ ? DROP_UNCONVERTIBLE : DROP_TOO_LARGE, &copy);
		return copy;
	}
	arena->used += (size_t)made;
	egress_add(route->egress, &peer->link->outlet, NULL, NULL, out, (uint32_t)made, (uint32_t)made, 1, &copy);
	return copy;
}

static struct copy *convert(struct route *route, const struct route_peer *peer, const struct train *train)
{
	struct copy *first = NULL;

	for (uint32_t i = train->skip; i < train->count; i++) {
		struct copy *copy = convert_datagram(route, peer, train->data + (size_t)i * train->segment,
						     train_datagram_size(train, i));
		if (!first)
			first = copy;
	}
	return first;
}

static struct copy *forward_to(struct route *route, const struct route_peer *peer, const struct train *train,
			       uint64_t now_ms)
{
	enum drop_reason down = link_ready(peer->link, now_ms);

	if (down)
		return add_failed(route, train, down);
	if (peer->converter)
		return convert(route, peer, train);
	return add(route, &peer->link->outlet, NULL, NULL, train);
}

static struct copy *forward(struct route *route, const struct train *train, uint64_t now_ms)
{
	struct copy *first = forward_to(route, &route->peers[0], train, now_ms);

	for (size_t i = 1; i < route->peer_count; i++)
		forward_to(route, &route->peers[i], train, now_ms);
	return first;
}

void route_begin(struct route *route, const struct arrival *arrival, struct train *trains, unsigned count)
{
	route->arena->used = 0;
	for (unsigned i = 0; i < count; i++) {
		struct train *train = &trains[i];

		if (!train->drop)
			train->drop = guard_check(route->config, route->own, train);
		if (!train->drop)
			limit_size(train, route->config->max_datagram);
		if (train->drop)
			continue;
		if (route->config->action == ACTION_ECHO)
			route->copies[i] = add(route, arrival->outlet, &train->source,
					       train->local ? &train->local->reply_from : NULL, train);
		else if (route->config->action == ACTION_FORWARD)
			route->copies[i] = forward(route, train, arrival->now_ms);
	}
}

/* --- After the flush --- */

/* What became of each datagram of a train. */
struct outcome {
	uint16_t sent[TRAIN_MAX]; /* copies that were handed to the kernel */
	uint8_t reason[TRAIN_MAX]; /* enum drop_reason, of a copy that was not */
};

/* Reads the copies of one way, which cover the train's datagrams from skip on. Returns the copy after them. */
static const struct copy *read_way(struct outcome *outcome, const struct train *train, const struct copy *copy,
				   struct link *link)
{
	for (uint32_t at = train->skip; at < train->count; at += copy->count, copy++) {
		if (link)
			link_account(link, copy);
		for (uint32_t i = 0; i < copy->count; i++) {
			if (copy_failed(copy, i))
				outcome->reason[at + i] = (uint8_t)copy->reason;
			else
				outcome->sent[at + i]++;
		}
	}
	return copy;
}

static void read_outcome(struct route *route, struct outcome *outcome, const struct train *train,
			 const struct copy *copy)
{
	memset(outcome->sent, 0, train->count * sizeof(outcome->sent[0]));
	memset(outcome->reason, train->drop ? train->drop : DROP_TOO_LARGE, train->count);
	if (train->drop)
		return;
	switch (route->config->action) {
	case ACTION_SINK:
		for (uint32_t i = train->skip; i < train->count; i++)
			outcome->sent[i] = 1;
		break;
	case ACTION_ECHO:
		read_way(outcome, train, copy, NULL);
		break;
	case ACTION_FORWARD:
		for (size_t i = 0; i < route->peer_count; i++)
			copy = read_way(outcome, train, copy, route->peers[i].link);
		break;
	}
}

static void account(struct route *route, const struct outcome *outcome, const struct train *train)
{
	struct listener_counters *counters = route->counters;
	counter *const taken[] = {[ACTION_SINK] = &counters->sunk,
				  [ACTION_ECHO] = &counters->echoed,
				  [ACTION_FORWARD] = &counters->forwarded};
	uint32_t sent = 0;

	for (uint32_t i = 0; i < train->count; i++) {
		if (outcome->sent[i])
			sent++;
		else
			counter_add(&counters->dropped[outcome->reason[i]], 1);
	}
	counter_add(&counters->received, train->count);
	counter_add(&counters->received_bytes, train->size);
	counter_add(taken[route->config->action], sent);
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

static void record(struct route *route, const struct arrival *arrival, const struct outcome *outcome,
		   const struct train *train)
{
	static const enum verdict verdicts[] = {
		[ACTION_SINK] = VERDICT_SUNK, [ACTION_ECHO] = VERDICT_ECHOED, [ACTION_FORWARD] = VERDICT_FORWARDED};
	struct address destination = train->local ? train->local->written_to : *arrival->local;
	struct datagram_record r = {.time_us = arrival->time_us,
				    .listener = route->config,
				    .source = &train->source,
				    .destination = &destination,
				    .copies = (uint16_t)route->peer_count};

	address_set_port(&destination, address_port(arrival->local));
	for (uint32_t i = 0; i < train->count; i++) {
		if (!wants_record(route))
			continue;
		r.payload = train->data + (size_t)i * train->segment;
		r.size = train_datagram_size(train, i);
		r.sent = outcome->sent[i];
		r.reason = outcome->reason[i];
		r.verdict = r.sent ? verdicts[route->config->action] : VERDICT_DROPPED;
		datagram_ring_push(route->ring, &r);
	}
}

void route_end(struct route *route, const struct arrival *arrival, const struct train *trains, unsigned count)
{
	struct outcome outcome;

	for (unsigned i = 0; i < count; i++) {
		read_outcome(route, &outcome, &trains[i], route->copies[i]);
		account(route, &outcome, &trains[i]);
		if (route->ring)
			record(route, arrival, &outcome, &trains[i]);
	}
	for (size_t i = 0; i < route->peer_count; i++)
		link_settle(route->peers[i].link);
	egress_reset(route->egress);
	if (route->ring)
		datagram_ring_wake(route->ring);
}

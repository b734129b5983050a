/* What happens to the datagrams of a listener: guard, action, flush, account, record. */
#ifndef UDPRELAYD_ROUTE_H
#define UDPRELAYD_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "batch.h"
#include "config.h"
#include "converter.h"
#include "datagram_ring.h"
#include "egress.h"
#include "guard.h"
#include "link.h"
#include "log.h"
#include "metrics.h"
#include "relay.h"
#include "ring_guard.h"
#include "source_limit.h"
#include "way.h"

/* A peer of the listener, with converters where it has an encoding. */
struct route_peer {
	struct link *link;
	struct converter *converter; /* to it */
	struct converter *answer_converter; /* from it, in a relay */
};

/* A listener's route on one worker. What it points at is borrowed, but for peers and their converters. */
struct route {
	const struct listener_config *config;
	const struct own_addresses *own;
	struct source_limit *source_limit; /* NULL: none */
	struct source_draw source_draw;
	struct ring_guard *ring_guard; /* NULL: none */
	struct ring_draw ring_draw;
	struct log *log;
	struct log_limit ring_limit;
	struct carrier carrier;
	struct listener_counters *counters;
	struct relay *relay; /* of ACTION_RELAY */
	struct datagram_ring *ring; /* NULL: no records */
	uint32_t until_record; /* datagrams, for log = 1/N */
	struct route_peer *peers;
	size_t peer_count;
	bool converts;

	/* Of each train of the batch under way. */
	struct copy *copies[BATCH_TRAINS]; /* the first */
	struct session *sessions[BATCH_TRAINS]; /* of a relay */
};

/* links: one for each peer of the configuration, by its index. Returns 0 or -ENOMEM. */
int route_init(struct route *route, const struct listener_config *config, struct link *links);
void route_finish(struct route *route);

/* Trains to receive at most at once. */
unsigned route_batch_limit(const struct route *route);

/* Copies that a batch of this listener may need in the egress. */
size_t route_copies_max(const struct route *route);

/* Where the datagrams of one turn came in. */
struct arrival {
	struct outlet *outlet; /* of the receiving socket, for echoes and answers */
	const struct address *local; /* what it is bound to */
	uint64_t time_us; /* since 1970, UTC; for the records */
	uint64_t now_ms; /* monotonic */
};

/* Guard and action for each train: drops it, or puts its copies into the egress. */
void route_begin(struct route *route, const struct arrival *arrival, struct train *trains, unsigned count);

/* After the flush: counts what became of each datagram, records it, and empties the egress. */
void route_end(struct route *route, const struct arrival *arrival, const struct train *trains, unsigned count);

/* The part of route_end() that answers have, too: records the train's datagrams that log = 1/N wants; record has what
 * they share, verdict the one of those that were sent. */
void route_record(struct route *route, struct datagram_record *record, enum verdict verdict,
		  const struct outcome *outcome, const struct train *train);

#endif

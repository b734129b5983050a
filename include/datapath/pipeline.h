/* What happens to the datagrams of a listener: guard, action, flush, account, record. */
#ifndef UDPRELAYD_DATAPATH_PIPELINE_H
#define UDPRELAYD_DATAPATH_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"
#include "config/config.h"
#include "datapath/actions.h"
#include "datapath/counters.h"
#include "datapath/delivery.h"
#include "datapath/peer_socket.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "guard/access.h"
#include "guard/ring_guard.h"
#include "guard/source_limit.h"
#include "text/converter.h"

/* A peer of the listener. */
struct pipeline_peer {
	struct peer_socket *link;
	struct converter *converter; /* of what goes to it; NULL where it has no encoding */
};

/* A listener's route on one worker. What it points at is borrowed, but for peers and their converters. */
struct pipeline {
	const struct action *action;
	void *action_state; /* a relay's; NULL for the actions of this layer */
	const struct listener_config *config;
	const struct own_addresses *own;
	struct source_limit *source_limit; /* NULL: none */
	struct source_limit_sampler source_limit_sampler;
	struct ring_guard *ring_guard; /* NULL: none */
	struct ring_guard_sampler ring_guard_sampler;
	struct log *log;
	struct log_limit ring_limit;
	struct delivery_context carrier;
	struct listener_counters *counters;
	struct pipeline_peer *peers;
	size_t peer_count;

	struct tx_chunk *copies[RX_BATCH_TRAINS]; /* the first of each train of the batch under way */
};

/* links: one for each peer of the configuration, by its index. Returns 0 or -ENOMEM. */
int pipeline_init(struct pipeline *route, const struct action *action, const struct listener_config *config,
		  struct peer_socket *links);
void pipeline_finish(struct pipeline *route);

/* Copies that a batch of this listener may need in the egress. */
size_t pipeline_chunks_max(const struct pipeline *route);

/* Where the datagrams of one turn came in. */
struct rx_context {
	struct tx_socket *outlet; /* of the receiving socket, for echoes and answers */
	const struct address *local; /* what it is bound to */
	uint64_t time_us; /* since 1970, UTC; for the records */
	uint64_t now_ms; /* monotonic */
};

/* Guard and action for each train: drops it, or puts its copies into the egress. */
void pipeline_submit(struct pipeline *route, const struct rx_context *arrival, struct train *trains, unsigned count);

/* After the flush: counts what became of each datagram, records it, and empties the egress. */
void pipeline_complete(struct pipeline *route, const struct rx_context *arrival, const struct train *trains,
		       unsigned count);

#endif

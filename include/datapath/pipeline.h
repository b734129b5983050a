/* The pipeline of one listener on one worker: the guard decides about each train, the action queues it, and after the
 * flush each datagram is counted and recorded. Every received datagram is counted either as delivered or under one drop
 * reason.
 *
 * A worker creates one pipeline for each listener; all pipelines of a worker share the transmit batch and the arena. */
#ifndef UDPRELAYD_DATAPATH_PIPELINE_H
#define UDPRELAYD_DATAPATH_PIPELINE_H

#include <stdint.h>

#include "config/config.h"
#include "datapath/actions.h"
#include "datapath/counters.h"
#include "datapath/delivery.h"
#include "datapath/peer_socket.h"
#include "datapath/rx_batch.h"
#include "guard/source_limit.h"
#include "net/own_addresses.h"
#include "text/converter.h"

/* A peer of the listener. */
struct pipeline_peer {
	struct peer_socket *socket;
	struct converter *converter; /* for datagrams to the peer; NULL: it has no encoding */
};

/* The pointers are borrowed, except peers and their converters. */
struct pipeline {
	const struct action *action;
	void *action_state; /* the struct relay of a relay; NULL for the actions of this folder */
	const struct listener_config *config;
	const struct own_addresses *own;
	struct source_limit *source_limit; /* NULL: none */
	struct source_limit_sampler source_limit_sampler;
	struct delivery_context delivery;
	struct listener_counters *counters;
	struct pipeline_peer *peers;
	size_t peer_count;

	struct tx_chunk *chunks[RX_BATCH_TRAINS]; /* the first chunk of each train of the current batch */
};

/* sockets: one for each peer of the configuration, by its index. Returns 0 or -ENOMEM. */
int pipeline_init(struct pipeline *pipeline, const struct action *action, const struct listener_config *config,
		  struct peer_socket *sockets);
void pipeline_finish(struct pipeline *pipeline);

/* Returns the number of chunks that a batch of this listener can occupy in the transmit batch. */
size_t pipeline_chunks_max(const struct pipeline *pipeline);

/* The same for flows. */
size_t pipeline_flows_max(const struct pipeline *pipeline);

/* How a batch was received. */
struct rx_context {
	struct tx_socket *tx; /* the receiving socket, to send replies through */
	const struct address *local; /* address of the receiving socket */
	uint64_t time_us; /* since 1970, UTC; for the records */
	uint64_t now_ms; /* monotonic */
};

/* Sets *hop_limit to the hop limit of copies of this train; 0: the default of the socket. Returns DROP_NONE, or
 * DROP_HOP_LIMIT if the train must not be sent on. copies: as in hop_limit_next(). */
enum drop_reason pipeline_hop_limit(const struct pipeline *pipeline, const struct rx_context *rx,
				    const struct train *train, size_t copies, uint8_t *hop_limit);

/* Drops each train with a reason, or queues it in the transmit batch. */
void pipeline_submit(struct pipeline *pipeline, const struct rx_context *rx, struct train *trains, unsigned count);

/* Call it after the flush, with the same batch. Counts and records what happened to each datagram, and empties the
 * transmit batch. */
void pipeline_complete(struct pipeline *pipeline, const struct rx_context *rx, const struct train *trains,
		       unsigned count);

#endif

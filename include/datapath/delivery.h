/* A train on one way: its copies go into the egress, converted where the receiver wants another charset, and after the
 * flush they tell what became of each datagram. */
#ifndef UDPRELAYD_DATAPATH_DELIVERY_H
#define UDPRELAYD_DATAPATH_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"
#include "datagram_log/record_ring.h"
#include "datapath/counters.h"
#include "datapath/peer_socket.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "text/converter.h"

/* Trains of a batch whose payloads have to be converted: their results wait for the flush in memory of their own. */
#define DELIVERY_CONVERTED_TRAINS 8

/* Copies that a train needs in the egress on one way. */
#define DELIVERY_CHUNKS (TRAIN_MAX / TX_CHUNK_DATAGRAMS)
#define DELIVERY_CONVERTED_CHUNKS TRAIN_MAX

/* Where the conversions of a batch go; one for a worker, for the most converting ways that a train may take. */
struct arena {
	uint8_t *bytes;
	size_t size, used;
};

/* Returns 0 or -ENOMEM. */
int arena_create(struct arena *arena, size_t ways);
void arena_destroy(struct arena *arena);

/* What the deliveries of one listener on one worker share. Everything that it points at is borrowed. */
struct delivery_context {
	const struct listener_config *config;
	struct tx_batch *egress;
	struct arena *arena;
	bool converts; /* some destination wants another charset */
	struct record_ring *ring; /* NULL: no records */
	uint32_t unrecorded; /* datagrams that log = 1/N passes over before the next record */
};

/* Trains to receive at most at once. */
static inline unsigned delivery_batch_limit(const struct delivery_context *carrier)
{
	return carrier->converts ? DELIVERY_CONVERTED_TRAINS : RX_BATCH_TRAINS;
}

/* Begins a batch: the conversions of the last one are gone. */
static inline void delivery_begin_batch(struct delivery_context *carrier)
{
	carrier->arena->used = 0;
}

struct delivery {
	struct tx_socket *outlet;
	const struct address *to, *from; /* as tx_batch_add() takes them */
	struct converter *converter; /* NULL: the bytes pass untouched */
};

/* Converts one datagram to at most room bytes at out, and no more than UDP carries. Returns DROP_NONE and the bytes
 * made, or why it cannot go this way. */
enum drop_reason delivery_convert(struct converter *converter, const void *data, size_t size, uint8_t *out, size_t room,
				  size_t *made);

/* Puts the train's datagrams, from skip on, into the egress. Returns the first copy; the others follow it. */
struct tx_chunk *delivery_enqueue(struct delivery_context *carrier, const struct delivery *way,
				  const struct train *train);

/* The same for datagrams that cannot go this way now, and why. */
struct tx_chunk *delivery_enqueue_dropped(struct delivery_context *carrier, const struct train *train,
					  enum drop_reason reason);

/* What became of each datagram of a train. */
struct outcome {
	uint16_t sent[TRAIN_MAX]; /* copies that were submitted to the kernel */
	uint8_t reason[TRAIN_MAX]; /* enum drop_reason, of a copy that was not */
	uint32_t total; /* copies of all datagrams that were submitted to the kernel */
	const struct peer_config *peer; /* that a relay sent to, for the record; or NULL */
};

/* None was sent, all for this reason. */
void outcome_init(struct outcome *outcome, uint32_t datagrams, enum drop_reason reason);

/* Reads the copies of one way, and counts them for the peer that they went to, if it was one. Returns the copy after
 * them. */
const struct tx_chunk *outcome_collect(struct outcome *outcome, const struct train *train, const struct tx_chunk *copy,
				       struct peer_socket *peer);

/* Counts those that were not sent. Returns how many were. */
uint32_t outcome_count_sent(const struct outcome *outcome, uint32_t datagrams, counter dropped[DROP_REASONS]);

/* Records the train's datagrams that log = 1/N wants; record has what they share, verdict the one of those that were
 * sent. The carrier has a ring. */
void delivery_record(struct delivery_context *carrier, struct datagram_record *record, enum verdict verdict,
		     const struct outcome *outcome, const struct train *train);

#endif

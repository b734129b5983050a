/* A delivery: the path of a train to one destination. It queues the train's datagrams in the transmit batch, converted
 * if the destination has another charset. After the flush it reads the outcome of each datagram, counts it and records
 * it. The relay uses it for replies, too.
 *
 * The chunks of one delivery are adjacent in the transmit batch, in the order of the datagrams. The chunks of a train
 * for several destinations follow each other in the order of the deliveries. outcome_collect() depends on this order
 * and asserts it. */
#ifndef UDPRELAYD_DATAPATH_DELIVERY_H
#define UDPRELAYD_DATAPATH_DELIVERY_H

#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "datagram_log/record_ring.h"
#include "datapath/counters.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "guard/ring_guard.h"
#include "net/train.h"
#include "text/converter.h"

/* Trains in a receive batch if payloads are converted: the results occupy memory until the flush. */
#define DELIVERY_CONVERTED_TRAINS 8

/* Chunks that a train occupies in the transmit batch, for each destination. Each converted datagram is a chunk. */
#define DELIVERY_CHUNKS (TRAIN_MAX / TX_CHUNK_DATAGRAMS)
#define DELIVERY_CONVERTED_CHUNKS TRAIN_MAX

/* Memory for the converted payloads of a batch. All listeners of a worker share one. */
struct arena {
	uint8_t *bytes;
	size_t size, used;
};

/* destinations: the largest number of converting destinations of one train. The memory becomes resident when it is used
 * for the first time. Returns 0 or -ENOMEM. */
int arena_create(struct arena *arena, size_t destinations);
void arena_destroy(struct arena *arena);

/* The part that all deliveries of one listener on one worker share. The pointers are borrowed. */
struct delivery_context {
	const struct listener_config *config;
	struct tx_batch *tx_batch;
	struct arena *arena;
	unsigned batch_limit; /* trains to receive at once */
	bool converts; /* some destination has another charset */
	struct record_ring *ring; /* NULL: no records */
	uint32_t unrecorded; /* datagrams to skip before the next record (log = 1/N) */
	struct ring_guard *ring_guard; /* NULL: none */
	struct ring_guard_sampler ring_guard_sampler;
	struct log *log;
	struct log_limit ring_log_limit;
};

/* One destination. */
struct delivery {
	struct tx_destination destination;
	struct converter *converter; /* NULL: the payload stays as it is */
};

/* Checks a train from or to a client with the ring guard, and logs dropped datagrams. The guard may exclude a datagram
 * or drop the train. Does nothing without a ring guard. */
void delivery_check_ring(struct delivery_context *context, const struct address *client, enum ring_direction direction,
			 struct train *train, uint64_t now_ms);

/* Converts one datagram to at most room bytes at out, and to at most the largest UDP payload. Returns DROP_NONE and the
 * number of bytes in *made, or the reason for a drop. */
enum drop_reason delivery_convert(struct converter *converter, const void *data, size_t size, uint8_t *out, size_t room,
				  size_t *made);

/* Queues the datagrams [skip, end) of the train. Returns the first chunk. */
struct tx_chunk *delivery_enqueue(struct delivery_context *context, const struct delivery *delivery,
				  const struct train *train);

/* Adds the datagrams [skip, end) of the train as dropped chunks, for a destination that cannot be used now. */
struct tx_chunk *delivery_enqueue_dropped(struct delivery_context *context, const struct train *train,
					  enum drop_reason reason);

/* The outcome of each datagram of a train. */
struct outcome {
	uint16_t sent[TRAIN_MAX]; /* number of destinations that the kernel accepted the datagram for */
	uint8_t reason[TRAIN_MAX]; /* enum drop_reason, if some destination was not reached */
	uint32_t total_sent; /* sum of sent */
	const struct peer_config *peer; /* for the record: the peer of a relay session, or NULL */
};

/* No datagram of the train is sent yet. Datagrams outside [skip, end), and all datagrams of a dropped train, have their
 * reason; the others have DROP_NONE until outcome_collect(). */
void outcome_init(struct outcome *outcome, const struct train *train);

/* Reads the chunks of one delivery through tx, from the first one on. counters (NULL: none) are those of the peer.
 * Returns the chunk after them. */
const struct tx_chunk *outcome_collect(struct outcome *outcome, const struct train *train, const struct tx_chunk *chunk,
				       const struct tx_socket *tx, struct peer_counters *counters);

/* Counts each datagram that reached no destination, under its drop reason. Returns the number of the others. */
uint32_t outcome_count_sent(const struct outcome *outcome, uint32_t datagrams, counter dropped[DROP_REASONS]);

/* Records the datagrams of the train that log = 1/N selects. record holds what they share. verdict is that of a sent
 * datagram. context->ring must not be NULL. */
void delivery_record(struct delivery_context *context, struct datagram_record *record, enum verdict verdict,
		     const struct outcome *outcome, const struct train *train);

#endif

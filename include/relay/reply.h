/* Answers: what comes on the sockets of sessions goes to their clients. */
#ifndef UDPRELAYD_RELAY_REPLY_H
#define UDPRELAYD_RELAY_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "relay/paused_sessions.h"
#include "relay/session.h"

/* Sessions that a batch of answers may come from. */
#define REPLY_BATCH_SESSIONS RX_BATCH_TRAINS

/* One train. */
struct reply {
	struct session *session;
	struct tx_chunk *copy; /* the first */
	uint32_t size; /* of the train, with what responses does not admit */
	uint16_t count;
};

/* The batch under way. */
struct reply_batch {
	uint32_t batch; /* its number */
	struct paused_sessions resting; /* sessions that cannot be read; the owner wakes them */
	struct train *trains; /* in the batch */
	struct reply items[RX_BATCH_TRAINS]; /* by train */
	unsigned count;
	struct session *sessions[REPLY_BATCH_SESSIONS]; /* that were read, each once or more often */
	unsigned session_count;
	uint64_t time_us; /* since 1970, UTC; for the records */
	uint64_t now_ms; /* monotonic */
};

/* epoll watches the sessions. Zeroed memory is not ready. */
void reply_batch_init(struct reply_batch *answers, int epoll);

/* Reads at most limit (to RX_BATCH_TRAINS) trains from the sessions that epoll (epoll(7), level-triggered) names. There
 * may be errors and no trains: begin and end the batch then, too. A session that cannot be read again and again is put
 * to rest. Returns whether more may wait than the batch has room for. */
bool reply_batch_recv(struct reply_batch *answers, struct rx_batch *batch, int epoll, unsigned limit);

/* Puts the answers' copies into the egress. At least one session was read. */
void reply_batch_submit(struct reply_batch *answers, uint64_t time_us, uint64_t now_ms);

/* After the flush: counts what became of each, records it, ends sessions that are answered or broken, and empties the
 * egress. */
void reply_batch_complete(struct reply_batch *answers);

#endif

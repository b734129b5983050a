/* Replies: datagrams that arrive on the sockets of sessions and go to their clients. A reply batch reads many sessions
 * into one receive batch, so that their replies share one flush through the listener's socket.
 *
 * Failures: an ICMP error for an earlier datagram (counted for the peer), a socket with several read errors in sequence
 * (the session is paused), a reply beyond `responses` (DROP_UNEXPECTED). */
#ifndef UDPRELAYD_RELAY_REPLY_H
#define UDPRELAYD_RELAY_REPLY_H

#include <stdbool.h>
#include <stdint.h>

#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "relay/session.h"

/* Reads of sessions in one batch. A session may be read more than once. */
#define REPLY_BATCH_SESSIONS RX_BATCH_TRAINS

/* One received train. */
struct reply {
	struct session *session;
	struct tx_chunk *chunk; /* the first one */
};

/* The batch in progress. */
struct reply_batch {
	uint32_t number; /* number of the batch; a session with this number was already read in it */
	struct paused_sessions paused; /* the owner resumes them */
	struct train *trains; /* in the receive batch */
	struct reply replies[RX_BATCH_TRAINS]; /* one for each train */
	unsigned count;
	struct session *sessions[REPLY_BATCH_SESSIONS]; /* sessions that were read */
	unsigned session_count;
	uint64_t time_us; /* since 1970, UTC; for the records */
	uint64_t now_ms; /* monotonic */
};

/* epoll watches the sessions' sockets; the session is the data of its event. */
void reply_batch_init(struct reply_batch *batch, int epoll);

/* Reads at most limit (up to RX_BATCH_TRAINS) trains from the sessions that epoll reports (epoll(7), level-triggered).
 * The result may contain sessions with errors and no train: submit and complete the batch then, too. Returns whether
 * more replies may be waiting. */
bool reply_batch_recv(struct reply_batch *batch, struct rx_batch *rx_batch, int epoll, unsigned limit);

/* Queues the replies in the transmit batch. Call it only if at least one session was read. */
void reply_batch_submit(struct reply_batch *batch, uint64_t time_us, uint64_t now_ms);

/* Call it after the flush. Counts and records what happened to each reply, empties the transmit batch, and ends
 * sessions that are complete. */
void reply_batch_complete(struct reply_batch *batch);

#endif

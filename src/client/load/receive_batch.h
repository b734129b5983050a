/* A batch of received messages, filled by recvmmsg(2). It can be returned to the senders with sendmmsg(2). */
#ifndef UDPRELAYD_CLIENT_LOAD_RECEIVE_BATCH_H
#define UDPRELAYD_CLIENT_LOAD_RECEIVE_BATCH_H

#include <stddef.h>
#include <stdint.h>

/* Largest number of messages of one receive call. */
#define RECEIVE_BATCH_MAX 64

/* One datagram, or with GRO a train of datagrams. Each datagram of a train has segment bytes; the last one may be
 * shorter. */
struct received_message {
	const uint8_t *data; /* valid until the next receive call */
	size_t size, segment;
};

struct receive_batch;

/* Returns 0 or -ENOMEM. */
int receive_batch_create(struct receive_batch **batch);

/* NULL is accepted. */
void receive_batch_destroy(struct receive_batch *batch);

/* Receives waiting messages without blocking. They replace the messages of the last call. Returns their number, or a
 * negative errno; -EAGAIN if none is waiting. */
int receive_batch_receive(struct receive_batch *batch, int fd);

/* Returns message i of the last receive call. */
struct received_message receive_batch_get(struct receive_batch *batch, unsigned i);

/* Sends all messages of the last receive call back to their senders, trains as trains. Skips messages that the
 * kernel does not accept. */
void receive_batch_echo(struct receive_batch *batch, int fd);

#endif

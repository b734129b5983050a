/* Reception for a load: messages come in batches, and may be sent back as they came. */
#ifndef UDPRELAYD_CLIENT_LOAD_RECEIVE_BATCH_H
#define UDPRELAYD_CLIENT_LOAD_RECEIVE_BATCH_H

#include <stddef.h>
#include <stdint.h>

/* Messages that one inbox_receive() may bring. */
#define INBOX_MAX 64

/* One datagram, or a train of datagrams of segment bytes each, of which the last may be shorter (GRO). */
struct inbox_message {
	const uint8_t *data; /* until the next inbox_receive() */
	size_t size, segment;
};

struct inbox;

/* Returns 0 or -ENOMEM. */
int inbox_create(struct inbox **inbox);

/* NULL is accepted. */
void inbox_destroy(struct inbox *inbox);

/* Reads what waits in the socket, without waiting; what came before is gone. Returns how many messages came, or a
 * negative errno, -EAGAIN where nothing waits. */
int inbox_receive(struct inbox *inbox, int fd);

/* Message i of those that came last. */
struct inbox_message inbox_message(struct inbox *inbox, unsigned i);

/* Sends all that came last back to where it came from, trains as trains. What the kernel does not take is passed over.
 */
void inbox_send_back(struct inbox *inbox, int fd);

#endif

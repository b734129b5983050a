/* Reception: datagrams come in batches of trains. */
#ifndef UDPRELAYD_BATCH_H
#define UDPRELAYD_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "address.h"
#include "metrics.h"

/* Trains that one recvmmsg(2) may bring. */
#define BATCH_TRAINS 64

/* Bytes of a slot: more than any datagram or train of UDP_GRO has. */
#define BATCH_SLOT_SIZE 65536

/* Datagrams in a train; Linux makes no longer ones (UDP_MAX_SEGMENTS, include/linux/udp.h). */
#define TRAIN_MAX 128

/* Where a datagram reached us, told by IP_PKTINFO or IPV6_PKTINFO. */
struct local_end {
	struct address written_to; /* the address that the sender wrote to */
	struct address reply_from; /* the address to answer from; length 0: leave it to the kernel */
};

/* One buffer, one source, one segment size: one or more datagrams of that size, of which the last may be shorter. A
 * single datagram is a train of one. */
struct train {
	uint8_t *data; /* in the batch, until its next receive */
	uint32_t size; /* bytes in all */
	uint32_t segment; /* bytes of every datagram but the last */
	uint16_t count; /* datagrams */
	uint16_t skip; /* the first of them, that are over max_datagram (a shorter last one may pass) */
	enum drop_reason drop; /* DROP_NONE while it may go on */
	const struct local_end *local; /* NULL: what the socket is bound to */
	struct address source;
};

/* Datagram i of the train: its bytes. */
static inline uint32_t train_datagram_size(const struct train *train, uint32_t i)
{
	return i + 1 < train->count ? train->segment : train->size - i * train->segment;
}

/* Larger datagrams than max are not to go on: all of a train but, perhaps, its last. */
static inline void train_limit_size(struct train *train, uint32_t max)
{
	train->skip = 0;
	if (train->segment <= max)
		return;
	if (train_datagram_size(train, train->count - 1u) <= max)
		train->skip = (uint16_t)(train->count - 1);
	else
		train->drop = DROP_TOO_LARGE;
}

struct batch;

/* Reserves the slots; their memory becomes resident as they are first used. Returns 0 or -ENOMEM. */
int batch_create(struct batch **batch);

/* NULL is accepted. */
void batch_destroy(struct batch *batch);

/* Reads at most limit (from 1; with kept at most BATCH_TRAINS) trains that wait in the socket (a UDP or an AF_UNIX
 * one), without blocking. The first kept trains of the batch stay, the others are gone. A datagram that the kernel had
 * to cut is DROP_TOO_LARGE, one with senseless control messages DROP_MALFORMED. *trains points into the batch, at the
 * first new one. Returns how many came, 0 where nothing waits, or a negative errno. */
int batch_receive(struct batch *batch, unsigned kept, int fd, bool udp, unsigned limit, struct train **trains);

/* The same for one datagram of a connected socket without control messages, at less cost; its source is not told. */
int batch_receive_one(struct batch *batch, unsigned kept, int fd, struct train **trains);

/* What the batch received so far. Any thread may read it. */
const struct receive_counters *batch_counters(const struct batch *batch);

/* Before the first receive: counts on from where another batch ended. */
void batch_count_on(struct batch *batch, const struct batch *before);

/* Takes what the kernel says beside a message of size bytes: segment size, local end. Fills size, segment, count, drop
 * and local, which points at *local where the kernel told it. The message's control data is read only within its
 * msg_controllen. */
void batch_read_control(struct train *train, struct local_end *local, struct msghdr *message, uint32_t size);

#endif

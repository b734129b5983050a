/* Reception: datagrams come in batches of trains. */
#ifndef UDPRELAYD_DATAPATH_RX_BATCH_H
#define UDPRELAYD_DATAPATH_RX_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "datapath/counters.h"
#include "net/train.h"

/* Trains that one recvmmsg(2) may bring. */
#define BATCH_TRAINS 64

/* Bytes of a slot: more than any datagram or train of UDP_GRO has. */
#define BATCH_SLOT_SIZE 65536

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
void batch_adopt_counters(struct batch *batch, const struct batch *before);

/* Takes what the kernel says beside a message of size bytes: segment size, local end. Fills size, segment, count, drop
 * and local, which points at *local where the kernel told it. The message's control data is read only within its
 * msg_controllen. */
void batch_read_control(struct train *train, struct pktinfo *local, struct msghdr *message, uint32_t size);

#endif

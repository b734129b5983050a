/* Reception: datagrams come in batches of trains. */
#ifndef UDPRELAYD_DATAPATH_RX_BATCH_H
#define UDPRELAYD_DATAPATH_RX_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "datapath/counters.h"
#include "net/train.h"

/* Trains that one recvmmsg(2) may bring. */
#define RX_BATCH_TRAINS 64

/* Bytes of a slot: more than any datagram or train of UDP_GRO has. */
#define RX_SLOT_SIZE 65536

struct rx_batch;

/* Reserves the slots; their memory becomes resident as they are first used. Returns 0 or -ENOMEM. */
int rx_batch_create(struct rx_batch **batch);

/* NULL is accepted. */
void rx_batch_destroy(struct rx_batch *batch);

/* Reads at most limit (from 1; with kept at most RX_BATCH_TRAINS) trains that wait in the socket (a UDP or an AF_UNIX
 * one), without blocking. The first kept trains of the batch stay, the others are gone. A datagram that the kernel had
 * to cut is DROP_TOO_LARGE, one with senseless control messages DROP_MALFORMED. *trains points into the batch, at the
 * first new one. Returns how many came, 0 where nothing waits, or a negative errno. */
int rx_batch_recv(struct rx_batch *batch, unsigned kept, int fd, bool udp, unsigned limit, struct train **trains);

/* The same for one datagram of a connected socket without control messages, at less cost; its source is not told. */
int rx_batch_recv_one(struct rx_batch *batch, unsigned kept, int fd, struct train **trains);

/* What the batch received so far. Any thread may read it. */
const struct receive_counters *rx_batch_counters(const struct rx_batch *batch);

/* Before the first receive: counts on from where another batch ended. */
void rx_batch_adopt_counters(struct rx_batch *batch, const struct rx_batch *before);

/* Takes what the kernel says beside a message of size bytes: segment size, local end. Fills size, segment, count, drop
 * and local, which points at *local where the kernel told it. The message's control data is read only within its
 * msg_controllen. */
void rx_batch_parse_cmsgs(struct train *train, struct pktinfo *local, struct msghdr *message, uint32_t size);

#endif

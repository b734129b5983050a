/* A receive batch: up to 64 trains that one or more recvmmsg(2) calls read. One belongs to each worker; its listeners
 * and its relays take turns with it. The payloads stay in the slots of the batch until the next receive; the transmit
 * batch sends from there.
 *
 * Failures: a datagram that the kernel truncated is DROP_TOO_LARGE; a train with truncated or inconsistent control
 * messages is DROP_MALFORMED. */
#ifndef UDPRELAYD_DATAPATH_RX_BATCH_H
#define UDPRELAYD_DATAPATH_RX_BATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/address.h"
#include "datapath/counters.h"
#include "net/train.h"

/* Trains in a batch. */
#define RX_BATCH_TRAINS 64

/* Bytes of a slot: more than the largest datagram and the largest train of UDP_GRO. */
#define RX_SLOT_SIZE 65536

struct rx_batch;

/* Reserves the slots. Their memory becomes resident when they are used for the first time. Returns 0 or -ENOMEM. */
int rx_batch_create(struct rx_batch **batch);

/* Accepts NULL. */
void rx_batch_destroy(struct rx_batch *batch);

/* Reads the trains that wait in a UDP or AF_UNIX socket, at most limit, without blocking. The first offset trains of
 * the batch stay valid, the others are overwritten; offset + limit is at most RX_BATCH_TRAINS and limit at least 1.
 * Sets *trains to the first new train. Returns the number of new trains (0: the socket is empty) or a negative errno.
 */
int rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit, struct train **trains);

/* Reads one datagram of a connected socket without control messages. This costs less than rx_batch_recv(). The source
 * of the train is not set. */
int rx_batch_recv_one(struct rx_batch *batch, unsigned offset, int fd, struct train **trains);

/* The counters of all receives. Any thread may read them. */
const struct receive_counters *rx_batch_counters(const struct rx_batch *batch);

/* Continues the counters of another batch. Call it before the first receive. */
void rx_batch_adopt_counters(struct rx_batch *batch, const struct rx_batch *before);

/* Fills the train from the control messages and flags of a received message of size bytes: all fields but data and
 * source. Sets *local and train->local if the kernel reports the local addresses. Reads at most msg_controllen bytes of
 * control data. Public for tests and fuzzing. */
void rx_batch_parse_cmsgs(struct train *train, struct pktinfo *local, struct msghdr *message, uint32_t size);

#endif

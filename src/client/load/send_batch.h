/* A batch of numbered datagrams of equal size, sent with one sendmmsg(2) call: as separate datagrams, or as a train
 * with GSO (UDP_SEGMENT). */
#ifndef UDPRELAYD_CLIENT_LOAD_SEND_BATCH_H
#define UDPRELAYD_CLIENT_LOAD_SEND_BATCH_H

#include <netinet/udp.h>
#include <sys/socket.h>

#include "client/probe.h"

/* Largest number of datagrams of one call. */
#define SEND_BATCH_MAX 64

/* Size of the control buffer of send_batch_set_segment(). */
#define SEND_BATCH_CONTROL_SIZE CMSG_SPACE(sizeof(uint16_t))

struct send_batch;

/* Creates a batch for datagrams of size bytes, at least PROBE_SIZE. train is the number of datagrams in a train, 1
 * for no trains. A train has at most LOAD_BYTES_MAX bytes and SEND_BATCH_MAX datagrams. Returns 0 or -ENOMEM. */
int send_batch_create(struct send_batch **batch, unsigned size, unsigned train);

/* NULL is accepted. */
void send_batch_destroy(struct send_batch *batch);

/* Returns the number of datagrams that one send_batch_send() call can send. */
unsigned send_batch_capacity(const struct send_batch *batch);

/* Sends count datagrams without blocking. The first one carries the header first; the sequence numbers count up from
 * there. Returns the number of datagrams that the kernel accepted, or a negative errno. */
int send_batch_send(struct send_batch *batch, int fd, struct probe first, unsigned count);

/* Makes message a train of datagrams of size bytes. control is a buffer of SEND_BATCH_CONTROL_SIZE bytes, aligned
 * for a struct cmsghdr, which must stay valid until the message is sent. */
void send_batch_set_segment(struct msghdr *message, void *control, size_t size);

#endif

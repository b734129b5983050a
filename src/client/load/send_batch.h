/* Numbered datagrams that leave together: one by one in a single call, or as trains (GSO). */
#ifndef UDPRELAYD_CLIENT_LOAD_SEND_BATCH_H
#define UDPRELAYD_CLIENT_LOAD_SEND_BATCH_H

#include <netinet/udp.h>
#include <sys/socket.h>

#include "client/probe.h"

/* Datagrams that one call sends, at most. */
#define BURST_MAX 64

/* Room for burst_set_segment(). */
#define BURST_CONTROL_SIZE CMSG_SPACE(sizeof(uint16_t))

struct burst;

/* Datagrams of size bytes, from PROBE_SIZE on; train: so many leave as a train, 1 for none. A train has at most
 * LOAD_BYTES_MAX bytes and BURST_MAX datagrams. Returns 0 or -ENOMEM. */
int burst_create(struct burst **burst, unsigned size, unsigned train);

/* NULL is accepted. */
void burst_destroy(struct burst *burst);

/* Datagrams that one burst_send() may carry. */
unsigned burst_max(const struct burst *burst);

/* Sends count datagrams, numbered from the first on, without waiting. Returns how many the kernel took, or a negative
 * errno. */
int burst_send(struct burst *burst, int fd, struct probe first, unsigned count);

/* Makes the message a train of datagrams of that size; control has room for it. */
void burst_set_segment(struct msghdr *message, void *control, size_t size);

#endif

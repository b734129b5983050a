#include "client/load/receive_batch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "client/load/send_batch.h"

/* Larger than any message. */
#define SLOT_SIZE 65536

#define CONTROL_SIZE 64

static_assert(CONTROL_SIZE >= SEND_BATCH_CONTROL_SIZE, "a train can go back");

struct receive_batch {
	unsigned count; /* messages of the last receive call */
	struct mmsghdr messages[RECEIVE_BATCH_MAX];
	struct iovec vectors[RECEIVE_BATCH_MAX];
	struct sockaddr_in6 sources[RECEIVE_BATCH_MAX]; /* large enough for a sockaddr_in, too */
	_Alignas(struct cmsghdr) uint8_t control[RECEIVE_BATCH_MAX][CONTROL_SIZE];
	uint8_t *slots;
};

/* Resets the headers of count messages before a receive call: receiving and echoing both change sizes in them. */
static void receive_batch_reset(struct receive_batch *batch, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		batch->vectors[i] = (struct iovec){batch->slots + (size_t)i * SLOT_SIZE, SLOT_SIZE};
		batch->messages[i].msg_hdr = (struct msghdr){.msg_name = &batch->sources[i],
							     .msg_namelen = sizeof(batch->sources[i]),
							     .msg_iov = &batch->vectors[i],
							     .msg_iovlen = 1,
							     .msg_control = batch->control[i],
							     .msg_controllen = CONTROL_SIZE};
	}
}

int receive_batch_create(struct receive_batch **out)
{
	struct receive_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return -ENOMEM;
	batch->slots =
		mmap(NULL, RECEIVE_BATCH_MAX * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (batch->slots == MAP_FAILED) {
		free(batch);
		return -ENOMEM;
	}
	receive_batch_reset(batch, RECEIVE_BATCH_MAX);
	*out = batch;
	return 0;
}

void receive_batch_destroy(struct receive_batch *batch)
{
	if (!batch)
		return;
	munmap(batch->slots, RECEIVE_BATCH_MAX * SLOT_SIZE);
	free(batch);
}

int receive_batch_receive(struct receive_batch *batch, int fd)
{
	int count;

	receive_batch_reset(batch, batch->count);
	count = recvmmsg(fd, batch->messages, RECEIVE_BATCH_MAX, MSG_DONTWAIT, NULL);
	batch->count = count > 0 ? (unsigned)count : 0;
	return count < 0 ? -errno : count;
}

struct received_message receive_batch_get(struct receive_batch *batch, unsigned i)
{
	struct msghdr *header = &batch->messages[i].msg_hdr;
	size_t size = batch->messages[i].msg_len;
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len == CMSG_LEN(sizeof(segment)))
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	return (struct received_message){batch->vectors[i].iov_base, size, segment > 0 ? (size_t)segment : size};
}

/* A train is returned as a train. */
static void receive_batch_prepare_echo(struct receive_batch *batch, unsigned i)
{
	struct received_message message = receive_batch_get(batch, i);
	struct msghdr *header = &batch->messages[i].msg_hdr;

	batch->vectors[i].iov_len = message.size;
	header->msg_controllen = 0;
	if (message.segment < message.size)
		send_batch_set_segment(header, batch->control[i], message.segment);
}

void receive_batch_echo(struct receive_batch *batch, int fd)
{
	for (unsigned i = 0; i < batch->count; i++)
		receive_batch_prepare_echo(batch, i);
	for (unsigned sent = 0; sent < batch->count;) {
		int accepted = sendmmsg(fd, batch->messages + sent, batch->count - sent, MSG_DONTWAIT);

		sent += accepted > 0 ? (unsigned)accepted : 1;
	}
}

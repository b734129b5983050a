#include "client/load/send_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/load_plan.h"

struct send_batch {
	unsigned size, train;
	struct mmsghdr messages[SEND_BATCH_MAX];
	struct iovec vectors[SEND_BATCH_MAX];
	_Alignas(struct cmsghdr) uint8_t control[SEND_BATCH_CONTROL_SIZE];
	uint8_t data[LOAD_BYTES_MAX];
};

void send_batch_set_segment(struct msghdr *message, void *control, size_t size)
{
	struct cmsghdr *c = control;
	uint16_t segment = (uint16_t)size;

	message->msg_control = control;
	message->msg_controllen = SEND_BATCH_CONTROL_SIZE;
	*c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(segment))};
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

unsigned send_batch_capacity(const struct send_batch *batch)
{
	unsigned capacity = LOAD_BYTES_MAX / batch->size;

	return batch->train > 1 ? batch->train : capacity < SEND_BATCH_MAX ? capacity : SEND_BATCH_MAX;
}

int send_batch_create(struct send_batch **out, unsigned size, unsigned train)
{
	struct send_batch *batch = calloc(1, sizeof(*batch));

	if (!batch)
		return -ENOMEM;
	batch->size = size;
	batch->train = train;
	memset(batch->data, 'x', sizeof(batch->data));
	for (unsigned i = 0; i < send_batch_capacity(batch); i++) {
		batch->vectors[i] = (struct iovec){batch->data + i * size, size};
		batch->messages[i].msg_hdr = (struct msghdr){.msg_iov = &batch->vectors[i], .msg_iovlen = 1};
	}
	if (train > 1)
		send_batch_set_segment(&batch->messages[0].msg_hdr, batch->control, size);
	*out = batch;
	return 0;
}

void send_batch_destroy(struct send_batch *batch)
{
	free(batch);
}

int send_batch_send(struct send_batch *batch, int fd, struct probe first, unsigned count)
{
	unsigned messages = batch->train > 1 ? 1 : count;
	int accepted;

	for (unsigned i = 0; i < count; i++) {
		probe_write(batch->data + i * batch->size, &first);
		first.seq++;
	}
	if (batch->train > 1)
		batch->vectors[0].iov_len = (size_t)count * batch->size;
	accepted = sendmmsg(fd, batch->messages, messages, MSG_DONTWAIT);
	if (accepted < 0)
		return -errno;
	return batch->train > 1 ? (int)count : accepted;
}

#include "client/load/send_batch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/load_plan.h"

struct burst {
	unsigned size, train;
	struct mmsghdr messages[BURST_MAX];
	struct iovec vectors[BURST_MAX];
	_Alignas(struct cmsghdr) uint8_t control[BURST_CONTROL_SIZE];
	uint8_t data[LOAD_BYTES_MAX];
};

void burst_set_segment(struct msghdr *message, void *control, size_t size)
{
	struct cmsghdr *c = control;
	uint16_t segment = (uint16_t)size;

	message->msg_control = control;
	message->msg_controllen = BURST_CONTROL_SIZE;
	*c = (struct cmsghdr){.cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT, .cmsg_len = CMSG_LEN(sizeof(segment))};
	memcpy(CMSG_DATA(c), &segment, sizeof(segment));
}

unsigned burst_max(const struct burst *burst)
{
	unsigned most = LOAD_BYTES_MAX / burst->size;

	return burst->train > 1 ? burst->train : most < BURST_MAX ? most : BURST_MAX;
}

int burst_create(struct burst **out, unsigned size, unsigned train)
{
	struct burst *burst = calloc(1, sizeof(*burst));

	if (!burst)
		return -ENOMEM;
	burst->size = size;
	burst->train = train;
	memset(burst->data, 'x', sizeof(burst->data));
	for (unsigned i = 0; i < burst_max(burst); i++) {
		burst->vectors[i] = (struct iovec){burst->data + i * size, size};
		burst->messages[i].msg_hdr = (struct msghdr){.msg_iov = &burst->vectors[i], .msg_iovlen = 1};
	}
	if (train > 1)
		burst_set_segment(&burst->messages[0].msg_hdr, burst->control, size);
	*out = burst;
	return 0;
}

void burst_destroy(struct burst *burst)
{
	free(burst);
}

int burst_send(struct burst *burst, int fd, struct probe first, unsigned count)
{
	unsigned messages = burst->train > 1 ? 1 : count;
	int taken;

	for (unsigned i = 0; i < count; i++) {
		probe_write(burst->data + i * burst->size, &first);
		first.seq++;
	}
	if (burst->train > 1)
		burst->vectors[0].iov_len = (size_t)count * burst->size;
	taken = sendmmsg(fd, burst->messages, messages, MSG_DONTWAIT);
	if (taken < 0)
		return -errno;
	return burst->train > 1 ? (int)count : taken;
}

#include "client/load/receive_batch.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "client/load/send_batch.h"

/* More than any message has. */
#define SLOT_SIZE 65536

#define CONTROL_SIZE 64

static_assert(CONTROL_SIZE >= BURST_CONTROL_SIZE, "a train can go back");

struct inbox {
	unsigned count; /* messages that came last */
	struct mmsghdr messages[INBOX_MAX];
	struct iovec vectors[INBOX_MAX];
	struct sockaddr_in6 sources[INBOX_MAX]; /* or a sockaddr_in, which is smaller */
	_Alignas(struct cmsghdr) uint8_t control[INBOX_MAX][CONTROL_SIZE];
	uint8_t *slots;
};

/* Before use, and after it: receiving and sending back both leave their sizes there. */
static void prepare(struct inbox *inbox, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		inbox->vectors[i] = (struct iovec){inbox->slots + (size_t)i * SLOT_SIZE, SLOT_SIZE};
		inbox->messages[i].msg_hdr = (struct msghdr){.msg_name = &inbox->sources[i],
							     .msg_namelen = sizeof(inbox->sources[i]),
							     .msg_iov = &inbox->vectors[i],
							     .msg_iovlen = 1,
							     .msg_control = inbox->control[i],
							     .msg_controllen = CONTROL_SIZE};
	}
}

int inbox_create(struct inbox **out)
{
	struct inbox *inbox = calloc(1, sizeof(*inbox));

	if (!inbox)
		return -ENOMEM;
	inbox->slots = mmap(NULL, INBOX_MAX * SLOT_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (inbox->slots == MAP_FAILED) {
		free(inbox);
		return -ENOMEM;
	}
	prepare(inbox, INBOX_MAX);
	*out = inbox;
	return 0;
}

void inbox_destroy(struct inbox *inbox)
{
	if (!inbox)
		return;
	munmap(inbox->slots, INBOX_MAX * SLOT_SIZE);
	free(inbox);
}

int inbox_receive(struct inbox *inbox, int fd)
{
	int count;

	prepare(inbox, inbox->count);
	count = recvmmsg(fd, inbox->messages, INBOX_MAX, MSG_DONTWAIT, NULL);
	inbox->count = count > 0 ? (unsigned)count : 0;
	return count < 0 ? -errno : count;
}

struct inbox_message inbox_message(struct inbox *inbox, unsigned i)
{
	struct msghdr *header = &inbox->messages[i].msg_hdr;
	size_t size = inbox->messages[i].msg_len;
	int segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO && c->cmsg_len == CMSG_LEN(sizeof(segment)))
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	return (struct inbox_message){inbox->vectors[i].iov_base, size, segment > 0 ? (size_t)segment : size};
}

/* What came in as a train goes back as one. */
static void turn_round(struct inbox *inbox, unsigned i)
{
	struct inbox_message message = inbox_message(inbox, i);
	struct msghdr *header = &inbox->messages[i].msg_hdr;

	inbox->vectors[i].iov_len = message.size;
	header->msg_controllen = 0;
	if (message.segment < message.size)
		burst_set_segment(header, inbox->control[i], message.segment);
}

void inbox_send_back(struct inbox *inbox, int fd)
{
	for (unsigned i = 0; i < inbox->count; i++)
		turn_round(inbox, i);
	for (unsigned sent = 0; sent < inbox->count;) {
		int taken = sendmmsg(fd, inbox->messages + sent, inbox->count - sent, MSG_DONTWAIT);

		sent += taken > 0 ? (unsigned)taken : 1;
	}
}

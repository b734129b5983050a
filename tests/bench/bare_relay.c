#include "bare_relay.h"

#include <netinet/udp.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define BATCH 64
#define SLOT 2048

struct session {
	int fd;
	struct sockaddr_in client;
};

struct rx_batch {
	uint8_t slots[BATCH][SLOT];
	struct iovec vectors[BATCH];
	struct sockaddr_in names[BATCH];
	struct mmsghdr messages[BATCH];
	int count;
};

static struct session sessions[1 << 16]; /* by the client's port */
static struct rx_batch requests, answers;

/* Fills the free rest of the batch with at most this number of datagrams. Returns their number. */
static int receive(struct rx_batch *batch, int fd, int most)
{
	int begin = batch->count, count;

	most = most < BATCH - begin ? most : BATCH - begin;
	for (int i = begin; i < begin + most; i++) {
		batch->vectors[i] = (struct iovec){batch->slots[i], SLOT};
		batch->messages[i].msg_hdr = (struct msghdr){.msg_name = &batch->names[i],
							     .msg_namelen = sizeof(batch->names[i]),
							     .msg_iov = &batch->vectors[i],
							     .msg_iovlen = 1};
	}
	if (most == 1) {
		ssize_t size = recv(fd, batch->slots[begin], SLOT, MSG_DONTWAIT);

		batch->messages[begin].msg_len = size < 0 ? 0 : (unsigned)size;
		count = size < 0 ? 0 : 1;
	} else {
		count = recvmmsg(fd, batch->messages + begin, (unsigned)most, MSG_DONTWAIT, NULL);
	}
	for (int i = begin; i < begin + count; i++)
		batch->vectors[i].iov_len = batch->messages[i].msg_len;
	batch->count += count > 0 ? count : 0;
	return count;
}

static int same(const struct rx_batch *batch, int a, int b)
{
	return batch->names[a].sin_port == batch->names[b].sin_port &&
	       batch->vectors[a].iov_len == batch->vectors[b].iov_len;
}

/* Of neighbours that go the same way, the first takes all, and the others are left out. */
static int join(struct rx_batch *batch, uint8_t control[][CMSG_SPACE(sizeof(uint16_t))])
{
	int count = 0;

	for (int i = 0, next; i < batch->count; i = next) {
		struct msghdr *header = &batch->messages[count].msg_hdr;

		for (next = i + 1; next < batch->count && same(batch, i, next);)
			next++;
		*header = (struct msghdr){.msg_name = &batch->names[i],
					  .msg_namelen = sizeof(batch->names[i]),
					  .msg_iov = &batch->vectors[i],
					  .msg_iovlen = (size_t)(next - i)};
		if (next - i > 1) {
			struct cmsghdr *c = (struct cmsghdr *)control[count];
			uint16_t segment = (uint16_t)batch->vectors[i].iov_len;

			*c = (struct cmsghdr){
				.cmsg_len = CMSG_LEN(sizeof(segment)), .cmsg_level = SOL_UDP, .cmsg_type = UDP_SEGMENT};
			memcpy(CMSG_DATA(c), &segment, sizeof(segment));
			header->msg_control = c;
			header->msg_controllen = CMSG_SPACE(sizeof(segment));
		}
		count++;
	}
	batch->count = 0;
	return count;
}

static struct session *session_of(int epoll, const struct sockaddr_in *client, const struct sockaddr_in *peer)
{
	struct session *session = &sessions[ntohs(client->sin_port)];
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = session};

	if (session->fd)
		return session;
	session->client = *client;
	session->fd = socket(AF_INET, SOCK_DGRAM, 0);
	connect(session->fd, (const struct sockaddr *)peer, sizeof(*peer));
	epoll_ctl(epoll, EPOLL_CTL_ADD, session->fd, &event);
	return session;
}

static void relay_requests(int epoll, int listener, const struct sockaddr_in *peer)
{
	static _Alignas(struct cmsghdr) uint8_t control[BATCH][CMSG_SPACE(sizeof(uint16_t))];

	receive(&requests, listener, BATCH);
	for (int i = 0, count = join(&requests, control); i < count; i++) {
		struct msghdr *header = &requests.messages[i].msg_hdr;
		int fd = session_of(epoll, header->msg_name, peer)->fd;

		header->msg_name = NULL;
		header->msg_namelen = 0;
		if (header->msg_control)
			sendmsg(fd, header, 0);
		else
			send(fd, header->msg_iov->iov_base, header->msg_iov->iov_len, 0);
	}
}

static void send_answers(int listener)
{
	static _Alignas(struct cmsghdr) uint8_t control[BATCH][CMSG_SPACE(sizeof(uint16_t))];
	int count = join(&answers, control);

	if (count)
		sendmmsg(listener, answers.messages, (unsigned)count, 0);
}

static void take_answers(const struct session *session, int most)
{
	int begin = answers.count, count = receive(&answers, session->fd, most);

	for (int i = begin; i < begin + count; i++)
		answers.names[i] = session->client;
}

void bare_relay(int listener, const struct sockaddr_in *peer, int most)
{
	struct epoll_event events[BATCH], event = {.events = EPOLLIN};
	int epoll = epoll_create1(0), count;

	epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &event);
	while ((count = epoll_wait(epoll, events, BATCH, -1)) >= 0) {
		for (int i = 0; i < count; i++) {
			if (!events[i].data.ptr)
				relay_requests(epoll, listener, peer);
			else if (answers.count < BATCH)
				take_answers(events[i].data.ptr, most);
		}
		send_answers(listener);
	}
}

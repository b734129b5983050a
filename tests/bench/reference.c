/* Servers to measure against, each the plainest of its kind: reference KIND HOST:PORT [PEER…]. Prints the address that
 * it got.
 *
 *     r1      recvfrom, sendto
 *     r2      the same behind epoll, until EAGAIN
 *     r3      recvmmsg and sendmmsg, 64 at a time
 *     r4      trains in (UDP_GRO) and out (UDP_SEGMENT), nothing between
 *     r7      libuv: uv_udp_recv_start, uv_udp_send
 *     r8      libuv with UV_UDP_RECVMMSG: uv_udp_recv_start, uv_udp_try_send
 *     fanout  recvfrom, a sendto for each PEER (HOST:PORT)
 *     bare-1  a relay to PEER that reads its answers one by one
 *     bare-n  a relay to PEER that reads the answers of a session at once
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "bare_relay.h"

#define BATCH 64
#define SLOT (65536 + 9 * 64)

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static struct sockaddr_in address_of(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char host[64];
	unsigned port;

	if (sscanf(text, "%63[^:]:%u", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1)
		exit(64);
	address.sin_port = htons((uint16_t)port);
	return address;
}

static void set(int fd, int level, int option, int value)
{
	if (setsockopt(fd, level, option, &value, sizeof(value)))
		die("setsockopt");
}

/* As large as the daemon's: beyond the system's limit, where that is allowed. */
static void set_buffer(int fd, int forced, int asked)
{
	int bytes = 4 << 20;

	if (setsockopt(fd, SOL_SOCKET, forced, &bytes, sizeof(bytes)))
		set(fd, SOL_SOCKET, asked, bytes);
}

static int open_socket(const char *host, int gro)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct sockaddr_in address = address_of(host);
	socklen_t length = sizeof(address);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)))
		die("bind");
	set_buffer(fd, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(fd, SO_SNDBUFFORCE, SO_SNDBUF);
	if (gro)
		set(fd, SOL_UDP, UDP_GRO, 1);
	getsockname(fd, (struct sockaddr *)&address, &length);
	printf("%s:%u\n", inet_ntoa(address.sin_addr), ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

static void r1(const char *host)
{
	static uint8_t data[SLOT];
	int fd = open_socket(host, 0);

	for (;;) {
		struct sockaddr_in from;
		socklen_t length = sizeof(from);
		ssize_t size = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

		if (size >= 0)
			sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&from, length);
	}
}

static void r2(const char *host)
{
	static uint8_t data[SLOT];
	int fd = open_socket(host, 0), epoll = epoll_create1(0);
	struct epoll_event event = {.events = EPOLLIN};

	fcntl(fd, F_SETFL, O_NONBLOCK);
	epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
	while (epoll_wait(epoll, &event, 1, -1) >= 0) {
		for (;;) {
			struct sockaddr_in from;
			socklen_t length = sizeof(from);
			ssize_t size = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &length);

			if (size < 0)
				break;
			sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&from, length);
		}
	}
}

/* The batch of r3 and r4. */
static uint8_t slots[BATCH][SLOT], control[BATCH][CMSG_SPACE(sizeof(int))];
static struct sockaddr_in sources[BATCH];
static struct iovec vectors[BATCH];
static struct mmsghdr messages[BATCH];

static void prepare(unsigned count, int with_control)
{
	for (unsigned i = 0; i < count; i++) {
		vectors[i] = (struct iovec){slots[i], 65536};
		messages[i].msg_hdr = (struct msghdr){.msg_name = &sources[i],
						      .msg_namelen = sizeof(sources[i]),
						      .msg_iov = &vectors[i],
						      .msg_iovlen = 1,
						      .msg_control = with_control ? control[i] : NULL,
						      .msg_controllen = with_control ? sizeof(control[i]) : 0};
	}
}

static void send_all(int fd, unsigned count)
{
	for (unsigned sent = 0; sent < count;) {
		int n = sendmmsg(fd, messages + sent, count - sent, 0);

		sent += n > 0 ? (unsigned)n : 1;
	}
}

static void r3(const char *host)
{
	int fd = open_socket(host, 0);

	prepare(BATCH, 0);
	for (;;) {
		int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

		for (int i = 0; i < count; i++)
			vectors[i].iov_len = messages[i].msg_len;
		if (count > 0)
			send_all(fd, (unsigned)count);
		prepare(count > 0 ? (unsigned)count : 0, 0);
	}
}

/* The segment size that came in goes out again; a single datagram has none. */
static void turn_round(struct mmsghdr *message)
{
	struct msghdr *header = &message->msg_hdr;
	struct cmsghdr *c = CMSG_FIRSTHDR(header);
	int segment = 0;

	header->msg_iov->iov_len = message->msg_len;
	if (c && c->cmsg_type == UDP_GRO)
		memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	if (!segment || (unsigned)segment >= message->msg_len) {
		header->msg_controllen = 0;
		return;
	}
	uint16_t size = (uint16_t)segment;

	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
	header->msg_controllen = CMSG_SPACE(sizeof(size));
}

static void r4(const char *host)
{
	int fd = open_socket(host, 1);

	prepare(BATCH, 1);
	for (;;) {
		int count = recvmmsg(fd, messages, BATCH, MSG_WAITFORONE, NULL);

		for (int i = 0; i < count; i++)
			turn_round(&messages[i]);
		if (count > 0)
			send_all(fd, (unsigned)count);
		prepare(count > 0 ? (unsigned)count : 0, 1);
	}
}

static void fanout(const char *host, char **peers, int count)
{
	static uint8_t data[SLOT];
	struct sockaddr_in *to = calloc((size_t)count, sizeof(*to));
	int fd = open_socket(host, 0);

	for (int i = 0; i < count; i++)
		to[i] = address_of(peers[i]);
	for (;;) {
		ssize_t size = recvfrom(fd, data, sizeof(data), 0, NULL, NULL);

		for (int i = 0; size >= 0 && i < count; i++)
			sendto(fd, data, (size_t)size, 0, (struct sockaddr *)&to[i], sizeof(to[i]));
	}
}

static void bare(const char *host, const char *peer, int answers)
{
	struct sockaddr_in to = address_of(peer);

	bare_relay(open_socket(host, 0), &to, answers);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer)
{
	static char data[20 * 65536];

	(void)suggested;
	*buffer = uv_buf_init(data, handle->data ? sizeof(data) : 65536);
}

struct reply {
	uv_udp_send_t request;
	char data[];
};

static void on_sent(uv_udp_send_t *request, int status)
{
	(void)status;
	free(request);
}

static void on_receive_send(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from,
			    unsigned flags)
{
	(void)flags;
	if (size < 0 || !from)
		return;
	struct reply *answer = malloc(sizeof(*answer) + (size_t)size);
	uv_buf_t out = uv_buf_init(answer->data, (unsigned)size);

	memcpy(answer->data, buffer->base, (size_t)size);
	uv_udp_send(&answer->request, udp, &out, 1, from, on_sent);
}

static void on_receive_try(uv_udp_t *udp, ssize_t size, const uv_buf_t *buffer, const struct sockaddr *from,
			   unsigned flags)
{
	(void)flags;
	if (size < 0 || !from)
		return;
	uv_buf_t out = uv_buf_init(buffer->base, (unsigned)size);

	uv_udp_try_send(udp, &out, 1, from);
}

static void with_libuv(const char *host, int recvmmsg_wanted)
{
	uv_loop_t *loop = uv_default_loop();
	uv_udp_t udp;

	uv_udp_init_ex(loop, &udp, recvmmsg_wanted ? UV_UDP_RECVMMSG : 0);
	udp.data = recvmmsg_wanted ? &udp : NULL;
	uv_udp_open(&udp, open_socket(host, 0));
	uv_udp_recv_start(&udp, on_alloc, recvmmsg_wanted ? on_receive_try : on_receive_send);
	uv_run(loop, UV_RUN_DEFAULT);
}

int main(int argc, char **argv)
{
	const char *kind = argc > 1 ? argv[1] : "", *host = argc > 2 ? argv[2] : "127.0.0.1:0";

	if (!strcmp(kind, "r1"))
		r1(host);
	else if (!strcmp(kind, "r2"))
		r2(host);
	else if (!strcmp(kind, "r3"))
		r3(host);
	else if (!strcmp(kind, "r4"))
		r4(host);
	else if (!strcmp(kind, "r7"))
		with_libuv(host, 0);
	else if (!strcmp(kind, "r8"))
		with_libuv(host, 1);
	else if (!strcmp(kind, "fanout"))
		fanout(host, argv + 3, argc - 3);
	else if (!strcmp(kind, "bare-1") && argc == 4)
		bare(host, argv[3], 1);
	else if (!strcmp(kind, "bare-n") && argc == 4)
		bare(host, argv[3], BATCH);
	fputs("usage: reference r1|r2|r3|r4|r7|r8|fanout|bare-1|bare-n HOST:PORT [PEER…]\n", stderr);
	return 64;
}

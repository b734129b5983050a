#include "client/client_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "net/socket.h"

/* What comes while a terminal is slow. */
#define RECEIVE_BUFFER (4 << 20)

#define CONTROL_SIZE 512

/* Earlier datagrams' errors, that are met before one that has come. */
#define ERRORS_MAX 64

static int family_of(const struct client_socket *client)
{
	return client->local.any.sa_family;
}

static int level_of(const struct client_socket *client)
{
	return family_of(client) == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

static void anywhere(struct address *local, int family)
{
	if (family == AF_UNIX)
		*local = (struct address){.length = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
	else
		address_from_ip(local, family == AF_INET ? "0.0.0.0" : "::", 0);
}

/* Datagrams come one by one, so that none of them ends where the next begins. With SO_SELECT_ERR_QUEUE a refusal is
 * no error to poll(2), but something to read. */
static void set_options(const struct client_socket *client)
{
	int on = 1, off = 0, fd = client->fd;

	socket_set_buffer(fd, SO_RCVBUF, RECEIVE_BUFFER);
	if (family_of(client) == AF_UNIX)
		return;
	setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &on, sizeof(on));
	setsockopt(fd, level_of(client), family_of(client) == AF_INET ? IP_RECVERR : IPV6_RECVERR, &on, sizeof(on));
}

int client_socket_open(struct client_socket *client, const struct address *to, const struct address *from)
{
	static const struct listener_config plain;
	struct socket_error error;

	if (from && from->any.sa_family != to->any.sa_family)
		return -EAFNOSUPPORT;
	if (from)
		client->local = *from;
	else
		anywhere(&client->local, to->any.sa_family);
	client->fd = socket_bind(&plain, &client->local, false, false, &error);
	if (client->fd < 0)
		return -error.error;
	set_options(client);
	client->local.length = sizeof(client->local) - offsetof(struct address, any);
	getsockname(client->fd, &client->local.any, &client->local.length);
	return 0;
}

void client_socket_close(struct client_socket *client)
{
	if (family_of(client) == AF_UNIX && client->local.local.sun_path[0])
		unlink(client->local.local.sun_path);
	close(client->fd);
	client->fd = -1;
}

/* Without SO_BROADCAST the kernel connects to no broadcast address. */
bool client_socket_reaches_many(const struct address *to)
{
	int fd = socket(to->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool broadcast = fd >= 0 && connect(fd, &to->any, to->length) && errno == EACCES;

	if (fd >= 0)
		close(fd);
	return address_is_multicast(to) || (broadcast && to->any.sa_family == AF_INET);
}

/* The error of a call may be an earlier datagram's, once. */
int client_socket_send(struct client_socket *client, const struct address *to, const void *data, size_t size)
{
	for (int i = 0; i < 2; i++) {
		if (sendto(client->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, &to->any, to->length) >= 0)
			return 0;
		if (errno == EAGAIN)
			break;
	}
	return -errno;
}

ssize_t client_socket_receive(struct client_socket *client, void *data, size_t capacity, struct address *source)
{
	for (int errors = 0; errors < ERRORS_MAX; errors++) {
		*source = (struct address){.length = sizeof(*source) - offsetof(struct address, any)};
		ssize_t size =
			recvfrom(client->fd, data, capacity, MSG_DONTWAIT | MSG_TRUNC, &source->any, &source->length);

		if (size >= 0) {
			if (!source->length) /* a sender without a name (unix(7)) */
				anywhere(source, family_of(client));
			return size;
		}
		if (errno == EAGAIN)
			break;
	}
	return -EAGAIN;
}

/* --- Refusals --- */

static bool is_refusal(const struct client_socket *client, const struct cmsghdr *c)
{
	return c->cmsg_level == level_of(client) &&
	       c->cmsg_type == (family_of(client) == AF_INET ? IP_RECVERR : IPV6_RECVERR) &&
	       c->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err));
}

/* Behind the error stands the address of the host that told of it. */
static void read_refusal(struct refusal *refusal, const struct cmsghdr *c)
{
	struct sock_extended_err error;
	size_t size = c->cmsg_len - CMSG_LEN(sizeof(error));

	memcpy(&error, CMSG_DATA(c), sizeof(error));
	refusal->error = (int)error.ee_errno;
	refusal->by = (struct address){0};
	if (error.ee_origin == SO_EE_ORIGIN_LOCAL || size > sizeof(refusal->by.v6))
		return;
	memcpy(&refusal->by.any, CMSG_DATA(c) + sizeof(error), size);
	refusal->by.length = refusal->by.any.sa_family == AF_INET    ? sizeof(refusal->by.v4)
			     : refusal->by.any.sa_family == AF_INET6 ? sizeof(refusal->by.v6)
								     : 0;
}

/* Returns whether there was one. What this host itself refused, the call to send has told. */
static bool next_refusal(const struct client_socket *client, struct refusal *refusal)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct iovec head = {refusal->head, sizeof(refusal->head)};
	struct msghdr message = {.msg_name = &refusal->to.any,
				 .msg_namelen = sizeof(refusal->to) - offsetof(struct address, any),
				 .msg_iov = &head,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(client->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (size < 0)
		return false;
	refusal->by.length = 0;
	refusal->to.length = message.msg_namelen;
	refusal->head_size = (size_t)size;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (is_refusal(client, c))
			read_refusal(refusal, c);
	}
	return true;
}

bool client_socket_refused(struct client_socket *client, struct refusal *refusal)
{
	if (family_of(client) == AF_UNIX)
		return false;
	while (next_refusal(client, refusal)) {
		if (refusal->by.length)
			return true;
	}
	return false;
}

static const char *what_is_wrong(int error)
{
	switch (error) {
	case ECONNREFUSED:
		return "nobody listens at";
	case EHOSTUNREACH:
		return "there is no way to the host of";
	case ENETUNREACH:
		return "there is no way to the network of";
	case EACCES:
	case EPERM:
		return "a firewall forbids what goes to";
	case EMSGSIZE:
		return "it is too large for the way to";
	default:
		return NULL;
	}
}

char *refusal_text(const struct refusal *refusal, char text[REFUSAL_TEXT_MAX])
{
	char to[ADDRESS_TEXT_MAX], by[ADDRESS_TEXT_MAX] = "this host";
	const char *what = what_is_wrong(refusal->error);

	address_format(&refusal->to, to);
	if (refusal->by.length) {
		struct address host = refusal->by;
		char *end;

		address_set_port(&host, 0);
		address_format(&host, by);
		end = strrchr(by, ':');
		*end = '\0';
	}
	if (what)
		snprintf(text, REFUSAL_TEXT_MAX, "%s %.280s (%s %.60s)", what, to,
			 refusal->by.length ? "ICMP from" : "so says", by);
	else
		snprintf(text, REFUSAL_TEXT_MAX, "%s: %.280s", strerror(refusal->error), to);
	return text;
}

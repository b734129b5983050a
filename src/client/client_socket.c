#include "client/client_socket.h"

#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "config/config.h"
#include "net/socket.h"

/* Holds the datagrams that arrive while a terminal is slow. In bytes. */
#define RECEIVE_BUFFER (4 << 20)

#define CONTROL_SIZE 512

/* Number of pending errors of earlier datagrams that one receive call skips. */
#define SKIPPED_ERRORS_MAX 64

static int client_socket_family(const struct client_socket *client)
{
	return client->local.any.sa_family;
}

static int client_socket_level(const struct client_socket *client)
{
	return client_socket_family(client) == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

static void client_socket_set_any_address(struct address *local, int family)
{
	if (family == AF_UNIX)
		*local = (struct address){.length = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
	else
		address_from_ip(local, family == AF_INET ? "0.0.0.0" : "::", 0);
}

/* GRO is switched off, so that each read returns one datagram. With SO_SELECT_ERR_QUEUE, a queued ICMP error makes
 * poll(2) report POLLPRI besides POLLERR. libuv then reports an event (UV_PRIORITIZED) and no failure of the handle. */
static void client_socket_set_options(const struct client_socket *client)
{
	int on = 1, off = 0, fd = client->fd;

	socket_set_buffer(fd, SO_RCVBUF, RECEIVE_BUFFER);
	if (client_socket_family(client) == AF_UNIX)
		return;
	setsockopt(fd, SOL_UDP, UDP_GRO, &off, sizeof(off));
	setsockopt(fd, SOL_SOCKET, SO_BROADCAST, &on, sizeof(on));
	setsockopt(fd, SOL_SOCKET, SO_SELECT_ERR_QUEUE, &on, sizeof(on));
	setsockopt(fd, client_socket_level(client), client_socket_family(client) == AF_INET ? IP_RECVERR : IPV6_RECVERR,
		   &on, sizeof(on));
}

int client_socket_open(struct client_socket *client, const struct address *destination, const struct address *source)
{
	static const struct listener_config plain;
	struct socket_error error;

	if (source && source->any.sa_family != destination->any.sa_family)
		return -EAFNOSUPPORT;
	if (source)
		client->local = *source;
	else
		client_socket_set_any_address(&client->local, destination->any.sa_family);
	client->fd = socket_bind(&plain, &client->local, false, false, &error);
	if (client->fd < 0)
		return -error.error;
	client_socket_set_options(client);
	client->local.length = sizeof(client->local) - offsetof(struct address, any);
	getsockname(client->fd, &client->local.any, &client->local.length);
	return 0;
}

void client_socket_close(struct client_socket *client)
{
	if (client_socket_family(client) == AF_UNIX && client->local.local.sun_path[0])
		unlink(client->local.local.sun_path);
	close(client->fd);
	client->fd = -1;
}

/* Without SO_BROADCAST, connect(2) to a broadcast address fails with EACCES. The kernel knows which addresses these
 * are. */
bool client_socket_reaches_many(const struct address *destination)
{
	int fd = socket(destination->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool broadcast = fd >= 0 && connect(fd, &destination->any, destination->length) && errno == EACCES;

	if (fd >= 0)
		close(fd);
	return address_is_multicast(destination) || (broadcast && destination->any.sa_family == AF_INET);
}

/* The first call may return a pending error of an earlier datagram instead of sending. The second call then sends. */
int client_socket_send(struct client_socket *client, const struct address *destination, const void *data, size_t size)
{
	for (int i = 0; i < 2; i++) {
		if (sendto(client->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, &destination->any,
			   destination->length) >= 0)
			return 0;
		if (errno == EAGAIN)
			break;
	}
	return -errno;
}

ssize_t client_socket_receive(struct client_socket *client, void *data, size_t capacity, struct address *source)
{
	for (int errors = 0; errors < SKIPPED_ERRORS_MAX; errors++) {
		*source = (struct address){.length = sizeof(*source) - offsetof(struct address, any)};
		ssize_t size =
			recvfrom(client->fd, data, capacity, MSG_DONTWAIT | MSG_TRUNC, &source->any, &source->length);

		if (size >= 0) {
			if (!source->length) /* the sender has no name (unix(7)) */
				client_socket_set_any_address(source, client_socket_family(client));
			return size;
		}
		if (errno == EAGAIN)
			break;
	}
	return -EAGAIN;
}

/* --- Errors --- */

static bool is_recverr_cmsg(const struct client_socket *client, const struct cmsghdr *c)
{
	return c->cmsg_level == client_socket_level(client) &&
	       c->cmsg_type == (client_socket_family(client) == AF_INET ? IP_RECVERR : IPV6_RECVERR) &&
	       c->cmsg_len >= CMSG_LEN(sizeof(struct sock_extended_err));
}

/* The address of the host that sent the ICMP error follows the struct in the control message (SO_EE_OFFENDER,
 * ip(7)). */
static void parse_recverr_cmsg(struct send_error *error, const struct cmsghdr *c)
{
	struct sock_extended_err extended;
	size_t size = c->cmsg_len - CMSG_LEN(sizeof(extended));

	memcpy(&extended, CMSG_DATA(c), sizeof(extended));
	error->code = (int)extended.ee_errno;
	error->reporter = (struct address){0};
	if (extended.ee_origin == SO_EE_ORIGIN_LOCAL || size > sizeof(error->reporter.v6))
		return;
	memcpy(&error->reporter.any, CMSG_DATA(c) + sizeof(extended), size);
	error->reporter.length = error->reporter.any.sa_family == AF_INET    ? sizeof(error->reporter.v4)
				 : error->reporter.any.sa_family == AF_INET6 ? sizeof(error->reporter.v6)
									     : 0;
}

/* Reads one entry of the error queue. Returns false if the queue is empty. Leaves reporter.length at 0 for an error
 * of this host itself: client_socket_send() has already returned that error. */
static bool read_error_queue(const struct client_socket *client, struct send_error *error)
{
	_Alignas(struct cmsghdr) char control[CONTROL_SIZE];
	struct iovec head = {error->head, sizeof(error->head)};
	struct msghdr message = {.msg_name = &error->destination.any,
				 .msg_namelen = sizeof(error->destination) - offsetof(struct address, any),
				 .msg_iov = &head,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	ssize_t size = recvmsg(client->fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT);

	if (size < 0)
		return false;
	error->reporter.length = 0;
	error->destination.length = message.msg_namelen;
	error->head_size = (size_t)size;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (is_recverr_cmsg(client, c))
			parse_recverr_cmsg(error, c);
	}
	return true;
}

bool client_socket_next_error(struct client_socket *client, struct send_error *error)
{
	if (client_socket_family(client) == AF_UNIX)
		return false;
	while (read_error_queue(client, error)) {
		if (error->reporter.length)
			return true;
	}
	return false;
}

static const char *send_error_phrase(int code)
{
	switch (code) {
	case ECONNREFUSED:
		return "no program listens at";
	case EHOSTUNREACH:
		return "there is no route to the host of";
	case ENETUNREACH:
		return "there is no route to the network of";
	case EACCES:
	case EPERM:
		return "a firewall rejects datagrams to";
	case EMSGSIZE:
		return "it is too large for the path to";
	default:
		return NULL;
	}
}

char *send_error_format(const struct send_error *error, char text[SEND_ERROR_TEXT_MAX])
{
	char destination[ADDRESS_TEXT_MAX], reporter[ADDRESS_TEXT_MAX] = "this host";
	const char *phrase = send_error_phrase(error->code);

	address_format(&error->destination, destination);
	if (error->reporter.length) {
		struct address host = error->reporter;
		char *end;

		address_set_port(&host, 0);
		address_format(&host, reporter);
		end = strrchr(reporter, ':');
		*end = '\0';
	}
	if (phrase)
		snprintf(text, SEND_ERROR_TEXT_MAX, "%s %.280s (%s %.60s)", phrase, destination,
			 error->reporter.length ? "ICMP from" : "so says", reporter);
	else
		snprintf(text, SEND_ERROR_TEXT_MAX, "%s: %.280s", strerror(error->code), destination);
	return text;
}

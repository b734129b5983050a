/* The socket of a client: an unconnected datagram socket of IPv4, IPv6 or AF_UNIX.
 *
 * The socket is not connected, so it receives replies from every address. It reads ICMP errors from its error queue
 * together with the destination of the datagram that caused them (IP_RECVERR, ip(7)). A connected socket would only
 * return the errno. The owner of struct client_socket closes it. All calls are non-blocking. */
#ifndef UDPRELAYD_CLIENT_CLIENT_SOCKET_H
#define UDPRELAYD_CLIENT_CLIENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

/* Size of a buffer for any UDP datagram, in bytes. */
#define CLIENT_DATAGRAM_MAX 65536

struct client_socket {
	int fd;
	struct address local; /* the bound address */
};

/* A datagram that was not delivered. The error comes from sending it or, later, from ICMP. */
struct send_error {
	int code; /* a positive errno */
	struct address destination; /* destination of the datagram */
	struct address reporter; /* the host that sent the ICMP error; length 0: this host */
	uint8_t head[64]; /* first bytes of the datagram, as many as the ICMP error contains */
	size_t head_size;
};

#define SEND_ERROR_TEXT_MAX 600

/* Opens a non-blocking socket and binds it to source, or if source is NULL to any free port of the family of
 * destination. Replaces the socket file of an AF_UNIX program that has ended. Returns 0 or a negative errno;
 * -EAFNOSUPPORT if the families differ. */
int client_socket_open(struct client_socket *client, const struct address *destination, const struct address *source);

/* Closes the socket, and removes the file of a bound AF_UNIX socket. */
void client_socket_close(struct client_socket *client);

/* Returns whether several hosts may reply to a datagram for this address: a multicast group or a broadcast address. */
bool client_socket_reaches_many(const struct address *destination);

/* Sends one datagram of size bytes. Returns 0, -EAGAIN if the send buffer is full, or another negative errno that
 * concerns this datagram. */
int client_socket_send(struct client_socket *client, const struct address *destination, const void *data, size_t size);

/* Receives one datagram without blocking. Returns its size in bytes, or -EAGAIN if there is none. A size above
 * capacity means that the rest of the datagram is lost. */
ssize_t client_socket_receive(struct client_socket *client, void *data, size_t capacity, struct address *source);

/* Reads the next ICMP error. Returns false if there is none. */
bool client_socket_next_error(struct client_socket *client, struct send_error *error);

/* Formats the error and its reporter, with the destination and, for an ICMP error, the host that sent it. Returns
 * text. */
char *send_error_format(const struct send_error *error, char text[SEND_ERROR_TEXT_MAX]);

#endif

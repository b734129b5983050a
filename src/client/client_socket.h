/* The near end of a conversation: a datagram socket that is not connected. So it hears answers wherever they come from,
 * and ICMP errors together with whom they are about (IP_RECVERR, ip(7)). */
#ifndef UDPRELAYD_CLIENT_CLIENT_SOCKET_H
#define UDPRELAYD_CLIENT_CLIENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"

/* Room for any datagram of UDP. */
#define CLIENT_DATAGRAM_MAX 65536

struct client_socket {
	int fd;
	struct address local; /* what it is bound to */
};

/* An earlier datagram did not get there. */
struct refusal {
	int error; /* a positive errno */
	struct address to; /* where it was sent to */
	struct address by; /* who says so by ICMP; length 0: the kernel of this host */
	uint8_t head[64]; /* the beginning of that datagram, as much as came back */
	size_t head_size;
};

#define REFUSAL_TEXT_MAX 600

/* Binds a non-blocking socket to from, or where that is NULL to any free port of to's family. The file of an AF_UNIX
 * socket whose program has ended is replaced. Returns 0 or a negative errno. */
int client_socket_open(struct client_socket *client, const struct address *to, const struct address *from);

/* Removes the file that an AF_UNIX one made. */
void client_socket_close(struct client_socket *client);

/* Whether answers may come from others than to itself: a group, or a broadcast. */
bool client_socket_reaches_many(const struct address *to);

/* Returns 0, -EAGAIN where there is no room in the send buffer, or another negative errno that is about this datagram.
 */
int client_socket_send(struct client_socket *client, const struct address *to, const void *data, size_t size);

/* Reads a datagram without waiting. Returns its bytes, which may be more than capacity (then the rest is lost), or
 * -EAGAIN where there is none. */
ssize_t client_socket_receive(struct client_socket *client, void *data, size_t capacity, struct address *source);

/* The next refusal that ICMP told of, if any. */
bool client_socket_refused(struct client_socket *client, struct refusal *refusal);

/* "nobody listens at 192.0.2.1:7788", and who says so, and how. Returns text. */
char *refusal_text(const struct refusal *refusal, char text[REFUSAL_TEXT_MAX]);

#endif

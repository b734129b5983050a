/* Where HTTP is spoken: one listening socket, bound while the daemon has all its rights. */
#ifndef UDPRELAYD_ADMIN_HTTP_SOCKET_H
#define UDPRELAYD_ADMIN_HTTP_SOCKET_H

#include <sys/types.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"

/* Connections at a time, of them from one IP address, and descriptors that they and the rest need. */
#define HTTP_CONNECTIONS_MAX 32
#define HTTP_CONNECTIONS_EACH 16
#define HTTP_DESCRIPTORS (HTTP_CONNECTIONS_MAX + 8)

struct http_socket {
	int fd; /* -1: not ours, or no more */
	struct address local; /* with the port it got */
	dev_t device; /* of an AF_UNIX socket, its file */
	ino_t inode;
};

/* Binds the address of [http] listen, where there is one, and tells log where that is; or what is wrong, with file and
 * line. Returns 0 or a negative errno. */
int http_socket_open(struct http_socket *socket, const struct config *config, struct log *log);

/* Closes what is still open, and removes the file of an AF_UNIX socket, where it is still ours. A second time does
 * nothing, and zeroed memory is accepted. */
void http_socket_close(struct http_socket *socket, struct log *log);

#endif

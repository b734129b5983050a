/* The listening socket of the HTTP server. It is opened before the process drops root, so that it can have a port below
 * 1024 or a file in any directory. */
#ifndef UDPRELAYD_ADMIN_HTTP_SOCKET_H
#define UDPRELAYD_ADMIN_HTTP_SOCKET_H

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/socket_file.h"

/* Maximum number of connections, of connections from one IP address, and of descriptors for HTTP in total. */
#define HTTP_CONNECTIONS_MAX 32
#define HTTP_CONNECTIONS_EACH 16
#define HTTP_DESCRIPTORS (HTTP_CONNECTIONS_MAX + 8)

struct http_socket {
	int fd; /* -1: closed, or owned by struct http */
	struct address local; /* with the port that the kernel chose */
	struct socket_file file; /* AF_UNIX only */
};

/* Binds the address of [http] listen, if it is configured, and logs the address. On failure logs the reason with file
 * and line. Returns 0 or a negative errno. */
int http_socket_open(struct http_socket *socket, const struct config *config, struct log *log);

/* Closes the descriptor if it is still here. Removes the file of an AF_UNIX socket, unless another program has replaced
 * it. A second call does nothing. Zeroed memory is accepted. */
void http_socket_close(struct http_socket *socket, struct log *log);

#endif

/* One bound socket of a listener, for one worker. A worker duplicates the descriptor and reads the duplicate. */
#ifndef UDPRELAYD_NET_LISTEN_SOCKET_H
#define UDPRELAYD_NET_LISTEN_SOCKET_H

#include <stdbool.h>

#include "base/address.h"
#include "config/config.h"
#include "net/socket_file.h"

struct listen_socket {
	const struct listener_config *config;
	struct address configured_address; /* from the configuration; port 0 means any port */
	struct address local; /* the bound address, with the port from the kernel */
	unsigned worker; /* index of the worker that reads it */
	int fd; /* -1 after close */
	struct listen_socket *shared_with; /* the previous configuration's socket with the same fd, until it is
					    * adopted; otherwise NULL */
	bool inherited; /* belongs to a .socket unit: systemd keeps it open */
	bool stored; /* systemd's file descriptor store has a duplicate */
	struct socket_file file; /* AF_UNIX only */
};

/* Saves a duplicate in systemd's file descriptor store, unless the socket is inherited or has no store name, or systemd
 * did not start the process. */
void listen_socket_save_to_fdstore(struct listen_socket *socket);

/* Removes the duplicate from the store, if there is one. */
void listen_socket_remove_from_fdstore(struct listen_socket *socket);

/* Closes the descriptor, unless it is shared with a previous socket or already closed. Removes the file of an AF_UNIX
 * socket, unless the file was replaced, or the store has a duplicate: then the next process continues to use the file.
 * Returns 0, or the negative errno of unlink(2): the file remains. */
int listen_socket_close(struct listen_socket *socket);

#endif

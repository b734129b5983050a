/* Sockets that are bound: a configuration's, for all workers. */
#ifndef UDPRELAYD_NET_LISTEN_SOCKET_H
#define UDPRELAYD_NET_LISTEN_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"

struct listen_socket {
	const struct listener_config *config;
	struct address asked; /* as the configuration has it; port 0: any */
	struct address local; /* with the port it got */
	unsigned worker; /* that it is for */
	int fd; /* workers have copies of it */
	struct listen_socket *from; /* whose socket it shares; NULL: it was bound anew */
	bool passed; /* systemd keeps it itself: it is a unit's */
	bool stored; /* systemd's store has a copy of it */
	dev_t device; /* of an AF_UNIX socket, its file */
	ino_t inode;
};

struct listen_sockets {
	struct listen_socket *items;
	size_t count;
	size_t listener_count;
	uint64_t *closed_drops; /* of the kernel, by listener: those of sockets that are closed */
	struct log *log;
	bool told; /* that a file stays behind */
};

/* Whether they all stay open when this process ends, for the next one: systemd has them. */
bool listen_sockets_survive_exit(const struct listen_sockets *sockets);

/* Whether one of sockets shares that socket of before. */
bool listen_sockets_share(const struct listen_sockets *sockets, const struct listen_socket *socket);

/* What the kernel dropped for want of room in receive buffers, by the listener's index. */
uint64_t listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener);

/* Closes one, unless it is shared, and removes the file of an AF_UNIX socket, where that is still ours. Whoever has
 * dropped the rights of root may not be permitted to, which is told once: the next start takes such a file away. */
void listen_socket_close(struct listen_sockets *sockets, struct listen_socket *socket);

/* Closes them all from the first one on; earlier ones stay. */
void listen_sockets_close_from(struct listen_sockets *sockets, size_t first);

/* Closes all, and frees. */
void listen_sockets_close(struct listen_sockets *sockets);

#endif

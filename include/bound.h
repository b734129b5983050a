/* The sockets of the configuration, bound before any thread runs. */
#ifndef UDPRELAYD_BOUND_H
#define UDPRELAYD_BOUND_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "address.h"
#include "config.h"
#include "log.h"

struct bound_socket {
	const struct listener_config *config;
	struct address local; /* with the port it got */
	unsigned worker; /* that it is for */
	int fd; /* -1 once a worker has taken it */
	dev_t device; /* of an AF_UNIX socket, its file */
	ino_t inode;
};

struct bound_sockets {
	struct bound_socket *items;
	size_t count;
	struct log *log;
	bool told; /* that a file stays behind */
};

/* Binds every address of every listener, once for each worker; AF_UNIX addresses and groups are for worker 0 alone,
 * since the kernel does not spread them. Tells log where each listens, and, as one error with file and line, what could
 * not be bound. Returns 0 or a negative errno, and then none is open. */
int bound_sockets_open(struct bound_sockets *sockets, const struct config *config, unsigned workers, struct log *log);

/* Closes what no worker took, and removes the files of AF_UNIX sockets, where they are still ours. Whoever
 * has dropped the rights of root may not be permitted to, which is told once: the next start takes such a file away. */
void bound_sockets_close(struct bound_sockets *sockets);

#endif

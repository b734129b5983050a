/* Sockets that systemd passed to us: those of a .socket unit, which the configuration calls fd:NAME, and those that an
 * earlier run left in the file descriptor store (sd_listen_fds(3), sd_pid_notify_with_fds(3)). */
#ifndef UDPRELAYD_NET_INHERITED_SOCKETS_H
#define UDPRELAYD_NET_INHERITED_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"

struct inherited_socket {
	char *name; /* FileDescriptorName= of the unit, or that in the store */
	int fd; /* -1 once it is taken */
	struct address local;
	bool stored, wanted;
};

struct inherited_sockets {
	struct inherited_socket *items;
	size_t count;
};

/* Room for a name in the store, its NUL included. */
#define STORE_NAME_MAX 256

/* Takes what systemd passed; nothing where it did not start us, or is not built in. What is no datagram socket that is
 * bound, and open to all senders, is told to log and closed. Once in the life of a process. */
void inherited_sockets_open(struct inherited_sockets *passed, struct log *log);

/* The next socket of a unit by that name, after one (NULL: the first one), or NULL. It stays open and in its place, for
 * later configurations: copy its descriptor. */
const struct inherited_socket *inherited_sockets_next(const struct inherited_sockets *passed, const char *name,
						      const struct inherited_socket *after);

/* Tells of units' sockets that no listener of the configuration uses: what is sent there waits in vain. */
void inherited_sockets_warn_unused(const struct inherited_sockets *passed, const struct config *config,
				   struct log *log);

/* --- The store --- */

/* Writes the name in the store of a worker's socket for an address of the listener: all that makes it another socket is
 * in there. An address with port 0, or an AF_UNIX one, has none. Returns whether it has one. */
bool inherited_sockets_store_name(char name[STORE_NAME_MAX], const struct listener_config *listener,
				  const struct address *address, unsigned worker);

/* Closes what of the store the configuration does not want, or what is bound to an interface that has gone, and has
 * systemd forget it, so that it is in nobody's way.
 * Returns whether there was such a socket: systemd closes its copy a moment later. */
bool inherited_sockets_discard_stale(struct inherited_sockets *passed, const struct config *config, unsigned workers);

/* The descriptor of the stored socket of that name, if it is bound to that address, or -1. It is the caller's from now
 * on. */
int inherited_sockets_take(struct inherited_sockets *passed, const char *name, const struct address *address);

void inherited_sockets_close(struct inherited_sockets *passed);

#endif

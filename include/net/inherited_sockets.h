/* Sockets inherited from systemd at the start of the process.
 * There are two kinds: sockets of a .socket unit, which the configuration names as fd:NAME, and sockets that an earlier
 * run saved in the file descriptor store (sd_listen_fds(3), sd_pid_notify_with_fds(3)).
 * The main thread owns the set from start to exit. The set keeps a unit's socket open, and listeners get duplicates.
 * A stored socket is either taken by a listener or discarded. */
#ifndef UDPRELAYD_NET_INHERITED_SOCKETS_H
#define UDPRELAYD_NET_INHERITED_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/socket_file.h"

struct inherited_socket {
	char *name; /* FileDescriptorName= of the unit, or the name in the store; owned */
	int fd; /* -1 after it was taken or discarded */
	struct address local;
	bool stored; /* from the store, not from a unit */
	bool claimed; /* stored: the configuration uses it */
};

struct inherited_sockets {
	struct inherited_socket *items;
	size_t count;
};

/* Size of the buffer for a name in the store, including the NUL. */
#define STORE_NAME_MAX 256

/* Reads the sockets that systemd passed. The set is empty if systemd did not start the process, or if the program was
 * built without libsystemd. Logs and closes each descriptor that is not a bound, unconnected datagram socket. Call it
 * once per process. */
void inherited_sockets_open(struct inherited_sockets *inherited, struct log *log);

/* Returns the next unit socket of that name after the socket `after` (NULL: the first one), or NULL. The set keeps the
 * descriptor for later configurations: duplicate it. */
const struct inherited_socket *inherited_sockets_next(const struct inherited_sockets *inherited, const char *name,
						      const struct inherited_socket *after);

/* The same for unit sockets that are bound to exactly this address. A listener with this address uses them, because the
 * unit holds the address. */
const struct inherited_socket *inherited_sockets_next_at(const struct inherited_sockets *inherited,
							 const struct address *local,
							 const struct inherited_socket *after);

/* Logs a warning for each unit socket that no listener uses: the daemon does not read datagrams sent to it. */
void inherited_sockets_warn_unused(const struct inherited_sockets *inherited, const struct config *config,
				   struct log *log);

/* --- The file descriptor store --- */

/* Writes the store name of a worker's socket for an address of the listener. Two sockets have the same name only if one
 * can replace the other: the name contains the worker, address, interface and multicast groups. The name of an AF_UNIX
 * socket contains the path and the file: clients can no longer reach a socket whose file is gone. Returns false for an
 * address with port 0, and for an AF_UNIX address without a file: these are not stored. */
bool inherited_sockets_store_name(char name[STORE_NAME_MAX], const struct listener_config *listener,
				  const struct address *address, unsigned worker, const struct socket_file *file);

/* Closes each stored socket that the configuration does not use, or whose interface or file is gone, and removes it
 * from the store, so that its port becomes free. Removes the file of an AF_UNIX socket, unless it was replaced. Returns
 * whether there was one: systemd closes its own copy a moment later, and until then bind(2) may fail with EADDRINUSE.
 */
bool inherited_sockets_discard_stale(struct inherited_sockets *inherited, const struct config *config,
				     unsigned workers);

/* Returns the descriptor of the stored socket with this name, or -1 if there is none or if it is bound to another
 * address. The caller becomes its owner. */
int inherited_sockets_take_stored(struct inherited_sockets *inherited, const char *name, const struct address *address);

/* Closes the remaining descriptors and frees the set. */
void inherited_sockets_close(struct inherited_sockets *inherited);

#endif

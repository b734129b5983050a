/* All bound sockets of one configuration, for all workers.
 * The main thread owns the set. It binds all sockets before the workers start, so that a bind error leaves the previous
 * configuration untouched. During a reload two sets exist: the new set first shares sockets with the previous set
 * (listen_sockets_open), and becomes their owner when the previous workers have stopped (listen_sockets_adopt). */
#ifndef UDPRELAYD_NET_LISTEN_SOCKETS_H
#define UDPRELAYD_NET_LISTEN_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "config/config.h"
#include "net/inherited_sockets.h"
#include "net/listen_socket.h"

struct listen_sockets {
	struct listen_socket *items;
	size_t count;
	size_t listener_count;
	uint64_t *closed_drops; /* per listener: kernel drops of sockets that are closed, in datagrams */
	struct log *log;
	bool warned; /* a warning about an AF_UNIX socket file that remains was logged */
};

/* Binds every address of every listener, one socket per worker. AF_UNIX sockets and multicast groups belong to worker 0
 * only, because the kernel does not distribute their datagrams over several sockets. Logs each bound address. Logs each
 * bind error with file and line.
 *
 * previous (may be NULL) is the set of the previous configuration, for the same number of workers. A socket with the
 * same address, interface and freebind is shared with it. A socket that an earlier run stored (inherited) is used
 * instead of a new one. fd:NAME gets duplicates of a unit's sockets, each for the next worker.
 *
 * Returns 0 or a negative errno. After an error the set is closed and empty, and previous is unchanged. */
int listen_sockets_open(struct listen_sockets *sockets, const struct config *config, unsigned workers,
			struct listen_sockets *previous, struct inherited_sockets *inherited, struct log *log);

/* Saves duplicates in systemd's file descriptor store for the next run. */
void listen_sockets_save_to_fdstore(struct listen_sockets *sockets);

/* Returns whether systemd keeps all sockets open after this process exits: the next process continues to read them. */
bool listen_sockets_survive_exit(const struct listen_sockets *sockets);

/* Returns whether one of sockets shares this socket of the previous configuration. */
bool listen_sockets_share(const struct listen_sockets *sockets, const struct listen_socket *socket);

/* Stops new datagrams on the sockets of previous that are not shared. Call it before the workers of previous read for
 * the last time. From then on, datagrams for these addresses go to other sockets that cover the address. */
void listen_sockets_stop_receiving(const struct listen_sockets *sockets, const struct listen_sockets *previous);

/* Becomes the owner of the shared sockets, and applies the new buffer sizes and multicast groups to them. Closes the
 * other sockets of previous, removes them from the store, logs their addresses and keeps their kernel drops. */
void listen_sockets_adopt(struct listen_sockets *sockets, struct listen_sockets *previous);

/* Returns the datagrams that the kernel dropped because the receive buffers of this listener were full. listener is its
 * index. Closed sockets are included. */
uint64_t listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener);

/* Closes the sockets from index first on; the others stay open. Logs one warning per set if an AF_UNIX socket file
 * cannot be removed: after the process has dropped root privileges it may lack the permission, and the next start
 * removes the file. */
void listen_sockets_close_from(struct listen_sockets *sockets, size_t first);

/* Closes all sockets and frees the set. */
void listen_sockets_close(struct listen_sockets *sockets);

#endif

/* The sockets of the configuration, bound before any thread runs. */
#ifndef UDPRELAYD_NET_LISTEN_SOCKETS_H
#define UDPRELAYD_NET_LISTEN_SOCKETS_H

#include "base/log.h"
#include "config/config.h"
#include "net/inherited_sockets.h"
#include "net/listen_socket.h"

/* Binds every address of every listener, once for each worker; AF_UNIX addresses and groups are for worker 0 alone,
 * since the kernel does not spread them. Tells log where each listens, and, as one error with file and line, what could
 * not be bound. before (NULL: nothing is) are those of an earlier configuration, for as many workers: a socket of the
 * same address, interface and freebind is not bound again, but shared with them for now. Of passed, what an
 * earlier run stored is not bound again either; fd:NAME gets copies of units' sockets, each for the next worker.
 * Returns 0 or a negative errno, and then none is open but theirs. */
int listen_sockets_open(struct listen_sockets *sockets, const struct config *config, unsigned workers,
			struct listen_sockets *before, struct inherited_sockets *passed, struct log *log);

/* Leaves copies in systemd's store, where the next run finds them. */
void listen_sockets_save_to_fdstore(struct listen_sockets *sockets);

/* Before the workers of before read for the last time: what is closed for good hears nothing new any more, which is
 * left to sockets that cover its address. */
void listen_sockets_stop_receiving(const struct listen_sockets *sockets, const struct listen_sockets *before);

/* Takes over for good what is shared with before, with buffers and groups as they are to be from now on, and counts
 * what the kernel has dropped of the others, which are closed and leave the store. These are told, too. */
void listen_sockets_adopt(struct listen_sockets *sockets, struct listen_sockets *before);

#endif

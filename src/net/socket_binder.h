/* Opens the sockets for the addresses of a configuration. The binder tries these sources in this order: a socket of a
 * systemd unit at exactly this address, a socket of the previous configuration (shared), a socket that an earlier run
 * stored, a new socket. fd:NAME uses sockets of a systemd unit only. listen_sockets_open() owns the binder; the new sockets belong to `sockets`. */
#ifndef UDPRELAYD_NET_SOCKET_BINDER_H
#define UDPRELAYD_NET_SOCKET_BINDER_H

#include "net/inherited_sockets.h"
#include "net/listen_sockets.h"

struct socket_binder {
	struct listen_sockets *sockets; /* the new sockets are added here */
	struct listen_sockets *previous; /* sockets to share; may be NULL */
	struct inherited_sockets *inherited;
	const struct config *config;
	unsigned workers;
	unsigned retries_left; /* for addresses that systemd is about to release; shared by all addresses */
	struct log *log;
};

/* Adds the sockets for one configured address, for all workers. Logs an error. Returns 0 or a negative errno; after an
 * error the sockets that were added before it stay in the set. */
int socket_binder_bind(struct socket_binder *binder, const struct listener_config *listener,
		       const struct bind_config *bind);

#endif

/* From the addresses of a configuration to sockets: shared with the configuration before, left by an earlier run,
 * passed by systemd, or bound anew. */
#ifndef UDPRELAYD_NET_SOCKET_BINDER_H
#define UDPRELAYD_NET_SOCKET_BINDER_H

#include "net/inherited_sockets.h"
#include "net/listen_socket.h"

struct socket_binder {
	struct listen_sockets *sockets, *before;
	struct inherited_sockets *passed;
	const struct config *config;
	unsigned workers;
	unsigned attempts; /* that are left for addresses which systemd is about to give up */
	struct log *log;
};

/* Adds the sockets of one address as it is written, for all workers. What cannot be bound is told to the log. Returns 0
 * or a negative errno; what was added before stays. */
int socket_binder_bind(struct socket_binder *binder, const struct listener_config *listener,
		       const struct bind_config *bind);

#endif

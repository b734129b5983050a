/* What the user is told where a socket cannot be had: file, line, key and remedy, as one error in the log. */
#ifndef UDPRELAYD_NET_BIND_ERROR_H
#define UDPRELAYD_NET_BIND_ERROR_H

#include <stdbool.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/socket.h"

/* What the user can do when bind(2) at the address fails with this positive errno. stream: a socket of connections. */
const char *bind_error_hint(const struct address *address, bool stream, int error);

/* An address, or the listener's interface, cannot be bound. */
void bind_error_log(struct log *log, const struct config *config, const struct listener_config *listener,
		    const struct bind_config *bind, const struct socket_error *error);

/* A group cannot be joined. */
void bind_error_log_group(struct log *log, const struct config *config, const struct listener_config *listener,
			  const struct multicast_config *group, const struct socket_error *error);

#endif

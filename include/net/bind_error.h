/* Log messages for sockets that cannot be bound, and for multicast groups that cannot be joined. A message is one line
 * of level error: file, line, section, key, hint, failed call and its errno. */
#ifndef UDPRELAYD_NET_BIND_ERROR_H
#define UDPRELAYD_NET_BIND_ERROR_H

#include <stdbool.h>

#include "base/address.h"
#include "base/log.h"
#include "config/config.h"
#include "net/socket.h"

/* Returns a hint for the user: why bind(2) to the address failed with this positive errno, and the fix. stream is true
 * for a stream socket, false for a datagram socket. The string is static. */
const char *bind_error_hint(const struct address *address, bool stream, int error);

/* The reason and the fix for an interface that does not exist. */
#define BIND_ERROR_NO_INTERFACE "no such interface: write one that `ip link` lists"

/* Logs that bind could not be bound, or that the listener's interface could not (error->call is SO_BINDTODEVICE). An
 * address from a command line has no file and line. */
void bind_error_log(struct log *log, const struct config *config, const struct listener_config *listener,
		    const struct bind_config *bind, const struct socket_error *error);

/* Logs that the listener could not join the group. */
void bind_error_log_group(struct log *log, const struct config *config, const struct listener_config *listener,
			  const struct multicast_config *group, const struct socket_error *error);

#endif

/* System calls for sockets: bound sockets for listeners, connected sockets for peers. The functions keep no state.
 * The caller owns each returned descriptor and closes it with close(2). Buffer sizes are in bytes. */
#ifndef UDPRELAYD_NET_SOCKET_H
#define UDPRELAYD_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

/* Why a socket could not be created. */
struct socket_error {
	const char *call; /* failed call or socket option, for the message; static */
	int error; /* positive errno */
};

/* --- Listeners --- */

/* Creates a non-blocking datagram socket for the listener and binds it. Sets the listener's interface and freebind, GRO
 * and, for a wildcard address, PKTINFO. Does not set buffers and does not join groups: the socket receives no multicast
 * until it joins a group.
 * port_shared: more sockets will be bound to the same port. The first of them must set port_owner: its bind fails if
 * another program has the port. Returns the descriptor, or -1 and fills *error. */
int socket_bind(const struct listener_config *config, const struct address *address, bool port_owner, bool port_shared,
		struct socket_error *error);

/* Creates a non-blocking stream socket, binds it and listens with this backlog. Replaces the file of an AF_UNIX socket
 * whose program has ended. Returns the descriptor, or -1 and fills *error. */
int socket_listen(const struct address *address, int backlog, struct socket_error *error);

/* Allows other sockets of this user to bind the same port (SO_REUSEPORT). Returns 0 or a negative errno. */
int socket_share_port(int fd);

/* Returns whether the socket is bound to the interface that has this name now; true for "". False after the interface
 * was deleted and created again. */
bool socket_is_bound_to_device(int fd, const char *name);

/* Stops new datagrams on a UDP socket that is bound to local; datagrams in its receive buffer can still be read. The
 * port's datagrams go to other sockets from now on. Errors are ignored: then the socket continues to receive. */
void socket_stop_receiving(int fd, const struct address *local);

/* Prepares an inherited or stored socket, bound to local, for a listener: the same options as socket_bind() sets,
 * except interface and freebind, which stay as they are. Rejects an IPv6 wildcard socket that also receives IPv4
 * (without IPV6_V6ONLY): its IPv4-mapped sources could not be distinguished from forged ones. Returns 0, or -1 and
 * fills *error. */
int socket_adopt(int fd, const struct address *local, bool port_shared, struct socket_error *error);

/* Joins or leaves a multicast group. Returns 0 or a negative errno. */
int socket_join(int fd, const struct multicast_config *group);
int socket_leave(int fd, const struct multicast_config *group);

/* Returns the number of datagrams that the kernel dropped because the receive buffer was full; 0 if the kernel does not
 * report it. */
uint64_t socket_kernel_drops(int fd);

/* --- Peers --- */

/* Creates a non-blocking datagram socket and connects it to a peer. The socket never receives: the kernel discards the
 * replies of the peer. Returns the descriptor or a negative errno. */
int socket_open_send_only(const struct address *peer, int send_buffer);

/* Like socket_open_send_only(), but the socket receives the replies of the peer, one datagram per read. An AF_UNIX
 * socket gets a name from the kernel, so that the peer can reply (unix(7), autobind).
 * Neither function connects a socket to itself. That could happen if no socket is bound to the peer's port of this host
 * and the kernel assigns this port to the new socket. After the second such try they return -EADDRINUSE. */
int socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer);

/* --- Both --- */

/* Lets a UDP socket receive trains of datagrams in one buffer (UDP_GRO). An older kernel ignores it. */
void socket_enable_gro(int fd);

/* Returns the size of a buffer. option is SO_RCVBUF or SO_SNDBUF. */
int socket_buffer(int fd, int option);

/* Requests a buffer size. Returns the granted size, in the unit of the request (the kernel doubles it for its own
 * needs, socket(7)). */
int socket_set_buffer(int fd, int option, int bytes);

/* Returns whether a datagram can be read now. */
bool socket_has_input(int fd);

/* Returns whether a new UDP socket to the peer would have another local IP address than this one. */
bool socket_has_old_address(int fd, const struct address *peer);

/* Reads and counts the datagrams that wait in a connected socket, before it is closed. udp is true for a UDP socket,
 * false for an AF_UNIX socket. First stops new datagrams, so that none is lost between the last read and close(2). */
void socket_drain(int fd, bool udp, uint64_t *datagrams, uint64_t *bytes);

#endif

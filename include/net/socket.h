/* Sockets as udprelayd wants them: bound ones for listeners, connected ones for peers. */
#ifndef UDPRELAYD_NET_SOCKET_H
#define UDPRELAYD_NET_SOCKET_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "config/config.h"

/* Why a bound socket could not be had: the call that failed, for the message. */
struct socket_error {
	const char *call;
	int error; /* a positive errno */
};

/* Binds a non-blocking datagram socket for the listener, with its options: device, freebind, buffers, GRO and, where
 * address is a wildcard, PKTINFO. Where port_shared is set, further sockets may be bound to the same port: the first
 * must come with port_owner too, and fails when anybody else has the port. Does not join groups. Returns the
 * descriptor, or -1 and fills *error. */
int socket_bind(const struct listener_config *config, const struct address *address, bool port_owner, bool port_shared,
		struct socket_error *error);

/* Binds a non-blocking stream socket and listens on it, with so long a queue. The file of an AF_UNIX socket whose
 * program has ended is replaced. Returns the descriptor, or -1 and fills *error. */
int socket_listen(const struct address *address, int backlog, struct socket_error *error);

/* Lets other sockets of this user bind the same port. Returns 0 or a negative errno. */
int socket_share_port(int fd);

/* Whether it is bound to the device that has this name now; "": to any. One that was made anew is another. */
bool socket_is_bound_to_device(int fd, const char *name);

/* What it has of SO_RCVBUF or SO_SNDBUF, in bytes. */
int socket_buffer(int fd, int option);

/* Makes a UDP socket hear nobody but itself, while what waits in it can still be read: its port's datagrams are other
 * sockets' from now on. Where that fails they are not. */
void socket_stop_receiving(int fd, const struct address *local);

/* Makes a bound socket, which came from elsewhere, such a one; its device and freebind stay as they are. One of IPv6
 * that takes IPv4, too, is refused (IPV6_V6ONLY): whose addresses these are could not be told from forged ones. Returns
 * 0, or -1 and fills *error. */
int socket_adopt(int fd, const struct address *local, bool port_shared, struct socket_error *error);

/* Joins or leaves a group. Returns 0 or a negative errno. */
int socket_join(int fd, const struct multicast_config *group);
int socket_leave(int fd, const struct multicast_config *group);

/* Connects a non-blocking datagram socket to a peer; it receives nothing, ever: what peers answer is discarded in the
 * kernel. Returns the descriptor or a negative errno. */
int socket_open_send_only(const struct address *peer, int send_buffer);

/* The same for a socket that hears what the peer answers, datagram by datagram. An AF_UNIX one gets a name from the
 * kernel, to be answered at (unix(7), autobind). Never is the socket connected to itself, which happens where nobody
 * listens at the peer's port of this host and the kernel gives just that to us. */
int socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer);

/* From here the UDP socket gives trains as the kernel keeps them (UDP_GRO), where it knows how to. */
void socket_enable_gro(int fd);

/* Asks for a buffer (SO_RCVBUF or SO_SNDBUF). Returns the bytes granted, as they were asked for (socket(7): the kernel
 * doubles them for its own needs). */
int socket_set_buffer(int fd, int option, int bytes);

/* Whether something waits to be read. */
bool socket_has_input(int fd);

/* Of a connected socket (a UDP or an AF_UNIX one) that is about to be closed: reads away what waits, and counts it.
 * Nothing comes in any more from then on, so that nothing is lost between the last read and close(2). */
void socket_drain(int fd, bool udp, uint64_t *datagrams, uint64_t *bytes);

/* Datagrams that the kernel dropped for want of room in the receive buffer; 0 where it does not say. */
uint64_t socket_kernel_drops(int fd);

#endif

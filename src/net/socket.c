#include "net/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/sock_diag.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int set_flag(int fd, int level, int option)
{
	int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on));
}

static int open_datagram(int family)
{
	return socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

/* The kernel doubles a requested size, and getsockopt(2) returns twice the size (socket(7)). */
int socket_buffer(int fd, int option)
{
	int granted = 0;
	socklen_t size = sizeof(granted);

	getsockopt(fd, SOL_SOCKET, option, &granted, &size);
	return granted / 2;
}

int socket_set_buffer(int fd, int option, int bytes)
{
	int force = option == SO_RCVBUF ? SO_RCVBUFFORCE : SO_SNDBUFFORCE;

	/* May exceed net.core.rmem_max and wmem_max, but needs CAP_NET_ADMIN (socket(7)). */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)))
		setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
	return socket_buffer(fd, option);
}

uint64_t socket_kernel_drops(int fd)
{
	uint32_t info[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(info);

	if (getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &size))
		return 0;
	return info[SK_MEMINFO_DROPS];
}

/* Without this a wildcard socket receives the datagrams of every group that any program on the host has joined (ip(7),
 * IP_MULTICAST_ALL). Errors are ignored: IPv6 has the option since Linux 4.20. */
static void receive_joined_groups_only(int fd, int family)
{
	int off = 0;

	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof(off));
}

/* Sets the options that must precede bind(2). Returns the option that failed, or NULL. */
static const char *set_bind_options(int fd, const struct listener_config *config, int family)
{
	if (family == AF_UNIX)
		return NULL;
	if (family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		return "IPV6_V6ONLY";
	if (config->freebind && set_flag(fd, IPPROTO_IP, IP_FREEBIND))
		return "IP_FREEBIND";
	if (config->interface[0] &&
	    setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, config->interface, (socklen_t)strlen(config->interface)))
		return "SO_BINDTODEVICE";
	receive_joined_groups_only(fd, family);
	return NULL;
}

/* A wildcard socket needs PKTINFO to learn the destination of each datagram. GRO and the hop limit are optional:
 * without them the kernel delivers single datagrams, and the ring guard examines more of them. Returns the option that
 * failed, or NULL. */
static const char *set_receive_options(int fd, const struct address *address)
{
	if (address->any.sa_family == AF_UNIX)
		return NULL;
	socket_enable_gro(fd);
	if (address->any.sa_family == AF_INET)
		set_flag(fd, IPPROTO_IP, IP_RECVTTL);
	else
		set_flag(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT);
	if (!address_is_wildcard(address))
		return NULL;
	if (address->any.sa_family == AF_INET)
		return set_flag(fd, IPPROTO_IP, IP_PKTINFO) ? "IP_PKTINFO" : NULL;
	return set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) ? "IPV6_RECVPKTINFO" : NULL;
}

/* Preserves errno. Accepts -1. */
static void close_keep_errno(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

/* Returns whether the file belongs to a socket whose program ended without removing it: then connect(2) fails with
 * ECONNREFUSED. It fails in the same way for files of other kinds, hence the check with lstat(2). If the result is
 * false, errno is EADDRINUSE, EEXIST for a file of another kind, or an error of lstat(2). */
static bool is_stale_socket_file(const struct address *address)
{
	struct stat status;
	int probe;
	bool refused;

	errno = EADDRINUSE;
	if (lstat(address->local.sun_path, &status))
		return false;
	if (!S_ISSOCK(status.st_mode)) {
		errno = EEXIST;
		return false;
	}
	probe = open_datagram(AF_UNIX);
	refused = probe >= 0 && connect(probe, &address->any, address->length) && errno == ECONNREFUSED;
	if (probe >= 0)
		close(probe);
	errno = EADDRINUSE;
	return refused;
}

static int bind_unix(int fd, const struct address *address)
{
	if (!bind(fd, &address->any, address->length))
		return 0;
	if (errno != EADDRINUSE)
		return -1;
	if (!is_stale_socket_file(address) || unlink(address->local.sun_path))
		return -1;
	return bind(fd, &address->any, address->length);
}

/* The owner of a port binds it without SO_REUSEPORT, so that bind(2) fails if another program has the port. It sets
 * SO_REUSEPORT afterwards, for the sockets of the other workers. Returns the call that failed, or NULL. */
static const char *bind_port(int fd, const struct address *address, bool port_owner, bool port_shared)
{
	if (port_shared && !port_owner && set_flag(fd, SOL_SOCKET, SO_REUSEPORT))
		return "SO_REUSEPORT";
	if (bind(fd, &address->any, address->length))
		return "bind";
	if (port_shared && port_owner && set_flag(fd, SOL_SOCKET, SO_REUSEPORT))
		return "SO_REUSEPORT";
	return NULL;
}

int socket_bind(const struct listener_config *config, const struct address *address, bool port_owner, bool port_shared,
		struct socket_error *error)
{
	int family = address->any.sa_family;
	int fd = open_datagram(family);
	const char *failed = fd < 0 ? "socket" : set_bind_options(fd, config, family);

	if (!failed && family == AF_UNIX)
		failed = bind_unix(fd, address) ? "bind" : NULL;
	else if (!failed)
		failed = bind_port(fd, address, port_owner, port_shared);
	if (!failed)
		failed = set_receive_options(fd, address);
	if (!failed)
		return fd;

	*error = (struct socket_error){failed, errno};
	close_keep_errno(fd);
	return -1;
}

/* SO_REUSEADDR: connections of an earlier process in state TIME_WAIT must not block the port. Returns the call that
 * failed, or NULL. */
static const char *bind_stream(int fd, const struct address *address)
{
	int family = address->any.sa_family;

	if (family == AF_UNIX)
		return bind_unix(fd, address) ? "bind" : NULL;
	if (set_flag(fd, SOL_SOCKET, SO_REUSEADDR))
		return "SO_REUSEADDR";
	if (family == AF_INET6 && set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY))
		return "IPV6_V6ONLY";
	return bind(fd, &address->any, address->length) ? "bind" : NULL;
}

int socket_listen(const struct address *address, int backlog, struct socket_error *error)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	const char *failed = fd < 0 ? "socket" : bind_stream(fd, address);

	if (!failed && listen(fd, backlog))
		failed = "listen";
	if (!failed)
		return fd;
	*error = (struct socket_error){failed, errno};
	close_keep_errno(fd);
	return -1;
}

int socket_share_port(int fd)
{
	return set_flag(fd, SOL_SOCKET, SO_REUSEPORT) ? -errno : 0;
}

/* Connects the socket to its own address: a connected UDP socket receives only from its peer (udp(7)). */
void socket_stop_receiving(int fd, const struct address *local)
{
	struct address self = *local;

	if (address_is_wildcard(local))
		address_from_ip(&self, local->any.sa_family == AF_INET ? "127.0.0.1" : "::1", address_port(local));
	connect(fd, &self.any, self.length);
}

static bool receives_both_families(int fd, const struct address *local)
{
	int v6only = 0;
	socklen_t size = sizeof(v6only);

	return local->any.sa_family == AF_INET6 && address_is_wildcard(local) &&
	       !getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &size) && !v6only;
}

/* The kernel stores the index of the interface, and getsockopt(2) returns the current name of this index. An interface
 * that is created again gets another index. */
bool socket_is_bound_to_device(int fd, const char *name)
{
	char device[IF_NAMESIZE] = "";
	socklen_t size = sizeof(device);

	return !*name || (!getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) && !strcmp(device, name));
}

/* Returns the call that failed, or NULL. */
static const char *prepare_adopted(int fd, const struct address *local, bool port_shared)
{
	if (receives_both_families(fd, local)) {
		errno = EAFNOSUPPORT;
		return "IPV6_V6ONLY";
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))
		return "fcntl";
	if (local->any.sa_family == AF_UNIX)
		return NULL;
	if (port_shared && set_flag(fd, SOL_SOCKET, SO_REUSEPORT))
		return "SO_REUSEPORT";
	receive_joined_groups_only(fd, local->any.sa_family);
	return set_receive_options(fd, local);
}

int socket_adopt(int fd, const struct address *local, bool port_shared, struct socket_error *error)
{
	const char *failed = prepare_adopted(fd, local, port_shared);

	if (!failed)
		return 0;
	*error = (struct socket_error){failed, errno};
	return -1;
}

static int change_group(int fd, int option, const struct multicast_config *group)
{
	int level = group->group.any.sa_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
	struct group_req request = {0};

	if (group->interface[0]) {
		request.gr_interface = if_nametoindex(group->interface);
		if (!request.gr_interface)
			return -ENODEV;
	}
	memcpy(&request.gr_group, &group->group.any, group->group.length);
	return setsockopt(fd, level, option, &request, sizeof(request)) ? -errno : 0;
}

int socket_join(int fd, const struct multicast_config *group)
{
	return change_group(fd, MCAST_JOIN_GROUP, group);
}

int socket_leave(int fd, const struct multicast_config *group)
{
	return change_group(fd, MCAST_LEAVE_GROUP, group);
}

/* Replies to forwarded datagrams are not used. A socket filter that accepts 0 bytes makes the kernel discard them
 * before they enter the receive buffer. */
static void discard_input(int fd)
{
	struct sock_filter accept_nothing = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog program = {1, &accept_nothing};

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* Binds the socket to a unique name from the kernel (unix(7), autobind). */
static int bind_unique_name(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	return bind(fd, (const struct sockaddr *)&name, sizeof(name.sun_family));
}

static bool is_own_address(int fd, const struct address *peer)
{
	struct address own = {.length = sizeof(own) - offsetof(struct address, any)};

	return peer->any.sa_family != AF_UNIX && !getsockname(fd, &own.any, &own.length) && address_equal(&own, peer);
}

/* Returns 0 or a negative errno: -EADDRINUSE if the kernel gave the peer's address to the socket itself. */
static int connect_to_peer(int fd, const struct address *peer)
{
	if (connect(fd, &peer->any, peer->length))
		return -errno;
	return is_own_address(fd, peer) ? -EADDRINUSE : 0;
}

static void set_up_send_only(int fd, int family, int send_buffer)
{
	socket_set_buffer(fd, SO_SNDBUF, send_buffer);
	discard_input(fd);
	if (family != AF_UNIX)
		set_flag(fd, SOL_SOCKET, SO_BROADCAST);
}

static void set_up_duplex(int fd, int family, int receive_buffer, int send_buffer)
{
	socket_set_buffer(fd, SO_RCVBUF, receive_buffer);
	socket_set_buffer(fd, SO_SNDBUF, send_buffer);
	if (family == AF_UNIX)
		bind_unique_name(fd);
}

/* receive_buffer is 0 for a send-only socket. Returns the descriptor or a negative errno. */
static int open_connected(const struct address *peer, int receive_buffer, int send_buffer)
{
	int family = peer->any.sa_family;
	int fd = open_datagram(family), error;

	if (fd < 0)
		return -errno;
	if (receive_buffer)
		set_up_duplex(fd, family, receive_buffer, send_buffer);
	else
		set_up_send_only(fd, family, send_buffer);
	error = connect_to_peer(fd, peer);
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* A socket that was connected to itself by chance is unlikely to be so a second time. */
static int open_connected_retry(const struct address *peer, int receive_buffer, int send_buffer)
{
	int fd = open_connected(peer, receive_buffer, send_buffer);

	return fd == -EADDRINUSE ? open_connected(peer, receive_buffer, send_buffer) : fd;
}

int socket_open_send_only(const struct address *peer, int send_buffer)
{
	return open_connected_retry(peer, 0, send_buffer);
}

int socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer)
{
	return open_connected_retry(peer, receive_buffer, send_buffer);
}

bool socket_has_old_address(int fd, const struct address *peer)
{
	struct address old = {.length = sizeof(old.v6)}, now = old;
	int probe = open_connected(peer, 0, 0);
	bool differs = probe >= 0 && !getsockname(fd, &old.any, &old.length) &&
		       !getsockname(probe, &now.any, &now.length) && !address_same_host(&old, &now);

	if (probe >= 0)
		close(probe);
	return differs;
}

bool socket_has_input(int fd)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};

	return poll(&input, 1, 0) == 1 && input.revents & POLLIN;
}

/* Limit of receive errors in socket_drain(), so that the loop always ends. */
#define DRAIN_ERRORS_MAX 64

/* Returns the number of datagrams in one received message: more than one if the socket has UDP_GRO. */
static uint64_t count_datagrams(struct msghdr *message, size_t size)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int segment;

	if (!c || c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO || c->cmsg_len != CMSG_LEN(sizeof(segment)))
		return 1;
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment > 0 && size ? (size + (size_t)segment - 1) / (size_t)segment : 1;
}

/* Stops new datagrams, but keeps those in the receive buffer. A UDP socket releases a port that the kernel chose when
 * it is disconnected (AF_UNSPEC). An AF_UNIX socket would lose its receive buffer that way, so it is shut down: then
 * its senders get EPIPE. */
static void stop_input(int fd, bool udp)
{
	struct sockaddr unspecified = {.sa_family = AF_UNSPEC};

	if (udp)
		connect(fd, &unspecified, sizeof(unspecified));
	else
		shutdown(fd, SHUT_RD);
}

void socket_drain(int fd, bool udp, uint64_t *datagrams, uint64_t *bytes)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	ssize_t size;

	stop_input(fd, udp);
	*datagrams = *bytes = 0;
	for (int errors = 0; errors < DRAIN_ERRORS_MAX;) {
		struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};

		size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && errno == EAGAIN)
			return;
		if (size < 0) {
			errors++; /* usually the pending ICMP error of an earlier send */
			continue;
		}
		*datagrams += count_datagrams(&message, (size_t)size);
		*bytes += (uint64_t)size;
	}
}

void socket_enable_gro(int fd)
{
	set_flag(fd, SOL_UDP, UDP_GRO);
}

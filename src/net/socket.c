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

/* The kernel tells twice of what was asked for (socket(7)). */
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

/* Without this a wildcard socket hears every group that any program on the host has joined. */
static void hear_own_groups(int fd, int family)
{
	int off = 0;

	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof(off));
	else
		setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &off, sizeof(off));
}

/* Before bind(2). Returns the name of the call that failed, or NULL. */
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
	hear_own_groups(fd, family);
	return NULL;
}

/* A wildcard socket has to ask where each datagram was sent to. GRO is a gift: a kernel without it sends single ones.
 */
static const char *set_receive_options(int fd, const struct address *address)
{
	if (address->any.sa_family == AF_UNIX)
		return NULL;
	socket_enable_gro(fd);
	if (!address_is_wildcard(address))
		return NULL;
	if (address->any.sa_family == AF_INET)
		return set_flag(fd, IPPROTO_IP, IP_PKTINFO) ? "IP_PKTINFO" : NULL;
	return set_flag(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO) ? "IPV6_RECVPKTINFO" : NULL;
}

/* Closes a descriptor, but not over errno. */
static void close_quietly(int fd)
{
	int error = errno;

	if (fd >= 0)
		close(fd);
	errno = error;
}

/* Whether the file belongs to a socket whose reader ended without removing it: that refuses connections, as files of
 * other kinds do. Where not, errno tells why: EADDRINUSE, or EEXIST for another kind. */
static bool is_left_over(const struct address *address)
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
	if (!is_left_over(address) || unlink(address->local.sun_path))
		return -1;
	return bind(fd, &address->any, address->length);
}

/* The owner of a port binds it alone, so that it is told when somebody else has it, and only then lets others in. */
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
	close_quietly(fd);
	return -1;
}

/* What was connected to an earlier process may linger (TIME_WAIT): it does not hold the port. */
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
	close_quietly(fd);
	return -1;
}

int socket_share_port(int fd)
{
	return set_flag(fd, SOL_SOCKET, SO_REUSEPORT) ? -errno : 0;
}

/* A connected socket hears only what it is connected to (udp(7)). */
void socket_stop_receiving(int fd, const struct address *local)
{
	struct address self = *local;

	if (address_is_wildcard(local))
		address_from_ip(&self, local->any.sa_family == AF_INET ? "127.0.0.1" : "::1", address_port(local));
	connect(fd, &self.any, self.length);
}

static bool takes_both_families(int fd, const struct address *local)
{
	int v6only = 0;
	socklen_t size = sizeof(v6only);

	return local->any.sa_family == AF_INET6 && address_is_wildcard(local) &&
	       !getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &size) && !v6only;
}

/* The kernel goes by a number, which no other interface gets, and tells the name that it has now. */
bool socket_is_bound_to_device(int fd, const char *name)
{
	char device[IF_NAMESIZE] = "";
	socklen_t size = sizeof(device);

	return !*name || (!getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &size) && !strcmp(device, name));
}

/* Returns the name of the call that failed, or NULL. */
static const char *adopt(int fd, const struct address *local, bool port_shared)
{
	if (takes_both_families(fd, local)) {
		errno = EAFNOSUPPORT;
		return "IPV6_V6ONLY";
	}
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) || fcntl(fd, F_SETFL, O_NONBLOCK))
		return "fcntl";
	if (local->any.sa_family == AF_UNIX)
		return NULL;
	if (port_shared && set_flag(fd, SOL_SOCKET, SO_REUSEPORT))
		return "SO_REUSEPORT";
	hear_own_groups(fd, local->any.sa_family);
	return set_receive_options(fd, local);
}

int socket_adopt(int fd, const struct address *local, bool port_shared, struct socket_error *error)
{
	const char *failed = adopt(fd, local, port_shared);

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

/* What a peer answers to a forwarded datagram is for nobody: a filter that accepts no byte discards it at no cost. */
static void discard_input(int fd)
{
	struct sock_filter nothing = {.code = BPF_RET | BPF_K, .k = 0};
	struct sock_fprog program = {1, &nothing};

	setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

/* The kernel chooses a name that nobody else has. */
static int autobind(int fd)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	return bind(fd, (const struct sockaddr *)&name, sizeof(name.sun_family));
}

static bool is_own_name(int fd, const struct address *peer)
{
	struct address own = {.length = sizeof(own) - offsetof(struct address, any)};

	return peer->any.sa_family != AF_UNIX && !getsockname(fd, &own.any, &own.length) && address_equal(&own, peer);
}

/* Returns 0 or a negative errno. */
static int connect_to(int fd, const struct address *peer)
{
	if (connect(fd, &peer->any, peer->length))
		return -errno;
	return is_own_name(fd, peer) ? -EADDRINUSE : 0;
}

static void set_up_one_way(int fd, int family, int send_buffer)
{
	socket_set_buffer(fd, SO_SNDBUF, send_buffer);
	discard_input(fd);
	if (family != AF_UNIX)
		set_flag(fd, SOL_SOCKET, SO_BROADCAST);
}

static void set_up_both_ways(int fd, int family, int receive_buffer, int send_buffer)
{
	socket_set_buffer(fd, SO_RCVBUF, receive_buffer);
	socket_set_buffer(fd, SO_SNDBUF, send_buffer);
	if (family == AF_UNIX)
		autobind(fd);
}

/* receive_buffer: 0 for one way. */
static int open_connected(const struct address *peer, int receive_buffer, int send_buffer)
{
	int family = peer->any.sa_family;
	int fd = open_datagram(family), error;

	if (fd < 0)
		return -errno;
	if (receive_buffer)
		set_up_both_ways(fd, family, receive_buffer, send_buffer);
	else
		set_up_one_way(fd, family, send_buffer);
	error = connect_to(fd, peer);
	if (!error)
		return fd;
	close(fd);
	return error;
}

/* By chance a socket is connected to itself; hardly twice. */
static int open_connected_elsewhere(const struct address *peer, int receive_buffer, int send_buffer)
{
	int fd = open_connected(peer, receive_buffer, send_buffer);

	return fd == -EADDRINUSE ? open_connected(peer, receive_buffer, send_buffer) : fd;
}

int socket_open_send_only(const struct address *peer, int send_buffer)
{
	return open_connected_elsewhere(peer, 0, send_buffer);
}

int socket_open_duplex(const struct address *peer, int receive_buffer, int send_buffer)
{
	return open_connected_elsewhere(peer, receive_buffer, send_buffer);
}

bool socket_has_input(int fd)
{
	struct pollfd input = {.fd = fd, .events = POLLIN};

	return poll(&input, 1, 0) == 1 && input.revents & POLLIN;
}

/* Errors that are met while a socket is read away, at most. */
#define DISCARD_ERRORS 64

/* Datagrams of a message: several where the socket keeps trains (UDP_GRO). */
static uint64_t count_datagrams(struct msghdr *message, size_t size)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(message);
	int segment;

	if (!c || c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO || c->cmsg_len != CMSG_LEN(sizeof(segment)))
		return 1;
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	return segment > 0 && size ? (size + (size_t)segment - 1) / (size_t)segment : 1;
}

/* Without a peer, a UDP socket whose port the kernel chose gives that up at once, and keeps what has come. An AF_UNIX
 * one would throw that away; but it can be shut, and then senders are refused. */
static void stop_input(int fd, bool udp)
{
	struct sockaddr nobody = {.sa_family = AF_UNSPEC};

	if (udp)
		connect(fd, &nobody, sizeof(nobody));
	else
		shutdown(fd, SHUT_RD);
}

void socket_drain(int fd, bool udp, uint64_t *datagrams, uint64_t *bytes)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	ssize_t size;

	stop_input(fd, udp);
	*datagrams = *bytes = 0;
	for (int errors = 0; errors < DISCARD_ERRORS;) {
		struct msghdr message = {.msg_control = control, .msg_controllen = sizeof(control)};

		size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);
		if (size < 0 && errno == EAGAIN)
			return;
		if (size < 0) {
			errors++; /* of an earlier send, most likely */
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

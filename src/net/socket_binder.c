#include "net/socket_binder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/bind_error.h"
#include "net/socket.h"

/* '*:0' needs one port that is free in both families. The kernel chooses it for IPv4; in IPv6 it may be in use. */
#define ANY_PORT_ATTEMPTS 16

/* Pause between two attempts to bind an address that systemd is about to release. */
#define STALE_RETRY_MS 10

static struct listen_socket *add_socket(struct socket_binder *binder, const struct listener_config *listener,
					unsigned worker, int fd)
{
	struct listen_socket *socket = &binder->sockets->items[binder->sockets->count++];

	*socket = (struct listen_socket){.config = listener, .worker = worker, .fd = fd};
	return socket;
}

/* --- Sockets of the previous configuration --- */

/* Returns whether the socket can serve the listener at this configured address. With port 0 the listener's name must be
 * equal, too, because each such listener has a separate port. */
static bool is_reusable(const struct listen_socket *socket, const struct listener_config *listener,
			const struct address *address, unsigned worker, bool inherited)
{
	if (socket->worker != worker || socket->inherited != inherited ||
	    !address_equal(&socket->configured_address, address))
		return false;
	if (inherited || address->any.sa_family == AF_UNIX)
		return true;
	return !strcmp(socket->config->interface, listener->interface) &&
	       socket_is_bound_to_device(socket->fd, listener->interface) &&
	       socket->config->freebind == listener->freebind &&
	       (address_port(address) || !strcmp(socket->config->name, listener->name));
}

static struct listen_socket *find_reusable(const struct socket_binder *binder, const struct listener_config *listener,
					   const struct address *address, unsigned worker, bool inherited)
{
	for (size_t i = 0; binder->previous && i < binder->previous->count; i++) {
		struct listen_socket *socket = &binder->previous->items[i];

		if (is_reusable(socket, listener, address, worker, inherited) &&
		    !listen_sockets_share(binder->sockets, socket))
			return socket;
	}
	return NULL;
}

/* Shares a socket of the previous configuration. Returns false if there is none. */
static bool share_previous(struct socket_binder *binder, const struct listener_config *listener,
			   const struct address *address, unsigned worker, bool inherited)
{
	struct listen_socket *previous = find_reusable(binder, listener, address, worker, inherited), *socket;

	if (!previous)
		return false;
	socket = add_socket(binder, listener, worker, previous->fd);
	socket->configured_address = *address;
	socket->local = previous->local;
	socket->shared_with = previous;
	socket->inherited = previous->inherited;
	socket->stored = previous->stored;
	socket->file = previous->file;
	return true;
}

/* Sets SO_REUSEPORT on the previous sockets with this port, so that a socket for an overlapping address (a wildcard and
 * a single address) can be bound before they are closed. Excludes sockets of a systemd unit. Returns whether there is
 * such a socket. */
static bool share_port_with_previous(const struct socket_binder *binder, const struct address *address)
{
	bool any = false;

	for (size_t i = 0; binder->previous && i < binder->previous->count; i++) {
		const struct listen_socket *socket = &binder->previous->items[i];

		if (!socket->inherited && socket->local.any.sa_family == address->any.sa_family &&
		    socket->local.any.sa_family != AF_UNIX && address_port(&socket->local) == address_port(address))
			any |= socket_share_port(socket->fd) == 0;
	}
	return any;
}

/* --- Stored and new sockets --- */

/* Returns the socket that an earlier run stored for this worker, or -1. */
static int take_stored_socket(const struct socket_binder *binder, const struct listener_config *listener,
			      const struct address *address, unsigned worker)
{
	const struct socket_file file = socket_file_read(address);
	char name[STORE_NAME_MAX];
	struct socket_error error;
	int fd = inherited_sockets_store_name(name, listener, address, worker, &file)
			 ? inherited_sockets_take_stored(binder->inherited, name, address)
			 : -1;

	if (fd < 0 || !socket_adopt(fd, address, binder->workers > 1, &error))
		return fd;
	close(fd);
	return -1;
}

/* Binds a new socket. Retries with EADDRINUSE: first together with the previous configuration's sockets, then while
 * systemd closes discarded sockets. Returns the descriptor, or -1 and fills *error. */
static int bind_with_retries(struct socket_binder *binder, const struct listener_config *listener,
			     const struct address *address, unsigned worker, struct socket_error *error)
{
	bool shared = address->any.sa_family != AF_UNIX && binder->workers > 1;
	int fd = socket_bind(listener, address, worker == 0, shared, error);

	if (fd < 0 && error->error == EADDRINUSE && share_port_with_previous(binder, address))
		fd = socket_bind(listener, address, false, true, error);
	for (; fd < 0 && error->error == EADDRINUSE && binder->retries_left; binder->retries_left--) {
		clock_sleep_ms(STALE_RETRY_MS);
		fd = socket_bind(listener, address, worker == 0, shared, error);
	}
	return fd;
}

/* Opens a stored or a new socket for one worker. For worker 0, *address gets the port from the kernel; the following
 * workers bind this port. */
static int bind_for_worker(struct socket_binder *binder, const struct listener_config *listener,
			   const struct address *configured, struct address *address, unsigned worker,
			   struct socket_error *error)
{
	int stored = take_stored_socket(binder, listener, configured, worker), fd = stored;
	struct listen_socket *socket;

	if (fd < 0)
		fd = bind_with_retries(binder, listener, address, worker, error);
	if (fd < 0)
		return -error->error;
	socket = add_socket(binder, listener, worker, fd);
	socket->stored = stored >= 0;
	if (worker == 0 && address->any.sa_family != AF_UNIX)
		getsockname(fd, &address->any, &address->length);
	socket->configured_address = *configured;
	socket->local = *address;
	socket->file = socket_file_read(&socket->local);
	return 0;
}

/* --- Sockets of a systemd unit --- */

/* Returns the worker for the listener's next socket at this address: a unit may have several sockets at one address
 * (ReusePort=). */
static unsigned next_worker(const struct socket_binder *binder, const struct listener_config *listener,
			    const struct address *local)
{
	unsigned count = 0;

	for (size_t i = 0; i < binder->sockets->count; i++) {
		const struct listen_socket *socket = &binder->sockets->items[i];

		count += socket->config == listener && address_equal(&socket->local, local);
	}
	return count % binder->workers;
}

/* Two listeners cannot share a unit's socket: each datagram would reach one of them by chance. */
static bool is_used_by_other(const struct socket_binder *binder, const struct listener_config *listener,
			     const struct address *local)
{
	for (size_t i = 0; i < binder->sockets->count; i++) {
		const struct listen_socket *socket = &binder->sockets->items[i];

		if (socket->inherited && socket->config != listener && address_equal(&socket->local, local))
			return true;
	}
	return false;
}

static int add_inherited(struct socket_binder *binder, const struct listener_config *listener,
			 const struct inherited_socket *inherited, struct socket_error *error)
{
	unsigned worker = next_worker(binder, listener, &inherited->local);
	struct listen_socket *socket;
	int fd;

	if (is_used_by_other(binder, listener, &inherited->local)) {
		*error = (struct socket_error){"bind", EADDRINUSE};
		return -EADDRINUSE;
	}
	if (share_previous(binder, listener, &inherited->local, worker, true))
		return 0;
	fd = fcntl(inherited->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		*error = (struct socket_error){"fcntl", errno};
		return -error->error;
	}
	socket = add_socket(binder, listener, worker, fd);
	socket->configured_address = socket->local = inherited->local;
	socket->inherited = true;
	return socket_adopt(fd, &inherited->local, false, error) ? -error->error : 0;
}

static int add_all_inherited(struct socket_binder *binder, const struct listener_config *listener, const char *name,
			     struct socket_error *error)
{
	const struct inherited_socket *inherited = inherited_sockets_next(binder->inherited, name, NULL);
	int result = 0;

	if (!inherited) {
		*error = (struct socket_error){"sd_listen_fds", ENOENT};
		return -EBADF;
	}
	for (; inherited && !result; inherited = inherited_sockets_next(binder->inherited, name, inherited))
		result = add_inherited(binder, listener, inherited, error);
	return result;
}

/* Adds the unit sockets at exactly this address, if there are any. Otherwise returns -ENOENT. */
static int add_inherited_at(struct socket_binder *binder, const struct listener_config *listener,
			    const struct address *address, struct socket_error *error)
{
	const struct inherited_socket *inherited = inherited_sockets_next_at(binder->inherited, address, NULL);
	int result = inherited && socket_is_bound_to_device(inherited->fd, listener->interface) ? 0 : -ENOENT;

	for (; inherited && !result; inherited = inherited_sockets_next_at(binder->inherited, address, inherited))
		result = add_inherited(binder, listener, inherited, error);
	return result;
}

/* --- One address for all workers --- */

/* Opens the sockets of all workers for one address, or uses those of a systemd unit. *address gets the port. After an
 * error the sockets that were added before it stay in the set. */
static int bind_for_workers(struct socket_binder *binder, const struct listener_config *listener,
			    struct address *address, struct socket_error *error)
{
	unsigned workers = address->any.sa_family == AF_UNIX ? 1 : binder->workers;
	const struct address configured = *address;
	int result = add_inherited_at(binder, listener, &configured, error);

	if (result != -ENOENT)
		return result;
	result = 0;
	for (unsigned worker = 0; worker < workers && !result; worker++) {
		if (share_previous(binder, listener, &configured, worker, false))
			*address = binder->sockets->items[binder->sockets->count - 1].local;
		else
			result = bind_for_worker(binder, listener, &configured, address, worker, error);
	}
	return result;
}

/* --- *:PORT --- */

/* The IPv6 wildcard is bound with IPV6_V6ONLY, so that '*' needs two sockets: see config_bind_addresses(). */
static struct address wildcard_address(int family, uint16_t port)
{
	struct address address;

	address_from_ip(&address, family == AF_INET ? "0.0.0.0" : "::", port);
	return address;
}

/* Binds both wildcards to one port. Without IPv6 in the kernel, IPv4 alone is sufficient. */
static int bind_wildcards(struct socket_binder *binder, const struct listener_config *listener, uint16_t port,
			  struct socket_error *error)
{
	size_t first = binder->sockets->count;
	int result = -EADDRINUSE;

	for (int attempt = 0; result == -EADDRINUSE && attempt < (port ? 1 : ANY_PORT_ATTEMPTS); attempt++) {
		struct address v4 = wildcard_address(AF_INET, port), v6;

		listen_sockets_close_from(binder->sockets, first);
		result = bind_for_workers(binder, listener, &v4, error);
		if (result)
			continue;
		v6 = wildcard_address(AF_INET6, address_port(&v4));
		result = bind_for_workers(binder, listener, &v6, error);
	}
	if (result == -EAFNOSUPPORT) {
		log_warning(binder->log, "listener %s: this system has no IPv6: listening on IPv4 only",
			    listener->name);
		return 0;
	}
	return result;
}

int socket_binder_bind(struct socket_binder *binder, const struct listener_config *listener,
		       const struct bind_config *bind)
{
	struct socket_error error;
	struct address address = bind->address;
	int result;

	if (bind->fd_name)
		result = add_all_inherited(binder, listener, bind->fd_name, &error);
	else if (bind->any)
		result = bind_wildcards(binder, listener, address_port(&address), &error);
	else
		result = bind_for_workers(binder, listener, &address, &error);
	if (result)
		bind_error_log(binder->log, binder->config, listener, bind, &error);
	return result;
}

#include "net/socket_binder.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "net/bind_error.h"
#include "net/socket.h"

/* With '*:0' both families are to get the same port, which may take several attempts. */
#define ANY_PORT_ATTEMPTS 16

/* Between attempts to bind what systemd is about to close. */
#define FORGOTTEN_PAUSE_MS 10

static struct listen_socket *keep(struct socket_binder *binder, const struct listener_config *listener, unsigned worker,
				  int fd)
{
	struct listen_socket *socket = &binder->sockets->items[binder->sockets->count++];

	*socket = (struct listen_socket){.config = listener, .worker = worker, .fd = fd};
	return socket;
}

/* A socket with any port is only the same if it is the same listener's. */
static bool is_same(const struct listen_socket *socket, const struct listener_config *listener,
		    const struct address *asked, unsigned worker, bool passed)
{
	if (socket->worker != worker || socket->passed != passed || !address_equal(&socket->asked, asked))
		return false;
	if (passed || asked->any.sa_family == AF_UNIX)
		return true;
	return !strcmp(socket->config->interface, listener->interface) &&
	       socket_is_bound_to_device(socket->fd, listener->interface) &&
	       socket->config->freebind == listener->freebind &&
	       (address_port(asked) || !strcmp(socket->config->name, listener->name));
}

static struct listen_socket *find_before(const struct socket_binder *binder, const struct listener_config *listener,
					 const struct address *asked, unsigned worker, bool passed)
{
	for (size_t i = 0; binder->before && i < binder->before->count; i++) {
		struct listen_socket *socket = &binder->before->items[i];

		if (is_same(socket, listener, asked, worker, passed) && !listen_sockets_share(binder->sockets, socket))
			return socket;
	}
	return NULL;
}

/* The wildcard of the other family is no such thing: bind_config::any makes two addresses. */
static struct address any_address(int family, uint16_t port)
{
	struct address address;

	address_from_ip(&address, family == AF_INET ? "0.0.0.0" : "::", port);
	return address;
}

static void note_file(struct listen_socket *socket)
{
	struct stat status = {0};

	lstat(socket->local.local.sun_path, &status);
	socket->device = status.st_dev;
	socket->inode = status.st_ino;
}

/* Shares the socket that there is. */
static bool share(struct socket_binder *binder, const struct listener_config *listener, const struct address *asked,
		  unsigned worker, bool passed)
{
	struct listen_socket *from = find_before(binder, listener, asked, worker, passed), *socket;

	if (!from)
		return false;
	socket = keep(binder, listener, worker, from->fd);
	socket->asked = *asked;
	socket->local = from->local;
	socket->from = from;
	socket->passed = from->passed;
	socket->stored = from->stored;
	socket->device = from->device;
	socket->inode = from->inode;
	return true;
}

/* What an earlier run left. Returns -1 where there is nothing. */
static int take_stored(const struct socket_binder *binder, const struct listener_config *listener,
		       const struct address *address, unsigned worker)
{
	char name[STORE_NAME_MAX];
	struct socket_error error;
	int fd = inherited_sockets_store_name(name, listener, address, worker)
			 ? inherited_sockets_take(binder->passed, name, address)
			 : -1;

	if (fd < 0 || !socket_adopt(fd, address, binder->workers > 1, &error))
		return fd;
	close(fd);
	return -1;
}

/* Whether a socket of the configuration before has the port, with an address that covers this one or the other way
 * round: both are there until it closes. A unit's does not. */
static bool share_port(const struct socket_binder *binder, const struct address *address)
{
	bool any = false;

	for (size_t i = 0; binder->before && i < binder->before->count; i++) {
		const struct listen_socket *socket = &binder->before->items[i];

		if (!socket->passed && socket->local.any.sa_family == address->any.sa_family &&
		    socket->local.any.sa_family != AF_UNIX && address_port(&socket->local) == address_port(address))
			any |= socket_share_port(socket->fd) == 0;
	}
	return any;
}

static int bind_patiently(struct socket_binder *binder, const struct listener_config *listener,
			  const struct address *address, unsigned worker, struct socket_error *error)
{
	bool shared = address->any.sa_family != AF_UNIX && binder->workers > 1;
	int fd = socket_bind(listener, address, worker == 0, shared, error);

	if (fd < 0 && error->error == EADDRINUSE && share_port(binder, address))
		fd = socket_bind(listener, address, false, true, error);
	for (; fd < 0 && error->error == EADDRINUSE && binder->attempts; binder->attempts--) {
		clock_sleep_ms(FORGOTTEN_PAUSE_MS);
		fd = socket_bind(listener, address, worker == 0, shared, error);
	}
	return fd;
}

/* Binds *address, which for worker 0 becomes what it got. */
static int bind_for_worker(struct socket_binder *binder, const struct listener_config *listener,
			   const struct address *asked, struct address *address, unsigned worker,
			   struct socket_error *error)
{
	bool is_unix = address->any.sa_family == AF_UNIX;
	int stored = take_stored(binder, listener, asked, worker), fd = stored;
	struct listen_socket *socket;

	if (fd < 0)
		fd = bind_patiently(binder, listener, address, worker, error);
	if (fd < 0)
		return -error->error;
	socket = keep(binder, listener, worker, fd);
	socket->stored = stored >= 0;
	if (worker == 0 && !is_unix)
		getsockname(fd, &address->any, &address->length);
	socket->asked = *asked;
	socket->local = *address;
	if (is_unix)
		note_file(socket);
	return 0;
}

/* Binds address for all workers; *address gets the port. Keeps the sockets even where one fails. */
static int bind_for_workers(struct socket_binder *binder, const struct listener_config *listener,
			    struct address *address, struct socket_error *error)
{
	unsigned workers = address->any.sa_family == AF_UNIX ? 1 : binder->workers;
	const struct address asked = *address;
	int result = 0;

	for (unsigned worker = 0; worker < workers && !result; worker++) {
		if (share(binder, listener, &asked, worker, false))
			*address = binder->sockets->items[binder->sockets->count - 1].local;
		else
			result = bind_for_worker(binder, listener, &asked, address, worker, error);
	}
	return result;
}

/* Both wildcards on one port; IPv4 alone where the system has no IPv6. */
static int bind_any(struct socket_binder *binder, const struct listener_config *listener, uint16_t port,
		    struct socket_error *error)
{
	size_t first = binder->sockets->count;
	int result = -EADDRINUSE;

	for (int attempt = 0; result == -EADDRINUSE && attempt < (port ? 1 : ANY_PORT_ATTEMPTS); attempt++) {
		struct address v4 = any_address(AF_INET, port), v6;

		listen_sockets_close_from(binder->sockets, first);
		result = bind_for_workers(binder, listener, &v4, error);
		if (result)
			continue;
		v6 = any_address(AF_INET6, address_port(&v4));
		result = bind_for_workers(binder, listener, &v6, error);
	}
	if (result == -EAFNOSUPPORT) {
		log_warning(binder->log, "listener %s: this system has no IPv6: listening on IPv4 alone",
			    listener->name);
		return 0;
	}
	return result;
}

/* --- fd:NAME --- */

/* The worker that is to read the listener's next socket of that address. */
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

static int copy_passed(struct socket_binder *binder, const struct listener_config *listener,
		       const struct inherited_socket *passed, struct socket_error *error)
{
	unsigned worker = next_worker(binder, listener, &passed->local);
	struct listen_socket *socket;
	int fd;

	if (share(binder, listener, &passed->local, worker, true))
		return 0;
	fd = fcntl(passed->fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0) {
		*error = (struct socket_error){"fcntl", errno};
		return -error->error;
	}
	socket = keep(binder, listener, worker, fd);
	socket->asked = socket->local = passed->local;
	socket->passed = true;
	return socket_adopt(fd, &passed->local, false, error) ? -error->error : 0;
}

static int bind_passed(struct socket_binder *binder, const struct listener_config *listener, const char *name,
		       struct socket_error *error)
{
	const struct inherited_socket *passed = inherited_sockets_next(binder->passed, name, NULL);
	int result = 0;

	if (!passed) {
		*error = (struct socket_error){"sd_listen_fds", ENOENT};
		return -ENOENT;
	}
	for (; passed && !result; passed = inherited_sockets_next(binder->passed, name, passed))
		result = copy_passed(binder, listener, passed, error);
	return result;
}

int socket_binder_bind(struct socket_binder *binder, const struct listener_config *listener,
		       const struct bind_config *bind)
{
	struct socket_error error;
	struct address address = bind->address;
	int result;

	if (bind->fd_name)
		result = bind_passed(binder, listener, bind->fd_name, &error);
	else if (bind->any)
		result = bind_any(binder, listener, address_port(&address), &error);
	else
		result = bind_for_workers(binder, listener, &address, &error);
	if (result)
		bind_error_log(binder->log, binder->config, listener, bind, &error);
	return result;
}

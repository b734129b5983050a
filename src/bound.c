#include "bound.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "bind_failure.h"
#include "socket.h"
#include "systemd.h"

/* With '*:0' both families are to get the same port, which may take several attempts. */
#define ANY_PORT_ATTEMPTS 16

/* systemd takes a moment to close what it is told to forget: for a second in all an address may be in use by that. */
#define FORGOTTEN_ATTEMPTS 100
#define FORGOTTEN_PAUSE_MS 10

struct binder {
	struct bound_sockets *sockets, *before;
	struct passed_sockets *passed;
	const struct config *config;
	unsigned workers;
	unsigned attempts; /* that are left for addresses which systemd is about to give up */
	struct log *log;
};

static size_t sockets_max(const struct config *config, unsigned workers, const struct passed_sockets *passed)
{
	size_t binds = 0;

	for (size_t i = 0; i < config->listener_count; i++)
		binds += config->listeners[i].bind_count;
	return binds * (BIND_ADDRESSES_MAX * workers + passed->count);
}

/* --- Binding --- */

static struct bound_socket *keep(struct binder *binder, const struct listener_config *listener, unsigned worker, int fd)
{
	struct bound_socket *socket = &binder->sockets->items[binder->sockets->count++];

	*socket = (struct bound_socket){.config = listener, .worker = worker, .fd = fd};
	return socket;
}

static bool is_shared(const struct bound_sockets *sockets, const struct bound_socket *socket)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].from == socket)
			return true;
	}
	return false;
}

/* A socket with any port is only the same if it is the same listener's. */
static bool is_same(const struct bound_socket *socket, const struct listener_config *listener,
		    const struct address *asked, unsigned worker)
{
	return socket->worker == worker && address_equal(&socket->asked, asked) &&
	       !strcmp(socket->config->interface, listener->interface) &&
	       socket->config->freebind == listener->freebind &&
	       (asked->any.sa_family == AF_UNIX || address_port(asked) ||
		!strcmp(socket->config->name, listener->name));
}

static struct bound_socket *find_before(const struct binder *binder, const struct listener_config *listener,
					const struct address *asked, unsigned worker)
{
	for (size_t i = 0; binder->before && i < binder->before->count; i++) {
		struct bound_socket *socket = &binder->before->items[i];

		if (is_same(socket, listener, asked, worker) && !is_shared(binder->sockets, socket))
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

static void note_file(struct bound_socket *socket)
{
	struct stat status = {0};

	lstat(socket->local.local.sun_path, &status);
	socket->device = status.st_dev;
	socket->inode = status.st_ino;
}

/* Shares the socket that there is. */
static bool share(struct binder *binder, const struct listener_config *listener, const struct address *asked,
		  unsigned worker)
{
	struct bound_socket *from = find_before(binder, listener, asked, worker), *socket;

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
static int take_stored(const struct binder *binder, const struct listener_config *listener,
		       const struct address *address, unsigned worker)
{
	char name[STORE_NAME_MAX];
	struct socket_error error;
	int fd = passed_store_name(name, listener, address, worker) ? passed_sockets_take(binder->passed, name, address)
								    : -1;

	if (fd < 0 || !socket_adopt(fd, address, binder->workers > 1, &error))
		return fd;
	close(fd);
	return -1;
}

/* Whether a socket of the configuration before has the port, with an address that covers this one or the other way
 * round: both are there until it closes. */
static bool share_port(const struct binder *binder, const struct address *address)
{
	bool any = false;

	for (size_t i = 0; binder->before && i < binder->before->count; i++) {
		const struct bound_socket *socket = &binder->before->items[i];

		if (socket->local.any.sa_family == address->any.sa_family && socket->local.any.sa_family != AF_UNIX &&
		    address_port(&socket->local) == address_port(address))
			any |= socket_share_port(socket->fd) == 0;
	}
	return any;
}

static int bind_patiently(struct binder *binder, const struct listener_config *listener, const struct address *address,
			  unsigned worker, struct socket_error *error)
{
	bool shared = address->any.sa_family != AF_UNIX && binder->workers > 1;
	int fd = socket_bind(listener, address, worker == 0, shared, error);

	if (fd < 0 && error->error == EADDRINUSE && share_port(binder, address))
		fd = socket_bind(listener, address, false, true, error);
	for (; fd < 0 && error->error == EADDRINUSE && binder->attempts; binder->attempts--) {
		uv_sleep(FORGOTTEN_PAUSE_MS);
		fd = socket_bind(listener, address, worker == 0, shared, error);
	}
	return fd;
}

/* Binds *address, which for worker 0 becomes what it got. */
static int bind_for_worker(struct binder *binder, const struct listener_config *listener, const struct address *asked,
			   struct address *address, unsigned worker, struct socket_error *error)
{
	bool is_unix = address->any.sa_family == AF_UNIX;
	int stored = take_stored(binder, listener, asked, worker), fd = stored;
	struct bound_socket *socket;

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
static int bind_for_workers(struct binder *binder, const struct listener_config *listener, struct address *address,
			    struct socket_error *error)
{
	unsigned workers = address->any.sa_family == AF_UNIX ? 1 : binder->workers;
	const struct address asked = *address;
	int result = 0;

	for (unsigned worker = 0; worker < workers && !result; worker++) {
		if (share(binder, listener, &asked, worker))
			*address = binder->sockets->items[binder->sockets->count - 1].local;
		else
			result = bind_for_worker(binder, listener, &asked, address, worker, error);
	}
	return result;
}

/* Another program may have put its own socket there meanwhile. */
static void remove_file(struct bound_sockets *sockets, const struct bound_socket *socket)
{
	const char *path = socket->local.local.sun_path;
	struct stat status;

	if (lstat(path, &status) || status.st_dev != socket->device || status.st_ino != socket->inode || !unlink(path))
		return;
	if (!sockets->told)
		log_warning(
			sockets->log,
			"listener %s: cannot remove unix:%s: %s: it stays until the next start, unless the daemon's "
			"user may write to the directory",
			socket->config->name, path, strerror(errno));
	sockets->told = true;
}

static void close_one(struct bound_sockets *sockets, struct bound_socket *socket)
{
	if (socket->from || socket->fd < 0)
		return;
	if (socket->local.any.sa_family == AF_UNIX && !socket->passed)
		remove_file(sockets, socket);
	close(socket->fd);
	socket->fd = -1;
}

static void close_from(struct bound_sockets *sockets, size_t first)
{
	for (size_t i = first; i < sockets->count; i++)
		close_one(sockets, &sockets->items[i]);
	sockets->count = first;
}

/* Both wildcards on one port; IPv4 alone where the system has no IPv6. */
static int bind_any(struct binder *binder, const struct listener_config *listener, uint16_t port,
		    struct socket_error *error)
{
	size_t first = binder->sockets->count;
	int result = -EADDRINUSE;

	for (int attempt = 0; result == -EADDRINUSE && attempt < (port ? 1 : ANY_PORT_ATTEMPTS); attempt++) {
		struct address v4 = any_address(AF_INET, port), v6;

		close_from(binder->sockets, first);
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
static unsigned next_worker(const struct binder *binder, const struct listener_config *listener,
			    const struct address *local)
{
	unsigned count = 0;

	for (size_t i = 0; i < binder->sockets->count; i++) {
		const struct bound_socket *socket = &binder->sockets->items[i];

		count += socket->config == listener && address_equal(&socket->local, local);
	}
	return count % binder->workers;
}

static int copy_passed(struct binder *binder, const struct listener_config *listener,
		       const struct passed_socket *passed, struct socket_error *error)
{
	unsigned worker = next_worker(binder, listener, &passed->local);
	struct bound_socket *socket;
	int fd;

	if (share(binder, listener, &passed->local, worker))
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

static int bind_passed(struct binder *binder, const struct listener_config *listener, const char *name,
		       struct socket_error *error)
{
	const struct passed_socket *passed = passed_sockets_next(binder->passed, name, NULL);
	int result = 0;

	if (!passed) {
		*error = (struct socket_error){"sd_listen_fds", ENOENT};
		return -ENOENT;
	}
	for (; passed && !result; passed = passed_sockets_next(binder->passed, name, passed))
		result = copy_passed(binder, listener, passed, error);
	return result;
}

/* --- Listeners --- */

static int bind_one(struct binder *binder, const struct listener_config *listener, const struct bind_config *bind)
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
		bind_failure_tell(binder->log, binder->config, listener, bind, &error);
	return result;
}

/* Worker 0 takes what is sent to groups: the kernel gives a copy to every socket that has joined. One of an earlier run
 * has joined them already. */
static int join_groups(struct binder *binder, const struct bound_socket *socket)
{
	const struct listener_config *listener = socket->config;

	for (size_t i = 0; i < listener->group_count && socket->worker == 0; i++) {
		const struct multicast_config *group = &listener->groups[i];
		struct socket_error error = {.call = "MCAST_JOIN_GROUP"};

		if (group->group.any.sa_family != socket->local.any.sa_family)
			continue;
		error.error = -socket_join(socket->fd, group);
		if (!error.error || (error.error == EADDRINUSE && (socket->stored || socket->passed)))
			continue;
		bind_failure_tell_group(binder->log, binder->config, listener, group, &error);
		return -error.error;
	}
	return 0;
}

static void set_buffer(struct log *log, const struct bound_socket *socket, bool tell, int option, const char *key,
		       int bytes)
{
	int granted = socket_set_buffer(socket->fd, option, bytes);

	if (granted < bytes && tell)
		log_warning(log, "listener %s: %s: asked for %d bytes, the kernel grants %d: raise net.core.%s",
			    socket->config->name, key, bytes, granted, option == SO_RCVBUF ? "rmem_max" : "wmem_max");
}

/* What holds for all sockets of a listener is told for the first. */
static void set_buffers(struct log *log, const struct bound_socket *socket, bool tell)
{
	set_buffer(log, socket, tell, SO_RCVBUF, "receive_buffer", socket->config->receive_buffer);
	set_buffer(log, socket, tell, SO_SNDBUF, "send_buffer", socket->config->send_buffer);
}

/* What is shared stays as it is until it is taken over. */
static int set_up(struct binder *binder, const struct bound_socket *socket, bool first)
{
	if (socket->from)
		return 0;
	set_buffers(binder->log, socket, first);
	return join_groups(binder, socket);
}

static int bind_listener(struct binder *binder, const struct listener_config *listener)
{
	size_t first = binder->sockets->count;
	int error = 0, result = 0;

	for (size_t i = 0; i < listener->bind_count; i++) {
		error = bind_one(binder, listener, &listener->binds[i]);
		result = result ? result : error;
	}
	for (size_t i = first; i < binder->sockets->count && !result; i++)
		result = set_up(binder, &binder->sockets->items[i], i == first);
	return result;
}

static void tell_addresses(const struct binder *binder)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < binder->sockets->count; i++) {
		const struct bound_socket *socket = &binder->sockets->items[i];

		if (socket->worker == 0 && !socket->from)
			log_notice(binder->log, "listener %s: listening on %s%s", socket->config->name,
				   address_format(&socket->local, text),
				   socket->stored || socket->passed ? ", a socket from systemd" : "");
	}
}

static int create(struct bound_sockets *sockets, const struct config *config, unsigned workers,
		  const struct passed_sockets *passed, struct log *log)
{
	*sockets = (struct bound_sockets){.listener_count = config->listener_count, .log = log};
	sockets->items = calloc(sockets_max(config, workers, passed), sizeof(*sockets->items));
	sockets->closed_drops = calloc(config->listener_count, sizeof(*sockets->closed_drops));
	if (sockets->items && sockets->closed_drops)
		return 0;
	log_error(log, "no memory for sockets");
	bound_sockets_close(sockets);
	return -ENOMEM;
}

int bound_sockets_open(struct bound_sockets *sockets, const struct config *config, unsigned workers,
		       struct bound_sockets *before, struct passed_sockets *passed, struct log *log)
{
	struct binder binder = {.sockets = sockets,
				.before = before,
				.passed = passed,
				.config = config,
				.workers = workers,
				.log = log};
	int result = create(sockets, config, workers, passed, log);

	if (result)
		return result;
	if (passed_sockets_forget(passed, config, workers))
		binder.attempts = FORGOTTEN_ATTEMPTS;
	for (size_t i = 0; i < config->listener_count; i++) {
		int error = bind_listener(&binder, &config->listeners[i]);
		result = result ? result : error;
	}
	if (result)
		bound_sockets_close(sockets);
	else
		tell_addresses(&binder);
	return result;
}

/* --- systemd's store --- */

static void store(struct bound_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (socket->stored || socket->passed ||
	    !passed_store_name(name, socket->config, &socket->asked, socket->worker))
		return;
	systemd_store_add(name, socket->fd);
	socket->stored = true;
}

void bound_sockets_store(struct bound_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		store(&sockets->items[i]);
}

bool bound_sockets_stay(const struct bound_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!sockets->items[i].stored && !sockets->items[i].passed)
			return false;
	}
	return true;
}

static void remove_from_store(struct bound_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (!socket->stored || !passed_store_name(name, socket->config, &socket->asked, socket->worker))
		return;
	systemd_store_remove(name);
	socket->stored = false;
}

/* --- Taking over --- */

static bool has_group(const struct listener_config *listener, const struct multicast_config *group)
{
	for (size_t i = 0; i < listener->group_count; i++) {
		if (address_equal(&listener->groups[i].group, &group->group) &&
		    !strcmp(listener->groups[i].interface, group->interface))
			return true;
	}
	return false;
}

/* Joins or leaves those that only the one of the two has. */
static void change_groups(struct bound_sockets *sockets, const struct bound_socket *socket, bool join)
{
	const struct listener_config *with = join ? socket->config : socket->from->config;
	const struct listener_config *without = join ? socket->from->config : socket->config;

	for (size_t i = 0; i < with->group_count; i++) {
		const struct multicast_config *group = &with->groups[i];
		char text[ADDRESS_TEXT_MAX];
		int error;

		if (group->group.any.sa_family != socket->local.any.sa_family || has_group(without, group))
			continue;
		error = join ? socket_join(socket->fd, group) : socket_leave(socket->fd, group);
		if (error)
			log_error(sockets->log, "listener %s: multicast: cannot %s %s: %s", socket->config->name,
				  join ? "join" : "leave", address_format(&group->group, text), strerror(-error));
	}
}

/* With other groups it has another name in the store. */
static void rename_stored(struct bound_socket *socket)
{
	char before[STORE_NAME_MAX], now[STORE_NAME_MAX];

	if (passed_store_name(before, socket->from->config, &socket->asked, socket->worker) &&
	    passed_store_name(now, socket->config, &socket->asked, socket->worker) && strcmp(before, now) != 0) {
		remove_from_store(socket->from);
		socket->stored = false;
	}
}

static void take_over(struct bound_sockets *sockets, struct bound_socket *socket)
{
	set_buffers(sockets->log, socket, socket->worker == 0);
	if (socket->worker == 0) {
		change_groups(sockets, socket, true);
		change_groups(sockets, socket, false);
	}
	rename_stored(socket);
	socket->from->fd = -1;
	socket->from = NULL;
}

/* The counter of the listener of that name, or NULL where it is gone. */
static uint64_t *drops_of(struct bound_sockets *sockets, const char *name)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!strcmp(sockets->items[i].config->name, name))
			return &sockets->closed_drops[sockets->items[i].config->index];
	}
	return NULL;
}

/* What the listener's sockets dropped that are closed, now or before. */
static void take_drops(struct bound_sockets *sockets, struct bound_sockets *before, const struct bound_socket *socket)
{
	uint64_t *drops = drops_of(sockets, socket->config->name), *earlier;

	if (!drops)
		return;
	earlier = &before->closed_drops[socket->config->index];
	*drops += *earlier + (socket->fd >= 0 ? socket_kernel_drops(socket->fd) : 0);
	*earlier = 0;
}

static void tell_closed(const struct bound_sockets *sockets, const struct bound_socket *socket)
{
	char text[ADDRESS_TEXT_MAX];

	if (socket->fd >= 0 && socket->worker == 0)
		log_notice(sockets->log, "listener %s: not listening on %s any more", socket->config->name,
			   address_format(&socket->local, text));
}

void bound_sockets_deafen(const struct bound_sockets *sockets, const struct bound_sockets *before)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct bound_socket *socket = &before->items[i];

		if (socket->local.any.sa_family != AF_UNIX && !socket->passed && !is_shared(sockets, socket))
			socket_deafen(socket->fd, &socket->local);
	}
}

void bound_sockets_take_over(struct bound_sockets *sockets, struct bound_sockets *before)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].from)
			take_over(sockets, &sockets->items[i]);
	}
	for (size_t i = 0; i < before->count; i++) {
		if (before->items[i].fd >= 0)
			remove_from_store(&before->items[i]);
		tell_closed(sockets, &before->items[i]);
		take_drops(sockets, before, &before->items[i]);
		close_one(before, &before->items[i]);
	}
}

uint64_t bound_sockets_drops(const struct bound_sockets *sockets, size_t listener)
{
	uint64_t drops = sockets->closed_drops[listener];

	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].config->index == listener)
			drops += socket_kernel_drops(sockets->items[i].fd);
	}
	return drops;
}

void bound_sockets_close(struct bound_sockets *sockets)
{
	close_from(sockets, 0);
	free(sockets->items);
	free(sockets->closed_drops);
	*sockets = (struct bound_sockets){0};
}

#include "net/listen_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/bind_error.h"
#include "net/socket.h"
#include "net/socket_binder.h"

/* Retries for all addresses together, about one second: systemd takes a moment to close a discarded socket. */
#define STALE_RETRIES 100

/* --- Opening --- */

/* Upper bound: each address for each worker, plus each inherited socket. */
static size_t sockets_max(const struct config *config, unsigned workers, const struct inherited_sockets *inherited)
{
	size_t binds = 0;

	for (size_t i = 0; i < config->listener_count; i++)
		binds += config->listeners[i].bind_count;
	return binds * (BIND_ADDRESSES_MAX * workers + inherited->count);
}

/* Only worker 0 joins groups, because the kernel gives a copy to every socket that joined. A socket from systemd may
 * have joined already (EADDRINUSE). */
static int join_groups(struct socket_binder *binder, const struct listen_socket *socket)
{
	const struct listener_config *listener = socket->config;

	for (size_t i = 0; i < listener->group_count && socket->worker == 0; i++) {
		const struct multicast_config *group = &listener->groups[i];
		struct socket_error error = {.call = "MCAST_JOIN_GROUP"};

		if (group->group.any.sa_family != socket->local.any.sa_family)
			continue;
		error.error = -socket_join(socket->fd, group);
		if (!error.error || (error.error == EADDRINUSE && (socket->stored || socket->inherited)))
			continue;
		bind_error_log_group(binder->log, binder->config, listener, group, &error);
		return -error.error;
	}
	return 0;
}

/* An inherited socket keeps a larger buffer: systemd can exceed net.core.rmem_max, but this process may not. */
static void set_listen_buffer(struct log *log, const struct listen_socket *socket, bool warn, int option,
			      const char *key, int bytes)
{
	int granted = socket_buffer(socket->fd, option);

	if (!socket->inherited || granted < bytes)
		granted = socket_set_buffer(socket->fd, option, bytes);
	if (granted < bytes && warn)
		log_warning(log, "listener %s: %s: asked for %d bytes, the kernel grants %d: raise net.core.%s",
			    socket->config->name, key, bytes, granted, option == SO_RCVBUF ? "rmem_max" : "wmem_max");
}

/* warn is true for one socket per listener, since the limit is the same for all. */
static void set_listen_buffers(struct log *log, const struct listen_socket *socket, bool warn)
{
	set_listen_buffer(log, socket, warn, SO_RCVBUF, "receive_buffer", socket->config->receive_buffer);
	set_listen_buffer(log, socket, warn, SO_SNDBUF, "send_buffer", socket->config->send_buffer);
}

/* A shared socket keeps the settings of the previous configuration until listen_sockets_adopt(). */
static int configure_socket(struct socket_binder *binder, const struct listen_socket *socket, bool warn)
{
	if (socket->shared_with)
		return 0;
	set_listen_buffers(binder->log, socket, warn);
	return join_groups(binder, socket);
}

static int bind_listener(struct socket_binder *binder, const struct listener_config *listener)
{
	size_t first = binder->sockets->count;
	int error = 0, result = 0;

	for (size_t i = 0; i < listener->bind_count; i++) {
		error = socket_binder_bind(binder, listener, &listener->binds[i]);
		result = result ? result : error;
	}
	for (size_t i = first; i < binder->sockets->count && !result; i++)
		result = configure_socket(binder, &binder->sockets->items[i], i == first);
	return result;
}

static void log_listen_addresses(const struct listen_sockets *sockets)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < sockets->count; i++) {
		const struct listen_socket *socket = &sockets->items[i];

		if (socket->worker == 0 && !socket->shared_with)
			log_notice(sockets->log, "listener %s: listening on %s%s", socket->config->name,
				   address_format(&socket->local, text),
				   socket->stored || socket->inherited ? ", a socket from systemd" : "");
	}
}

static int allocate_sockets(struct listen_sockets *sockets, const struct config *config, unsigned workers,
			    const struct inherited_sockets *inherited, struct log *log)
{
	*sockets = (struct listen_sockets){.listener_count = config->listener_count, .log = log};
	sockets->items = calloc(sockets_max(config, workers, inherited), sizeof(*sockets->items));
	sockets->closed_drops = calloc(config->listener_count, sizeof(*sockets->closed_drops));
	if (sockets->items && sockets->closed_drops)
		return 0;
	log_error(log, "no memory for sockets");
	listen_sockets_close(sockets);
	return -ENOMEM;
}

int listen_sockets_open(struct listen_sockets *sockets, const struct config *config, unsigned workers,
			struct listen_sockets *previous, struct inherited_sockets *inherited, struct log *log)
{
	struct socket_binder binder = {.sockets = sockets,
				       .previous = previous,
				       .inherited = inherited,
				       .config = config,
				       .workers = workers,
				       .log = log};
	int result = allocate_sockets(sockets, config, workers, inherited, log);

	if (result)
		return result;
	if (inherited_sockets_discard_stale(inherited, config, workers))
		binder.retries_left = STALE_RETRIES;
	for (size_t i = 0; i < config->listener_count; i++) {
		int error = bind_listener(&binder, &config->listeners[i]);
		result = result ? result : error;
	}
	if (result)
		listen_sockets_close(sockets);
	else
		log_listen_addresses(sockets);
	inherited_sockets_warn_unused(inherited, config, log);
	return result;
}

void listen_sockets_save_to_fdstore(struct listen_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		listen_socket_save_to_fdstore(&sockets->items[i]);
}

/* --- Queries --- */

bool listen_sockets_survive_exit(const struct listen_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!sockets->items[i].stored && !sockets->items[i].inherited)
			return false;
	}
	return true;
}

bool listen_sockets_share(const struct listen_sockets *sockets, const struct listen_socket *socket)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].shared_with == socket)
			return true;
	}
	return false;
}

uint64_t listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener)
{
	uint64_t drops = sockets->closed_drops[listener];

	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].config->index == listener)
			drops += socket_kernel_drops(sockets->items[i].fd);
	}
	return drops;
}

/* --- Closing --- */

static void close_listen_socket(struct listen_sockets *sockets, struct listen_socket *socket)
{
	int error = listen_socket_close(socket);

	if (!error || sockets->warned)
		return;
	sockets->warned = true;
	log_warning(sockets->log,
		    "listener %s: cannot remove unix:%s: %s: let the daemon's user write to the directory; "
		    "the next start removes the socket",
		    socket->config->name, socket->local.local.sun_path, strerror(-error));
}

void listen_sockets_close_from(struct listen_sockets *sockets, size_t first)
{
	for (size_t i = first; i < sockets->count; i++)
		close_listen_socket(sockets, &sockets->items[i]);
	sockets->count = first;
}

void listen_sockets_close(struct listen_sockets *sockets)
{
	listen_sockets_close_from(sockets, 0);
	free(sockets->items);
	free(sockets->closed_drops);
	*sockets = (struct listen_sockets){0};
}

/* --- Reload: adopting the previous sockets --- */

void listen_sockets_stop_receiving(const struct listen_sockets *sockets, const struct listen_sockets *previous)
{
	for (size_t i = 0; i < previous->count; i++) {
		const struct listen_socket *socket = &previous->items[i];

		if (socket->local.any.sa_family != AF_UNIX && !socket->inherited &&
		    !listen_sockets_share(sockets, socket))
			socket_stop_receiving(socket->fd, &socket->local);
	}
}

static bool listener_has_group(const struct listener_config *listener, const struct multicast_config *group)
{
	for (size_t i = 0; i < listener->group_count; i++) {
		if (address_equal(&listener->groups[i].group, &group->group) &&
		    !strcmp(listener->groups[i].interface, group->interface))
			return true;
	}
	return false;
}

/* join: joins the groups that only the new configuration has. Otherwise leaves those that only the previous one has. */
static void change_groups(struct listen_sockets *sockets, const struct listen_socket *socket, bool join)
{
	const struct listener_config *with = join ? socket->config : socket->shared_with->config;
	const struct listener_config *without = join ? socket->shared_with->config : socket->config;

	for (size_t i = 0; i < with->group_count; i++) {
		const struct multicast_config *group = &with->groups[i];
		char text[ADDRESS_TEXT_MAX];
		int error;

		if (group->group.any.sa_family != socket->local.any.sa_family || listener_has_group(without, group))
			continue;
		error = join ? socket_join(socket->fd, group) : socket_leave(socket->fd, group);
		if (error)
			log_error(sockets->log, "listener %s: multicast: cannot %s %s: %s", socket->config->name,
				  join ? "join" : "leave", address_format(&group->group, text), strerror(-error));
	}
}

/* The name in the store contains the groups. After they changed, listen_sockets_save_to_fdstore() has to store the
 * socket again under its new name. */
static void remove_outdated_store_name(struct listen_socket *socket)
{
	char previous[STORE_NAME_MAX], now[STORE_NAME_MAX];

	if (inherited_sockets_store_name(previous, socket->shared_with->config, &socket->configured_address,
					 socket->worker, &socket->file) &&
	    inherited_sockets_store_name(now, socket->config, &socket->configured_address, socket->worker,
					 &socket->file) &&
	    strcmp(previous, now) != 0) {
		listen_socket_remove_from_fdstore(socket->shared_with);
		socket->stored = false;
	}
}

static void adopt_socket(struct listen_sockets *sockets, struct listen_socket *socket)
{
	set_listen_buffers(sockets->log, socket, socket->worker == 0);
	if (socket->worker == 0) {
		change_groups(sockets, socket, true);
		change_groups(sockets, socket, false);
	}
	remove_outdated_store_name(socket);
	socket->shared_with->fd = -1;
	socket->shared_with = NULL;
}

/* Returns the drop counter of the listener with this name, or NULL if the configuration has no such listener. */
static uint64_t *find_closed_drops(struct listen_sockets *sockets, const char *name)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!strcmp(sockets->items[i].config->name, name))
			return &sockets->closed_drops[sockets->items[i].config->index];
	}
	return NULL;
}

/* Adds the drops of a previous socket that is about to be closed, and of sockets that previous closed earlier. */
static void move_closed_drops(struct listen_sockets *sockets, struct listen_sockets *previous,
			      const struct listen_socket *socket)
{
	uint64_t *drops = find_closed_drops(sockets, socket->config->name), *earlier;

	if (!drops)
		return;
	earlier = &previous->closed_drops[socket->config->index];
	*drops += *earlier + (socket->fd >= 0 ? socket_kernel_drops(socket->fd) : 0);
	*earlier = 0;
}

static void log_closed_address(const struct listen_sockets *sockets, const struct listen_socket *socket)
{
	char text[ADDRESS_TEXT_MAX];

	if (socket->fd >= 0 && socket->worker == 0)
		log_notice(sockets->log, "listener %s: stopped listening on %s", socket->config->name,
			   address_format(&socket->local, text));
}

void listen_sockets_adopt(struct listen_sockets *sockets, struct listen_sockets *previous)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].shared_with)
			adopt_socket(sockets, &sockets->items[i]);
	}
	/* From here on, the fd of an adopted socket of previous is -1. */
	for (size_t i = 0; i < previous->count; i++) {
		if (previous->items[i].fd >= 0)
			listen_socket_remove_from_fdstore(&previous->items[i]);
		log_closed_address(sockets, &previous->items[i]);
		move_closed_drops(sockets, previous, &previous->items[i]);
		close_listen_socket(previous, &previous->items[i]);
	}
}

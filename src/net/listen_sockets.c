#include "net/listen_sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/systemd.h"
#include "net/bind_error.h"
#include "net/socket.h"
#include "net/socket_binder.h"

/* systemd takes a moment to close what it is told to forget: for a second in all an address may be in use by that. */
#define FORGOTTEN_ATTEMPTS 100

static size_t sockets_max(const struct config *config, unsigned workers, const struct inherited_sockets *passed)
{
	size_t binds = 0;

	for (size_t i = 0; i < config->listener_count; i++)
		binds += config->listeners[i].bind_count;
	return binds * (BIND_ADDRESSES_MAX * workers + passed->count);
}

/* --- Opening --- */

/* Worker 0 takes what is sent to groups: the kernel gives a copy to every socket that has joined. One of an earlier run
 * has joined them already. */
static int join_groups(struct socket_binder *binder, const struct listen_socket *socket)
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
		bind_error_log_group(binder->log, binder->config, listener, group, &error);
		return -error.error;
	}
	return 0;
}

/* systemd may give more than we are permitted to: that stays. */
static void set_buffer(struct log *log, const struct listen_socket *socket, bool tell, int option, const char *key,
		       int bytes)
{
	int granted = socket_buffer(socket->fd, option);

	if (!socket->passed || granted < bytes)
		granted = socket_set_buffer(socket->fd, option, bytes);
	if (granted < bytes && tell)
		log_warning(log, "listener %s: %s: asked for %d bytes, the kernel grants %d: raise net.core.%s",
			    socket->config->name, key, bytes, granted, option == SO_RCVBUF ? "rmem_max" : "wmem_max");
}

/* What holds for all sockets of a listener is told for the first. */
static void set_buffers(struct log *log, const struct listen_socket *socket, bool tell)
{
	set_buffer(log, socket, tell, SO_RCVBUF, "receive_buffer", socket->config->receive_buffer);
	set_buffer(log, socket, tell, SO_SNDBUF, "send_buffer", socket->config->send_buffer);
}

/* What is shared stays as it is until it is taken over. */
static int set_up(struct socket_binder *binder, const struct listen_socket *socket, bool first)
{
	if (socket->from)
		return 0;
	set_buffers(binder->log, socket, first);
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
		result = set_up(binder, &binder->sockets->items[i], i == first);
	return result;
}

static void tell_addresses(const struct socket_binder *binder)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < binder->sockets->count; i++) {
		const struct listen_socket *socket = &binder->sockets->items[i];

		if (socket->worker == 0 && !socket->from)
			log_notice(binder->log, "listener %s: listening on %s%s", socket->config->name,
				   address_format(&socket->local, text),
				   socket->stored || socket->passed ? ", a socket from systemd" : "");
	}
}

static int create(struct listen_sockets *sockets, const struct config *config, unsigned workers,
		  const struct inherited_sockets *passed, struct log *log)
{
	*sockets = (struct listen_sockets){.listener_count = config->listener_count, .log = log};
	sockets->items = calloc(sockets_max(config, workers, passed), sizeof(*sockets->items));
	sockets->closed_drops = calloc(config->listener_count, sizeof(*sockets->closed_drops));
	if (sockets->items && sockets->closed_drops)
		return 0;
	log_error(log, "no memory for sockets");
	listen_sockets_close(sockets);
	return -ENOMEM;
}

int listen_sockets_open(struct listen_sockets *sockets, const struct config *config, unsigned workers,
			struct listen_sockets *before, struct inherited_sockets *passed, struct log *log)
{
	struct socket_binder binder = {.sockets = sockets,
				       .before = before,
				       .passed = passed,
				       .config = config,
				       .workers = workers,
				       .log = log};
	int result = create(sockets, config, workers, passed, log);

	if (result)
		return result;
	if (inherited_sockets_discard_stale(passed, config, workers))
		binder.attempts = FORGOTTEN_ATTEMPTS;
	for (size_t i = 0; i < config->listener_count; i++) {
		int error = bind_listener(&binder, &config->listeners[i]);
		result = result ? result : error;
	}
	if (result)
		listen_sockets_close(sockets);
	else
		tell_addresses(&binder);
	inherited_sockets_warn_unused(passed, config, log);
	return result;
}

/* --- systemd's store --- */

static void store(struct listen_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (socket->stored || socket->passed ||
	    !inherited_sockets_store_name(name, socket->config, &socket->asked, socket->worker))
		return;
	systemd_store_add(name, socket->fd);
	socket->stored = true;
}

void listen_sockets_save_to_fdstore(struct listen_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		store(&sockets->items[i]);
}

static void remove_from_store(struct listen_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (!socket->stored || !inherited_sockets_store_name(name, socket->config, &socket->asked, socket->worker))
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
static void change_groups(struct listen_sockets *sockets, const struct listen_socket *socket, bool join)
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
static void rename_stored(struct listen_socket *socket)
{
	char before[STORE_NAME_MAX], now[STORE_NAME_MAX];

	if (inherited_sockets_store_name(before, socket->from->config, &socket->asked, socket->worker) &&
	    inherited_sockets_store_name(now, socket->config, &socket->asked, socket->worker) &&
	    strcmp(before, now) != 0) {
		remove_from_store(socket->from);
		socket->stored = false;
	}
}

static void take_over(struct listen_sockets *sockets, struct listen_socket *socket)
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
static uint64_t *drops_of(struct listen_sockets *sockets, const char *name)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!strcmp(sockets->items[i].config->name, name))
			return &sockets->closed_drops[sockets->items[i].config->index];
	}
	return NULL;
}

/* What the listener's sockets dropped that are closed, now or before. */
static void take_drops(struct listen_sockets *sockets, struct listen_sockets *before,
		       const struct listen_socket *socket)
{
	uint64_t *drops = drops_of(sockets, socket->config->name), *earlier;

	if (!drops)
		return;
	earlier = &before->closed_drops[socket->config->index];
	*drops += *earlier + (socket->fd >= 0 ? socket_kernel_drops(socket->fd) : 0);
	*earlier = 0;
}

static void tell_closed(const struct listen_sockets *sockets, const struct listen_socket *socket)
{
	char text[ADDRESS_TEXT_MAX];

	if (socket->fd >= 0 && socket->worker == 0)
		log_notice(sockets->log, "listener %s: not listening on %s any more", socket->config->name,
			   address_format(&socket->local, text));
}

void listen_sockets_stop_receiving(const struct listen_sockets *sockets, const struct listen_sockets *before)
{
	for (size_t i = 0; i < before->count; i++) {
		const struct listen_socket *socket = &before->items[i];

		if (socket->local.any.sa_family != AF_UNIX && !socket->passed && !listen_sockets_share(sockets, socket))
			socket_stop_receiving(socket->fd, &socket->local);
	}
}

void listen_sockets_adopt(struct listen_sockets *sockets, struct listen_sockets *before)
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
		listen_socket_close(before, &before->items[i]);
	}
}

#include "net/inherited_sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/siphash.h"
#include "base/systemd.h"
#include "net/socket.h"

/* Prefix of all names in the store. No fd:NAME of a configuration matches it, since NAME contains no space. */
#define STORE_PREFIX "stored "

/* --- Sockets from systemd --- */

static bool is_datagram_socket(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_DGRAM;
}

/* Returns whether the socket is bound. An unbound socket cannot receive. */
static bool is_bound_address(const struct address *local)
{
	if (local->any.sa_family == AF_UNIX)
		return local->length > sizeof(local->any.sa_family);
	return (local->any.sa_family == AF_INET || local->any.sa_family == AF_INET6) && address_port(local);
}

/* A connected socket receives only from its peer. */
static bool is_connected(int fd)
{
	struct address peer = {.length = sizeof(peer.local)};

	return !getpeername(fd, &peer.any, &peer.length);
}

/* Returns false if the socket is not a bound, unconnected datagram socket. */
static bool read_inherited_address(struct inherited_socket *socket)
{
	struct address *local = &socket->local;

	local->length = sizeof(local->local);
	return is_datagram_socket(socket->fd) && !getsockname(socket->fd, &local->any, &local->length) &&
	       is_bound_address(local) && !is_connected(socket->fd);
}

void inherited_sockets_open(struct inherited_sockets *inherited, struct log *log)
{
	char **names;
	int first, count = systemd_listen_fds(&first, &names);

	if (count < 0) {
		log_warning(log, "systemd announced sockets (LISTEN_FDS) that are not open: none of them is used");
		count = 0;
	}
	*inherited = (struct inherited_sockets){.items = calloc((size_t)count + 1, sizeof(*inherited->items))};
	for (int i = 0; i < count; i++) {
		struct inherited_socket socket = {.name = names[i], .fd = first + i};

		socket.stored = !strncmp(socket.name, STORE_PREFIX, strlen(STORE_PREFIX));
		if (inherited->items && read_inherited_address(&socket)) {
			inherited->items[inherited->count++] = socket;
			continue;
		}
		log_warning(log, "ignoring `%s` from systemd: not a bound, unconnected datagram socket", socket.name);
		close(socket.fd);
		free(socket.name);
	}
	free(names);
}

const struct inherited_socket *inherited_sockets_next(const struct inherited_sockets *inherited, const char *name,
						      const struct inherited_socket *after)
{
	for (size_t i = after ? (size_t)(after - inherited->items) + 1 : 0; i < inherited->count; i++) {
		if (!inherited->items[i].stored && !strcmp(inherited->items[i].name, name))
			return &inherited->items[i];
	}
	return NULL;
}

const struct inherited_socket *inherited_sockets_next_at(const struct inherited_sockets *inherited,
							 const struct address *local,
							 const struct inherited_socket *after)
{
	for (size_t i = after ? (size_t)(after - inherited->items) + 1 : 0; i < inherited->count; i++) {
		if (!inherited->items[i].stored && address_equal(&inherited->items[i].local, local))
			return &inherited->items[i];
	}
	return NULL;
}

static bool bind_uses_unit(const struct bind_config *bind, const struct inherited_socket *socket)
{
	struct address addresses[BIND_ADDRESSES_MAX];
	size_t count = config_bind_addresses(bind, addresses);

	if (bind->fd_name)
		return !strcmp(bind->fd_name, socket->name);
	for (size_t i = 0; i < count; i++) {
		if (address_equal(&addresses[i], &socket->local))
			return true;
	}
	return false;
}

static bool is_unit_used(const struct config *config, const struct inherited_socket *socket)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct listener_config *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->bind_count; j++) {
			if (bind_uses_unit(&listener->binds[j], socket))
				return true;
		}
	}
	return false;
}

void inherited_sockets_warn_unused(const struct inherited_sockets *inherited, const struct config *config,
				   struct log *log)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < inherited->count; i++) {
		const struct inherited_socket *socket = &inherited->items[i];

		if (!socket->stored && !is_unit_used(config, socket))
			log_warning(
				log,
				"no listener uses the socket at %s from systemd: write `address = fd:%s`, or stop its "
				"unit",
				address_format(&socket->local, text), socket->name);
	}
}

/* --- The file descriptor store --- */

/* The hash of all groups, in any order. A socket stays in its groups until it is closed, so that a socket with other
 * groups cannot replace this one. */
static uint64_t hash_groups(const struct listener_config *listener)
{
	const struct siphash_key key = {0};
	uint64_t sum = 0;

	for (size_t i = 0; i < listener->group_count; i++) {
		char text[ADDRESS_TEXT_MAX + IF_NAMESIZE];
		size_t length = strlen(address_format(&listener->groups[i].group, text));

		snprintf(text + length, sizeof(text) - length, "%%%s", listener->groups[i].interface);
		sum += siphash(&key, text, strlen(text));
	}
	return sum;
}

/* A path may be too long for a name in the store, so that its hash is part of the name. */
static uint64_t hash_file(const struct address *address, const struct socket_file *file)
{
	const struct siphash_key key = {0};
	char text[sizeof(address->local.sun_path) + 64];
	int length = snprintf(text, sizeof(text), "%ju %ju %.*s", (uintmax_t)file->device, (uintmax_t)file->inode,
			      (int)sizeof(address->local.sun_path), address->local.sun_path);

	return siphash(&key, text, (size_t)length);
}

/* A name in the store has at most 255 ASCII characters, and neither a colon nor a control character (FDNAME= in
 * sd_notify(3)). */
bool inherited_sockets_store_name(char name[STORE_NAME_MAX], const struct listener_config *listener,
				  const struct address *address, unsigned worker, const struct socket_file *file)
{
	bool is_unix = address->any.sa_family == AF_UNIX;
	char text[ADDRESS_TEXT_MAX];
	uint64_t hash;

	if (is_unix ? !file->inode : !address_port(address))
		return false;
	hash = is_unix ? hash_file(address, file) : worker ? 0 : hash_groups(listener);
	snprintf(name, STORE_NAME_MAX, STORE_PREFIX "%u %.100s %s %" PRIx64, worker, address_format(address, text),
		 is_unix ? "" : listener->interface, hash);
	for (char *c = name; *c; c++)
		*c = *c == ':' || *c < ' ' || *c > '~' ? '|' : *c;
	return true;
}

static struct inherited_socket *find_stored(struct inherited_sockets *inherited, const char *name,
					    const struct address *address)
{
	for (size_t i = 0; i < inherited->count; i++) {
		struct inherited_socket *socket = &inherited->items[i];

		if (socket->fd >= 0 && !strcmp(socket->name, name) && address_equal(&socket->local, address))
			return socket;
	}
	return NULL;
}

/* Stops at the first worker without a stored socket: that worker binds a new socket, which must be the first one at its
 * port, so that the sockets of the following workers cannot be used. */
static void claim_stored(struct inherited_sockets *inherited, const struct listener_config *listener,
			 const struct address *address, unsigned workers)
{
	const struct socket_file file = socket_file_read(address);
	bool is_unix = address->any.sa_family == AF_UNIX;
	char name[STORE_NAME_MAX];
	struct inherited_socket *socket;

	for (unsigned worker = 0; worker < (is_unix ? 1 : workers); worker++) {
		if (!inherited_sockets_store_name(name, listener, address, worker, &file))
			return;
		socket = find_stored(inherited, name, address);
		if (!socket || (!is_unix && !socket_is_bound_to_device(socket->fd, listener->interface)))
			return;
		socket->claimed = true;
	}
}

static void claim_listener(struct inherited_sockets *inherited, const struct listener_config *listener,
			   unsigned workers)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		struct address addresses[BIND_ADDRESSES_MAX];
		size_t count = config_bind_addresses(&listener->binds[i], addresses);

		for (size_t a = 0; a < count; a++)
			claim_stored(inherited, listener, &addresses[a], workers);
	}
}

/* The store name contains the file of the socket, so it shows whether the file at the path is still the same one. */
static void remove_file_of_stored(const struct inherited_socket *socket)
{
	const struct socket_file file = socket_file_read(&socket->local);
	char name[STORE_NAME_MAX];

	if (socket->local.any.sa_family == AF_UNIX &&
	    inherited_sockets_store_name(name, NULL, &socket->local, 0, &file) && !strcmp(name, socket->name))
		socket_file_remove(&file, &socket->local);
}

bool inherited_sockets_discard_stale(struct inherited_sockets *inherited, const struct config *config, unsigned workers)
{
	bool any = false;

	for (size_t i = 0; i < config->listener_count; i++)
		claim_listener(inherited, &config->listeners[i], workers);
	for (size_t i = 0; i < inherited->count; i++) {
		struct inherited_socket *socket = &inherited->items[i];

		if (!socket->stored || socket->claimed || socket->fd < 0)
			continue;
		systemd_store_remove(socket->name);
		remove_file_of_stored(socket);
		close(socket->fd);
		socket->fd = -1;
		any = true;
	}
	return any;
}

int inherited_sockets_take_stored(struct inherited_sockets *inherited, const char *name, const struct address *address)
{
	struct inherited_socket *socket = find_stored(inherited, name, address);
	int fd = socket ? socket->fd : -1;

	if (socket)
		socket->fd = -1;
	return fd;
}

void inherited_sockets_close(struct inherited_sockets *inherited)
{
	for (size_t i = 0; i < inherited->count; i++) {
		if (inherited->items[i].fd >= 0)
			close(inherited->items[i].fd);
		free(inherited->items[i].name);
	}
	free(inherited->items);
	*inherited = (struct inherited_sockets){0};
}

#include "net/inherited_sockets.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/siphash.h"
#include "base/systemd.h"
#include "net/socket.h"

/* Before the names of sockets in the store, so that no unit's can be taken for one: those have no spaces. */
#define STORE_PREFIX "stored "

/* --- What systemd passed --- */

static bool is_datagram(int fd)
{
	int type = 0;
	socklen_t size = sizeof(type);

	return !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) && type == SOCK_DGRAM;
}

/* Whether it is bound, so that it hears somebody. */
static bool has_address(const struct address *local)
{
	if (local->any.sa_family == AF_UNIX)
		return local->length > sizeof(local->any.sa_family);
	return (local->any.sa_family == AF_INET || local->any.sa_family == AF_INET6) && address_port(local);
}

/* A connected socket hears nobody else. */
static bool is_connected(int fd)
{
	struct address peer = {.length = sizeof(peer.local)};

	return !getpeername(fd, &peer.any, &peer.length);
}

static bool read_address(struct inherited_socket *socket)
{
	struct address *local = &socket->local;

	local->length = sizeof(local->local);
	return is_datagram(socket->fd) && !getsockname(socket->fd, &local->any, &local->length) && has_address(local) &&
	       !is_connected(socket->fd);
}

void inherited_sockets_open(struct inherited_sockets *passed, struct log *log)
{
	char **names;
	int first, count = systemd_listen_fds(&first, &names);

	*passed = (struct inherited_sockets){.items = calloc((size_t)count + 1, sizeof(*passed->items))};
	for (int i = 0; i < count; i++) {
		struct inherited_socket socket = {.name = names[i], .fd = first + i};

		socket.stored = !strncmp(socket.name, STORE_PREFIX, strlen(STORE_PREFIX));
		if (passed->items && read_address(&socket)) {
			passed->items[passed->count++] = socket;
			continue;
		}
		log_warning(
			log,
			"systemd passed `%s`, which is no datagram socket at an address, open to all: it is not used",
			socket.name);
		close(socket.fd);
		free(socket.name);
	}
	free(names);
}

const struct inherited_socket *inherited_sockets_next(const struct inherited_sockets *passed, const char *name,
						      const struct inherited_socket *after)
{
	for (size_t i = after ? (size_t)(after - passed->items) + 1 : 0; i < passed->count; i++) {
		if (!passed->items[i].stored && !strcmp(passed->items[i].name, name))
			return &passed->items[i];
	}
	return NULL;
}

static bool is_used(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct listener_config *listener = &config->listeners[i];

		for (size_t j = 0; j < listener->bind_count; j++) {
			if (listener->binds[j].fd_name && !strcmp(listener->binds[j].fd_name, name))
				return true;
		}
	}
	return false;
}

void inherited_sockets_warn_unused(const struct inherited_sockets *passed, const struct config *config, struct log *log)
{
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < passed->count; i++) {
		const struct inherited_socket *socket = &passed->items[i];

		if (!socket->stored && !is_used(config, socket->name))
			log_warning(
				log,
				"systemd passed a socket at %s, which no listener uses: write `address = fd:%s`, or "
				"stop its unit",
				address_format(&socket->local, text), socket->name);
	}
}

/* --- The store --- */

/* Groups are joined as long as a socket is open: one that has joined others is another socket. */
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

/* systemd takes no colons in names. */
bool inherited_sockets_store_name(char name[STORE_NAME_MAX], const struct listener_config *listener,
				  const struct address *address, unsigned worker)
{
	char text[ADDRESS_TEXT_MAX];

	if (address->any.sa_family == AF_UNIX || !address_port(address))
		return false;
	snprintf(name, STORE_NAME_MAX, STORE_PREFIX "%u %.100s %s %" PRIx64, worker, address_format(address, text),
		 listener->interface, worker ? 0 : hash_groups(listener));
	for (char *c = name; *c; c++)
		*c = *c == ':' || *c < ' ' || *c > '~' ? '|' : *c;
	return true;
}

static struct inherited_socket *find_stored(struct inherited_sockets *passed, const char *name,
					    const struct address *address)
{
	for (size_t i = 0; i < passed->count; i++) {
		struct inherited_socket *socket = &passed->items[i];

		if (socket->fd >= 0 && !strcmp(socket->name, name) && address_equal(&socket->local, address))
			return socket;
	}
	return NULL;
}

/* Those of workers that come after one without a socket are not wanted: it has to be the first at its port. */
static void want(struct inherited_sockets *passed, const struct listener_config *listener,
		 const struct address *address, unsigned workers)
{
	char name[STORE_NAME_MAX];
	struct inherited_socket *socket;

	for (unsigned worker = 0; worker < workers; worker++) {
		if (!inherited_sockets_store_name(name, listener, address, worker))
			return;
		socket = find_stored(passed, name, address);
		if (!socket || !socket_is_bound_to_device(socket->fd, listener->interface))
			return;
		socket->wanted = true;
	}
}

static void want_all(struct inherited_sockets *passed, const struct listener_config *listener, unsigned workers)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		struct address addresses[BIND_ADDRESSES_MAX];
		size_t count = config_bind_addresses(&listener->binds[i], addresses);

		for (size_t a = 0; a < count; a++)
			want(passed, listener, &addresses[a], workers);
	}
}

bool inherited_sockets_discard_stale(struct inherited_sockets *passed, const struct config *config, unsigned workers)
{
	bool any = false;

	for (size_t i = 0; i < config->listener_count; i++)
		want_all(passed, &config->listeners[i], workers);
	for (size_t i = 0; i < passed->count; i++) {
		struct inherited_socket *socket = &passed->items[i];

		if (!socket->stored || socket->wanted || socket->fd < 0)
			continue;
		systemd_store_remove(socket->name);
		close(socket->fd);
		socket->fd = -1;
		any = true;
	}
	return any;
}

int inherited_sockets_take(struct inherited_sockets *passed, const char *name, const struct address *address)
{
	struct inherited_socket *socket = find_stored(passed, name, address);
	int fd = socket ? socket->fd : -1;

	if (socket)
		socket->fd = -1;
	return fd;
}

void inherited_sockets_close(struct inherited_sockets *passed)
{
	for (size_t i = 0; i < passed->count; i++) {
		if (passed->items[i].fd >= 0)
			close(passed->items[i].fd);
		free(passed->items[i].name);
	}
	free(passed->items);
	*passed = (struct inherited_sockets){0};
}

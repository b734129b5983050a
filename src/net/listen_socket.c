#include "net/listen_socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/socket.h"

bool listen_sockets_share(const struct listen_sockets *sockets, const struct listen_socket *socket)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (sockets->items[i].from == socket)
			return true;
	}
	return false;
}

bool listen_sockets_survive_exit(const struct listen_sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++) {
		if (!sockets->items[i].stored && !sockets->items[i].passed)
			return false;
	}
	return true;
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

/* Another program may have put its own socket there meanwhile. */
static void remove_file(struct listen_sockets *sockets, const struct listen_socket *socket)
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

void listen_socket_close(struct listen_sockets *sockets, struct listen_socket *socket)
{
	if (socket->from || socket->fd < 0)
		return;
	if (socket->local.any.sa_family == AF_UNIX && !socket->passed)
		remove_file(sockets, socket);
	close(socket->fd);
	socket->fd = -1;
}

void listen_sockets_close_from(struct listen_sockets *sockets, size_t first)
{
	for (size_t i = first; i < sockets->count; i++)
		listen_socket_close(sockets, &sockets->items[i]);
	sockets->count = first;
}

void listen_sockets_close(struct listen_sockets *sockets)
{
	listen_sockets_close_from(sockets, 0);
	free(sockets->items);
	free(sockets->closed_drops);
	*sockets = (struct listen_sockets){0};
}

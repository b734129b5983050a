#include "net/listen_socket.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/systemd.h"
#include "net/inherited_sockets.h"

/* --- The file descriptor store --- */

static bool store_name(char name[STORE_NAME_MAX], const struct listen_socket *socket)
{
	return inherited_sockets_store_name(name, socket->config, &socket->configured_address, socket->worker);
}

void listen_socket_save_to_fdstore(struct listen_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (socket->stored || socket->inherited || !store_name(name, socket))
		return;
	systemd_store_add(name, socket->fd);
	socket->stored = true;
}

void listen_socket_remove_from_fdstore(struct listen_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (!socket->stored || !store_name(name, socket))
		return;
	systemd_store_remove(name);
	socket->stored = false;
}

/* --- Closing --- */

/* Compares device and inode first: another program may have replaced the file. Returns 0 or the errno of unlink(2),
 * negative. */
static int remove_socket_file(const struct listen_socket *socket)
{
	const char *path = socket->local.local.sun_path;
	struct stat status;

	if (lstat(path, &status) || status.st_dev != socket->device || status.st_ino != socket->inode)
		return 0;
	return unlink(path) ? -errno : 0;
}

int listen_socket_close(struct listen_socket *socket)
{
	int error = 0;

	if (socket->shared_with || socket->fd < 0)
		return 0;
	if (socket->local.any.sa_family == AF_UNIX && !socket->inherited)
		error = remove_socket_file(socket);
	close(socket->fd);
	socket->fd = -1;
	return error;
}

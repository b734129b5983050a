#include "net/listen_socket.h"

#include <unistd.h>

#include "base/systemd.h"
#include "net/inherited_sockets.h"

/* --- The file descriptor store --- */

static bool store_name(char name[STORE_NAME_MAX], const struct listen_socket *socket)
{
	return inherited_sockets_store_name(name, socket->config, &socket->configured_address, socket->worker,
					    &socket->file);
}

void listen_socket_save_to_fdstore(struct listen_socket *socket)
{
	char name[STORE_NAME_MAX];

	if (socket->stored || socket->inherited || !store_name(name, socket))
		return;
	socket->stored = systemd_store_add(name, socket->fd);
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

int listen_socket_close(struct listen_socket *socket)
{
	int error = 0;

	if (socket->shared_with || socket->fd < 0)
		return 0;
	if (!socket->inherited && !socket->stored)
		error = socket_file_remove(&socket->file, &socket->local);
	close(socket->fd);
	socket->fd = -1;
	return error;
}

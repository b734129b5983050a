#include "admin/http_socket.h"

#include <string.h>
#include <unistd.h>

#include "net/bind_error.h"
#include "net/socket.h"

/* Maximum number of connections that wait for accept(2). */
#define BACKLOG 64

static void log_listen_error(const struct config *config, const struct socket_error *error, struct log *log)
{
	log_error(log, "%s:%u: [http] listen: %s: %s (%s: %s)", config->path, config->http.line, config->http.text,
		  bind_error_hint(&config->http.address, true, error->error), error->call, strerror(error->error));
}

static void read_local_address(struct http_socket *socket, const struct address *address)
{
	socket->local = *address;
	socket->file = socket_file_read(address);
	if (address->any.sa_family != AF_UNIX)
		getsockname(socket->fd, &socket->local.any, &socket->local.length);
}

int http_socket_open(struct http_socket *socket, const struct config *config, struct log *log)
{
	struct socket_error error;
	char text[ADDRESS_TEXT_MAX];

	*socket = (struct http_socket){.fd = -1};
	if (!config->http.text)
		return 0;
	socket->fd = socket_listen(&config->http.address, BACKLOG, &error);
	if (socket->fd < 0) {
		log_listen_error(config, &error, log);
		return -error.error;
	}
	read_local_address(socket, &config->http.address);
	log_notice(log, "http: listening on %s", address_format(&socket->local, text));
	return 0;
}

static void remove_http_socket_file(const struct http_socket *socket, struct log *log)
{
	int error = socket_file_remove(&socket->file, &socket->local);

	if (error)
		log_warning(log,
			    "http: cannot remove unix:%s: %s: let the daemon's user write to the directory; the "
			    "next start removes the socket",
			    socket->local.local.sun_path, strerror(-error));
}

void http_socket_close(struct http_socket *socket, struct log *log)
{
	if (!socket->local.length)
		return;
	remove_http_socket_file(socket, log);
	if (socket->fd >= 0)
		close(socket->fd);
	*socket = (struct http_socket){.fd = -1};
}

#include "admin/http_socket.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/bind_error.h"
#include "net/socket.h"

/* Connections that wait to be accepted. */
#define BACKLOG 64

static void tell_failure(const struct config *config, const struct socket_error *error, struct log *log)
{
	log_error(log, "%s:%u: [http] listen: %s: %s (%s: %s)", config->path, config->http.line, config->http.text,
		  bind_error_hint(&config->http.address, true, error->error), error->call, strerror(error->error));
}

static void note_local(struct http_socket *http, const struct address *address)
{
	struct stat status = {0};

	http->local = *address;
	if (address->any.sa_family != AF_UNIX) {
		getsockname(http->fd, &http->local.any, &http->local.length);
		return;
	}
	lstat(address->local.sun_path, &status);
	http->device = status.st_dev;
	http->inode = status.st_ino;
}

int http_socket_open(struct http_socket *http, const struct config *config, struct log *log)
{
	struct socket_error error;
	char text[ADDRESS_TEXT_MAX];

	*http = (struct http_socket){.fd = -1};
	if (!config->http.text)
		return 0;
	http->fd = socket_listen(&config->http.address, BACKLOG, &error);
	if (http->fd < 0) {
		tell_failure(config, &error, log);
		return -error.error;
	}
	note_local(http, &config->http.address);
	log_notice(log, "http: listening on %s", address_format(&http->local, text));
	return 0;
}

/* Another program may have put its own socket there meanwhile. */
static void remove_file(const struct http_socket *http, struct log *log)
{
	const char *path = http->local.local.sun_path;
	struct stat status;
	int missing = lstat(path, &status);

	if (!missing && (status.st_dev != http->device || status.st_ino != http->inode || !unlink(path)))
		return;
	if (errno == ENOENT)
		return;
	log_warning(log,
		    "http: cannot remove unix:%s: %s: it stays until the next start, unless the daemon's user may "
		    "write to the directory",
		    path, strerror(errno));
}

void http_socket_close(struct http_socket *http, struct log *log)
{
	if (!http->local.length)
		return;
	if (http->local.any.sa_family == AF_UNIX)
		remove_file(http, log);
	if (http->fd >= 0)
		close(http->fd);
	*http = (struct http_socket){.fd = -1};
}

#include "daemon/start_check.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_access.h"
#include "config/diagnostics.h"
#include "datagram_log/datagram_log.h"
#include "net/bind_error.h"

#define START_CHECK_FAILED "valid, but cannot start now: "

/* --- Addresses --- */

/* Binds another port of the address for a moment: only the kernel knows all addresses that can be bound. Returns a
 * positive errno, or 0. */
static int probe_ip(const struct address *address)
{
	struct address probe = *address;
	int fd = socket(address->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0), error = 0;

	if (fd < 0)
		return errno == EAFNOSUPPORT ? errno : 0;
	address_set_port(&probe, 0);
	if (bind(fd, &probe.any, probe.length))
		error = errno;
	close(fd);
	return error;
}

/* Returns a positive errno if a socket file cannot be created at the path, or 0. The socket of a running daemon may be
 * there. */
static int probe_path(const char *path)
{
	struct stat status;

	if (!lstat(path, &status))
		return S_ISSOCK(status.st_mode) ? 0 : EEXIST;
	if (errno != ENOENT)
		return errno;
	return -file_access_check_creation(path);
}

static int probe_address(const struct address *address)
{
	if (address->any.sa_family == AF_UNIX)
		return probe_path(address->local.sun_path);
	return address_is_multicast(address) ? 0 : probe_ip(address);
}

/* --- [listener:NAME] --- */

static void check_bind(struct diagnostics *found, const struct listener_config *listener,
		       const struct bind_config *bind)
{
	int error = 0;

	if (!bind->fd_name && !bind->any && !(listener->freebind && bind->address.any.sa_family != AF_UNIX))
		error = probe_address(&bind->address);
	if (error)
		diagnostics_add(found, bind->line, "[listener:%s] address: `%s`: " START_CHECK_FAILED "%s",
				listener->name, bind->text, bind_error_hint(&bind->address, false, error));
}

static bool lacks_interface(const char *interface)
{
	return interface[0] && !if_nametoindex(interface);
}

static void check_listener_start(struct diagnostics *found, const struct listener_config *listener)
{
	if (lacks_interface(listener->interface))
		diagnostics_add(found, listener->interface_line,
				"[listener:%s] interface: `%s`: " START_CHECK_FAILED BIND_ERROR_NO_INTERFACE,
				listener->name, listener->interface);
	for (size_t i = 0; i < listener->group_count; i++) {
		if (lacks_interface(listener->groups[i].interface))
			diagnostics_add(found, listener->groups[i].line,
					"[listener:%s] multicast: `%s`: " START_CHECK_FAILED BIND_ERROR_NO_INTERFACE,
					listener->name, listener->groups[i].interface);
	}
	for (size_t i = 0; i < listener->bind_count; i++)
		check_bind(found, listener, &listener->binds[i]);
}

/* --- Other sections --- */

static void check_http_start(struct diagnostics *found, const struct config *config)
{
	int error = config->http.text ? probe_address(&config->http.address) : 0;

	if (error)
		diagnostics_add(found, config->http.line, "[http] listen: `%s`: " START_CHECK_FAILED "%s",
				config->http.text, bind_error_hint(&config->http.address, true, error));
}

static void check_log_start(struct diagnostics *found, const struct config *config)
{
	int error = datagram_log_probe(config);

	if (error)
		diagnostics_add(found, config->datagram_log.line,
				"[datagram_log] target: `%s`: " START_CHECK_FAILED "%s: %s", config->datagram_log.path,
				strerror(error), datagram_log_hint(error));
}

void start_check(const struct config *config, FILE *out)
{
	struct diagnostics found = {.path = config->path};

	for (size_t i = 0; i < config->listener_count; i++)
		check_listener_start(&found, &config->listeners[i]);
	check_http_start(&found, config);
	check_log_start(&found, config);
	diagnostics_write(&found, out);
	diagnostics_finish(&found);
}

#include "net/bind_error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/systemd.h"
#include "build_config.h"

/* Under systemd the drop-in is the shortest way: PrivateUsers= makes the capability of the unit useless. */
static const char *permission_hint(void)
{
	if (systemd_is_manager())
		return "not permitted: for a port below 1024, copy " UDPRELAYD_EXAMPLESDIR
		       "/udprelayd-low-ports.conf to "
		       "/etc/systemd/system/udprelayd.service.d/ and run `systemctl daemon-reload`";
	return "not permitted: choose a port from 1024 on, start as root and set `user` in [udprelayd], or grant "
	       "CAP_NET_BIND_SERVICE";
}

static const char *port_hint(bool stream, int error)
{
	switch (error) {
	case EADDRINUSE:
		return stream ? "another program uses it (`ss -ltnp` shows which): stop that program, or choose "
				"another port"
			      : "another program uses it (`ss -lunp` shows which): stop that program, or choose "
				"another address";
	case EACCES:
	case EPERM:
		return permission_hint();
	case EADDRNOTAVAIL:
		return stream ? "no interface has this address: correct it"
			      : "no interface has this address: correct it, or set freebind = on if it comes later";
	case EAFNOSUPPORT:
		return "this system has no IPv6: write an IPv4 address";
	default:
		return "it cannot be bound: choose another address";
	}
}

static const char *path_hint(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program uses it (`ss -lxp` shows which): stop that program, or choose another "
		       "path";
	case EEXIST:
		return "the path is a file of another kind: remove it, or choose another path";
	case EACCES:
	case EPERM:
		return "this user cannot write to the directory: change its permissions, or choose another path";
	case ENOENT:
		return "the directory does not exist: create it";
	default:
		return "it cannot be bound: choose another path";
	}
}

const char *bind_error_hint(const struct address *address, bool stream, int error)
{
	return address->any.sa_family == AF_UNIX ? path_hint(error) : port_hint(stream, error);
}

static const char *inherited_hint(int error)
{
	switch (error) {
	case ENOENT:
		return "systemd passed no socket of this name: start udprelayd.socket with this FileDescriptorName=, "
		       "or write an address";
	case EAFNOSUPPORT:
		return "its IPv6 socket also receives IPv4: write BindIPv6Only=ipv6-only into the .socket "
		       "unit, and a ListenDatagram= for IPv4";
	default:
		return "it cannot be used: check the .socket unit, or write an address";
	}
}

static const char *interface_hint(int error)
{
	return error == ENODEV ? BIND_ERROR_NO_INTERFACE : "it cannot be bound to: choose another interface";
}

static const char *group_hint(const struct multicast_config *group, int error)
{
	if (error == ENODEV)
		return group->interface[0] ? BIND_ERROR_NO_INTERFACE
					   : "no route leads to the group: name an interface, as in GROUP%eth0";
	return "it cannot be joined: choose another group or interface";
}

/* setting is "KEY: VALUE". */
static void log_bind_error(struct log *log, const struct config *config, const struct listener_config *listener,
			   unsigned line, const char *setting, const char *hint, const struct socket_error *error)
{
	log_error(log, "%s:%u: [listener:%s] %s: %s (%s: %s)", config->path, line, listener->name, setting, hint,
		  error->call, strerror(error->error));
}

/* Only a socket of a systemd unit can have the wrong IPV6_V6ONLY. */
static const char *listener_hint(const struct bind_config *bind, const struct socket_error *error)
{
	if (bind->fd_name || !strcmp(error->call, "IPV6_V6ONLY"))
		return inherited_hint(error->error);
	return bind_error_hint(&bind->address, false, error->error);
}

void bind_error_log(struct log *log, const struct config *config, const struct listener_config *listener,
		    const struct bind_config *bind, const struct socket_error *error)
{
	char setting[ADDRESS_TEXT_MAX + 16];

	if (!strcmp(error->call, "SO_BINDTODEVICE")) {
		snprintf(setting, sizeof(setting), "interface: %s", listener->interface);
		log_bind_error(log, config, listener, listener->interface_line, setting, interface_hint(error->error),
			       error);
		return;
	}
	if (!bind->line) {
		log_error(log, "%s: %s (%s: %s)", bind->text, listener_hint(bind, error), error->call,
			  strerror(error->error));
		return;
	}
	snprintf(setting, sizeof(setting), "address: %.*s", ADDRESS_TEXT_MAX, bind->text);
	log_bind_error(log, config, listener, bind->line, setting, listener_hint(bind, error), error);
}

void bind_error_log_group(struct log *log, const struct config *config, const struct listener_config *listener,
			  const struct multicast_config *group, const struct socket_error *error)
{
	char ip[INET6_ADDRSTRLEN], setting[INET6_ADDRSTRLEN + IF_NAMESIZE + 16];

	inet_ntop(group->group.any.sa_family,
		  group->group.any.sa_family == AF_INET ? (const void *)&group->group.v4.sin_addr
							: (const void *)&group->group.v6.sin6_addr,
		  ip, sizeof(ip));
	snprintf(setting, sizeof(setting), "multicast: %s%s%s", ip, group->interface[0] ? "%" : "", group->interface);
	log_bind_error(log, config, listener, group->line, setting, group_hint(group, error->error), error);
}

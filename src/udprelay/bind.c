#include "udprelay/bind.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

static const char *kind(const struct address *address)
{
	switch (address->any.sa_family) {
	case AF_INET:
		return "IPv4";
	case AF_INET6:
		return "IPv6";
	default:
		return "a unix: socket";
	}
}

int bind_take(const struct command *command, const char *text, const struct address *to, struct address *from)
{
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_FAULT_MAX];
	uint16_t port;

	if (!address_split(text, host, &port) && !strcmp(host, "*")) {
		address_from_ip(from, to->any.sa_family == AF_INET6 ? "::" : "0.0.0.0", port);
	} else if (address_parse(from, text)) {
		command_wrong_value(command, 'b', text, "%s", address_fault(text, false, fault));
		return EX_USAGE;
	}
	if (from->any.sa_family == to->any.sa_family)
		return 0;
	command_wrong_value(command, 'b', text, "it is %s, and what is sent to is %s", kind(from), kind(to));
	return EX_USAGE;
}

void bind_tell(const char *text, const struct address *to, int error)
{
	if (text && error == EADDRINUSE)
		command_tell("cannot send from %s: another program has it", text);
	else if (text)
		command_tell("cannot send from %s: %s", text, strerror(error));
	else
		command_tell("cannot open a socket for %s: %s", kind(to), strerror(error));
}

void bind_tell_port(const struct client_socket *client, const struct address *from, const struct address *to)
{
	char text[ADDRESS_TEXT_MAX];

	if (to->any.sa_family != AF_UNIX && (!from || !address_port(from)))
		command_tell("from port %u to %s", address_port(&client->local), address_format(to, text));
}

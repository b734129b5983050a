#include "client/address_options.h"

#include <errno.h>
#include <string.h>
#include <sysexits.h>

#include "client/destination.h"

bool ends_take(struct ends *ends, int letter, const char *value)
{
	switch (letter) {
	case 'b':
		ends->bind = value;
		return true;
	case '4':
		ends->family = AF_INET;
		return true;
	case '6':
		ends->family = AF_INET6;
		return true;
	default:
		return false;
	}
}

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

/* "ADDR:PORT", "*:PORT" or "unix:/path". */
static int read_from(struct ends *ends, const struct command *command)
{
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_FAULT_MAX];
	int family = ends->to.any.sa_family;
	uint16_t port;

	if (!address_split(ends->bind, host, &port) && !strcmp(host, "*")) {
		address_from_ip(&ends->from, family == AF_INET6 ? "::" : "0.0.0.0", port);
	} else if (address_parse(&ends->from, ends->bind)) {
		command_wrong_value(command, 'b', ends->bind, "%s", address_fault(ends->bind, false, fault));
		return EX_USAGE;
	}
	if (ends->from.any.sa_family == family)
		return 0;
	command_wrong_value(command, 'b', ends->bind, "it is %s, and what is sent to is %s", kind(&ends->from),
			    kind(&ends->to));
	return EX_USAGE;
}

int ends_find(struct ends *ends, const struct command *command, int argc, char **argv)
{
	int status = destination_take(command, argc, argv, ends->family, &ends->to);

	return status || !ends->bind ? status : read_from(ends, command);
}

/* Why there is no socket at an address of one's own, and what to do. */
static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program has it: stop that one, or choose another address";
	case EADDRNOTAVAIL:
		return "no interface has this address: `ip address` lists them";
	case EACCES:
	case EPERM:
		return "this user may not have it: choose another port or directory";
	case ENOENT:
		return "the directory does not exist: create it";
	case EEXIST:
		return "a file of another kind is in the way: choose another path";
	default:
		return strerror(error);
	}
}

static void tell_failure(const struct ends *ends, int error)
{
	if (ends->bind)
		command_tell("cannot send from %s: %s", ends->bind, remedy(error));
	else
		command_tell("cannot open a socket for %s: %s", kind(&ends->to), strerror(error));
}

static bool has_chosen_port(const struct ends *ends)
{
	return ends->to.any.sa_family != AF_UNIX && (!ends->bind || !address_port(&ends->from));
}

int ends_open(struct ends *ends, bool quiet)
{
	int error = client_socket_open(&ends->client, &ends->to, ends->bind ? &ends->from : NULL);
	char to[ADDRESS_TEXT_MAX];

	if (error) {
		tell_failure(ends, -error);
		return EX_UNAVAILABLE;
	}
	if (!quiet && has_chosen_port(ends))
		command_tell("from port %u to %s", address_port(&ends->client.local), address_format(&ends->to, to));
	return 0;
}

#include "client/address_options.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/values.h"

/* --- Destination --- */

static const char *address_family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

/* Connecting a datagram socket sends nothing; it only asks the kernel for a route. EACCES means that the address is
 * a broadcast address: the kernel has a route to it, but connects to it only with SO_BROADCAST. */
static bool destination_has_route(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool routable = fd >= 0 && (!connect(fd, info->ai_addr, info->ai_addrlen) || errno == EACCES);

	if (fd >= 0)
		close(fd);
	return routable;
}

static const struct addrinfo *destination_choose(const struct addrinfo *list)
{
	const struct addrinfo *info = list;

	while (info && !destination_has_route(info))
		info = info->ai_next;
	return info ? info : list;
}

static int destination_look_up(const char *host, uint16_t port, int family, struct address *destination)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *list;
	const struct addrinfo *info;
	int error = getaddrinfo(host, NULL, &hints, &list);

	if (error) {
		cli_error("cannot resolve `%s`%s%s: %s", host, family ? " by " : "",
			  family ? address_family_name(family) : "", gai_strerror(error));
		return EX_UNAVAILABLE;
	}
	info = destination_choose(list);
	destination->length = info->ai_addrlen;
	memcpy(&destination->any, info->ai_addr, info->ai_addrlen);
	address_unmap(destination);
	address_set_port(destination, port);
	freeaddrinfo(list);
	return 0;
}

static int destination_parse_path(const struct cli_command *command, const char *text, struct address *destination)
{
	char fault[ADDRESS_ERROR_MAX];

	if (address_parse(destination, text))
		return cli_usage_error(command, "`%s`: %s", text, address_error_text(text, false, fault));
	optind++;
	return 0;
}

static int destination_resolve_host(const struct cli_command *command, const char *host, uint16_t port, int family,
				    struct address *destination)
{
	int status;

	if (!*host || !strcmp(host, "*"))
		return cli_usage_error(command, "`%s` is not a host: write an IP address or a name", host);
	if (!port)
		return cli_usage_error(command, "port 0 cannot receive: write a port from 1 to 65535");
	status = destination_look_up(host, port, family, destination);
	if (!status && address_is_wildcard(destination))
		status = cli_usage_error(command, "`%s` is not a host to send to: write 127.0.0.1 or ::1 for this host",
					 host);
	return status;
}

/* The form HOST PORT accepts an IPv6 address in brackets, too, as in HOST:PORT. */
static char *strip_brackets(char *host)
{
	size_t length = strlen(host);

	if (host[0] != '[' || host[length - 1] != ']')
		return host;
	host[length - 1] = '\0';
	return host + 1;
}

int address_options_parse_destination(const struct cli_command *command, int argc, char **argv, int family,
				      struct address *destination)
{
	char host[ADDRESS_HOST_MAX];
	uint64_t number;
	uint16_t port;

	if (optind == argc)
		return cli_usage_error(command, "HOST is missing");
	if (!strncmp(argv[optind], "unix:", 5))
		return destination_parse_path(command, argv[optind], destination);
	if (!address_split(argv[optind], host, &port)) {
		optind++;
		return destination_resolve_host(command, host, port, family, destination);
	}
	if (optind + 1 == argc)
		return cli_usage_error(command, "PORT is missing after `%s`", argv[optind]);
	if (!value_number(argv[optind + 1], 0, UINT16_MAX, &number))
		return cli_usage_error(command, "`%s` is not a port: write a number from 1 to 65535", argv[optind + 1]);
	optind += 2;
	return destination_resolve_host(command, strip_brackets(argv[optind - 2]), (uint16_t)number, family,
					destination);
}

/* --- Options --- */

bool address_options_handle(struct address_options *options, int letter, const char *value)
{
	switch (letter) {
	case 'b':
		options->bind = value;
		return true;
	case '4':
		options->family = AF_INET;
		return true;
	case '6':
		options->family = AF_INET6;
		return true;
	default:
		return false;
	}
}

static const char *address_kind(const struct address *address)
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

/* Parses the value of --bind: "ADDR:PORT", "*:PORT" or "unix:/path". */
static int address_options_parse_source(struct address_options *options, const struct cli_command *command)
{
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_ERROR_MAX];
	int family = options->destination.any.sa_family;
	uint16_t port;

	if (!address_split(options->bind, host, &port) && !strcmp(host, "*")) {
		address_from_ip(&options->source, family == AF_INET6 ? "::" : "0.0.0.0", port);
	} else if (address_parse(&options->source, options->bind)) {
		cli_value_error(command, 'b', options->bind, "%s", address_error_text(options->bind, false, fault));
		return EX_USAGE;
	}
	if (options->source.any.sa_family == family)
		return 0;
	cli_value_error(command, 'b', options->bind, "it is %s, and the destination is %s",
			address_kind(&options->source), address_kind(&options->destination));
	return EX_USAGE;
}

int address_options_resolve(struct address_options *options, const struct cli_command *command, int argc, char **argv)
{
	int status = address_options_parse_destination(command, argc, argv, options->family, &options->destination);

	return status || !options->bind ? status : address_options_parse_source(options, command);
}

/* Returns why the socket cannot be bound to the address of --bind, and what the user can do. */
static const char *source_error_hint(int error)
{
	switch (error) {
	case EADDRINUSE:
		return "another program uses it: stop that program, or choose another address";
	case EADDRNOTAVAIL:
		return "no interface has this address: `ip address` lists the addresses";
	case EACCES:
	case EPERM:
		return "this user has no permission: choose another port or directory";
	case ENOENT:
		return "the directory does not exist: create it";
	case EEXIST:
		return "the path is a file of another kind: choose another path";
	default:
		return strerror(error);
	}
}

static void address_options_report_error(const struct address_options *options, int error)
{
	if (options->bind)
		cli_error("cannot send from %s: %s", options->bind, source_error_hint(error));
	else
		cli_error("cannot open a socket for %s: %s", address_kind(&options->destination), strerror(error));
}

static bool kernel_chose_port(const struct address_options *options)
{
	return options->destination.any.sa_family != AF_UNIX && (!options->bind || !address_port(&options->source));
}

int address_options_open_socket(struct address_options *options, bool quiet)
{
	int error =
		client_socket_open(&options->socket, &options->destination, options->bind ? &options->source : NULL);
	char destination[ADDRESS_TEXT_MAX];

	if (error) {
		address_options_report_error(options, -error);
		return EX_UNAVAILABLE;
	}
	if (!quiet && kernel_chose_port(options))
		cli_error("from port %u to %s", address_port(&options->socket.local),
			  address_format(&options->destination, destination));
	return 0;
}

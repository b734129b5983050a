#include "client/destination.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/values.h"

static const char *family_name(int family)
{
	return family == AF_INET ? "IPv4" : "IPv6";
}

/* Whether there is a way to it: connecting a datagram socket sends nothing. Broadcasts need not be told from others. */
static bool has_way(const struct addrinfo *info)
{
	int fd = socket(info->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good = fd >= 0 && (!connect(fd, info->ai_addr, info->ai_addrlen) || errno == EACCES);

	if (fd >= 0)
		close(fd);
	return good;
}

static const struct addrinfo *choose(const struct addrinfo *list)
{
	const struct addrinfo *info = list;

	while (info && !has_way(info))
		info = info->ai_next;
	return info ? info : list;
}

static int look_up(const char *host, uint16_t port, int family, struct address *to)
{
	struct addrinfo hints = {.ai_family = family, .ai_socktype = SOCK_DGRAM};
	struct addrinfo *list;
	const struct addrinfo *info;
	int error = getaddrinfo(host, NULL, &hints, &list);

	if (error) {
		command_tell("cannot find `%s`%s%s: %s", host, family ? " by " : "", family ? family_name(family) : "",
			     gai_strerror(error));
		return EX_UNAVAILABLE;
	}
	info = choose(list);
	to->length = info->ai_addrlen;
	memcpy(&to->any, info->ai_addr, info->ai_addrlen);
	address_unmap(to);
	address_set_port(to, port);
	freeaddrinfo(list);
	return 0;
}

static int take_path(const struct command *command, const char *text, struct address *to)
{
	char fault[ADDRESS_FAULT_MAX];

	if (address_parse(to, text))
		return command_wrong(command, "`%s`: %s", text, address_fault(text, false, fault));
	optind++;
	return 0;
}

static int take_host(const struct command *command, const char *host, uint16_t port, int family, struct address *to)
{
	int status;

	if (!*host || !strcmp(host, "*"))
		return command_wrong(command, "`%s` is no host to send to: write an address or a name", host);
	if (!port)
		return command_wrong(command, "port 0 is nobody's: write one from 1 to 65535");
	status = look_up(host, port, family, to);
	if (!status && address_is_wildcard(to))
		status =
			command_wrong(command, "`%s` is no host to send to: write 127.0.0.1 or ::1 for this one", host);
	return status;
}

/* Of "[V6]", as it is written where a port follows. */
static char *without_brackets(char *host)
{
	size_t length = strlen(host);

	if (host[0] != '[' || host[length - 1] != ']')
		return host;
	host[length - 1] = '\0';
	return host + 1;
}

int destination_take(const struct command *command, int argc, char **argv, int family, struct address *to)
{
	char host[ADDRESS_HOST_MAX];
	uint64_t number;
	uint16_t port;

	if (optind == argc)
		return command_wrong(command, "there is no host to send to");
	if (!strncmp(argv[optind], "unix:", 5))
		return take_path(command, argv[optind], to);
	if (!address_split(argv[optind], host, &port)) {
		optind++;
		return take_host(command, host, port, family, to);
	}
	if (optind + 1 == argc)
		return command_wrong(command, "there is no port behind `%s`", argv[optind]);
	if (!value_number(argv[optind + 1], 0, UINT16_MAX, &number))
		return command_wrong(command, "`%s` is no port: write a number from 1 to 65535", argv[optind + 1]);
	optind += 2;
	return take_host(command, without_brackets(argv[optind - 2]), (uint16_t)number, family, to);
}

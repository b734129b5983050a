/* Text to address. A text is either parsed completely or rejected; address_error_text() then finds the reason. */
#include "base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DIGITS "0123456789"
#define HOST_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_."

/* --- Parsing --- */

/* Parses decimal digits without leading zeros. The number is at most max. */
static int parse_number(const char *text, unsigned long max, unsigned long *number)
{
	char *end;

	if (!isdigit((unsigned char)text[0]) || (text[0] == '0' && text[1]) || strlen(text) > 10)
		return -EINVAL;
	*number = strtoul(text, &end, 10);
	return *end || *number > max ? -EINVAL : 0;
}

static int parse_port(const char *text, uint16_t *port)
{
	unsigned long number;

	if (parse_number(text, UINT16_MAX, &number))
		return -EINVAL;
	*port = (uint16_t)number;
	return 0;
}

/* Parses the zone of a link-local address: the name or the number of an interface (RFC 4007, 11.2). */
static int parse_zone(const char *zone, uint32_t *scope)
{
	unsigned long number;

	*scope = if_nametoindex(zone);
	if (*scope)
		return 0;
	if (parse_number(zone, UINT32_MAX, &number) || !number)
		return -EINVAL;
	*scope = (uint32_t)number;
	return 0;
}

static int parse_v6(struct sockaddr_in6 *v6, const char *ip)
{
	char text[INET6_ADDRSTRLEN];
	size_t length = strcspn(ip, "%");

	if (length >= sizeof(text))
		return -EINVAL;
	memcpy(text, ip, length);
	text[length] = '\0';
	*v6 = (struct sockaddr_in6){.sin6_family = AF_INET6};
	if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1)
		return -EINVAL;
	if (!ip[length])
		return 0;
	return address_ip_has_zone(&v6->sin6_addr) ? parse_zone(ip + length + 1, &v6->sin6_scope_id) : -EINVAL;
}

int address_from_ip(struct address *address, const char *ip, uint16_t port)
{
	struct address parsed = {.length = sizeof(parsed.v4), .v4 = {.sin_family = AF_INET}};

	if (inet_pton(AF_INET, ip, &parsed.v4.sin_addr) != 1) {
		if (parse_v6(&parsed.v6, ip))
			return -EINVAL;
		parsed.length = sizeof(parsed.v6);
	}
	address_set_port(&parsed, port);
	*address = parsed;
	return 0;
}

static int parse_unix(struct address *address, const char *path)
{
	struct address parsed = {.local = {.sun_family = AF_UNIX}};
	size_t length = strlen(path);

	if (path[0] != '/' || length >= sizeof(parsed.local.sun_path))
		return -EINVAL;
	memcpy(parsed.local.sun_path, path, length + 1);
	parsed.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
	*address = parsed;
	return 0;
}

static bool is_host_or_wildcard(const char *host)
{
	return host[0] && (!strcmp(host, "*") || !host[strspn(host, HOST_LETTERS)]);
}

int address_split(const char *text, char *host, uint16_t *port)
{
	bool bracketed = text[0] == '[';
	const char *end = bracketed ? strchr(text, ']') : strchr(text, ':');
	const char *begin = text + bracketed;
	size_t length;
	struct sockaddr_in6 v6;

	if (!end || end[bracketed] != ':')
		return -EINVAL;
	length = (size_t)(end - begin);
	if (length >= ADDRESS_HOST_MAX)
		return -EINVAL;
	memcpy(host, begin, length);
	host[length] = '\0';
	if (bracketed ? parse_v6(&v6, host) : !is_host_or_wildcard(host))
		return -EINVAL;
	return parse_port(end + bracketed + 1, port);
}

int address_parse(struct address *address, const char *text)
{
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	if (!strncmp(text, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)))
		return parse_unix(address, text + strlen(ADDRESS_UNIX_PREFIX));
	if (address_split(text, host, &port))
		return -EINVAL;
	return address_from_ip(address, host, port);
}

/* --- Faults: each function returns a text, either a constant or the buffer that it filled --- */

#define FAULT_NO_PORT "the port is missing: write "
#define FAULT_NOT_V4 "not an IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"
#define FAULT_NOT_NAME                                                                                                 \
	"not a host name: write letters, digits, `-`, `_` and `.`, begin with a letter or a digit, and do not end "    \
	"with a number"

/* The whole text with only the digits of its port is the fix, if there are any. port points into the text. */
static const char *port_letters_fault(const char *text, const char *port, char fault[ADDRESS_ERROR_MAX])
{
	int digits = (int)strspn(port, DIGITS);

	if (!digits)
		return "the port is not a number: write a number up to 65535";
	snprintf(fault, ADDRESS_ERROR_MAX, "the port `%s` is not a number: write %.*s", port,
		 (int)(port - text) + digits, text);
	return fault;
}

/* Returns NULL if the port, which is the end of the text, is valid. */
static const char *port_fault(const char *text, const char *port, char fault[ADDRESS_ERROR_MAX])
{
	size_t digits = strspn(port, DIGITS);
	uint16_t number;

	if (!*port)
		return FAULT_NO_PORT "ADDRESS:PORT";
	if (port[digits])
		return port_letters_fault(text, port, fault);
	if (port[0] == '0' && digits > 1)
		return "the port begins with 0: remove the zero";
	return parse_port(port, &number) ? "the port is greater than 65535: write a smaller one" : NULL;
}

static const char *unix_fault(const char *path, char fault[ADDRESS_ERROR_MAX])
{
	if (path[0] != '/')
		return "the path must begin with /, as in unix:/run/socket";
	snprintf(fault, ADDRESS_ERROR_MAX, "the path has %zu bytes, but a socket address holds at most %zu: shorten it",
		 strlen(path), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	return fault;
}

/* Parses an IPv6 address of the given length and ignores its zone. Returns false if the text is not an IPv6 address. */
static bool parse_v6_part(const char *text, size_t length, struct in6_addr *ip)
{
	char copy[INET6_ADDRSTRLEN];
	const char *zone = memchr(text, '%', length);
	size_t ip_length = zone ? (size_t)(zone - text) : length;

	if (ip_length >= sizeof(copy))
		return false;
	memcpy(copy, text, ip_length);
	copy[ip_length] = '\0';
	return inet_pton(AF_INET6, copy, ip) == 1;
}

static const char *bracket_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *end = strchr(text, ']'), *zone = strchr(text, '%'), *port;
	struct in6_addr ip;

	if (!end)
		return "the `]` is missing: write [IPV6]:PORT";
	if (!parse_v6_part(text + 1, (size_t)(end - text - 1), &ip))
		return "the brackets do not contain an IPv6 address: write [IPV6]:PORT, or remove the brackets";
	if (end[1] != ':')
		return FAULT_NO_PORT "[IPV6]:PORT";
	port = port_fault(text, end + 2, fault);
	if (port)
		return port;
	return zone && !address_ip_has_zone(&ip)
		       ? "only a link-local address has an interface: remove the % and the text after it"
		       : "no such interface: `ip link` lists the interfaces";
}

/* For a text with several colons and without brackets. */
static const char *colons_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *last = strrchr(text, ':');
	struct in6_addr ip;

	if (parse_v6_part(text, (size_t)(last - text), &ip) && !port_fault(text, last + 1, fault))
		snprintf(fault, ADDRESS_ERROR_MAX, "an IPv6 address needs brackets: write [%.*s]%s", (int)(last - text),
			 text, last);
	else if (parse_v6_part(text, strlen(text), &ip))
		snprintf(fault, ADDRESS_ERROR_MAX, "an IPv6 address needs brackets: write [%s]:PORT", text);
	else
		return "too many `:`: write ADDRESS:PORT, with brackets around an IPv6 address";
	return fault;
}

static const char *host_fault(const char *text, size_t length, bool names)
{
	if (strspn(text, DIGITS ".") == length)
		return FAULT_NOT_V4;
	if (names)
		return FAULT_NOT_NAME;
	return strspn(text, HOST_LETTERS) == length ? "names are not accepted here: write an IP address"
						    : "not an IP address: write IPV4:PORT or [IPV6]:PORT";
}

/* "53x", but not "192.0.2.1" or "1st-host.example". */
static bool is_port_with_letters(const char *text)
{
	size_t digits = strspn(text, DIGITS);

	return digits && isalpha((unsigned char)text[digits]) && !text[digits + 1];
}

static const char *describe_fault(const char *text, bool names, char fault[ADDRESS_ERROR_MAX])
{
	const char *colon = strchr(text, ':'), *digits = text + (text == colon), *port;

	if (!strncmp(text, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)))
		return unix_fault(text + strlen(ADDRESS_UNIX_PREFIX), fault);
	if (!strncasecmp(text, ADDRESS_UNIX_PREFIX, strlen(ADDRESS_UNIX_PREFIX)))
		return "write `" ADDRESS_UNIX_PREFIX "` in lower case";
	if (*text == '/') {
		snprintf(fault, ADDRESS_ERROR_MAX, "a path needs `unix:` before it: write unix:%s", text);
		return fault;
	}
	if (*text == '[')
		return bracket_fault(text, fault);
	if (*digits && !digits[strspn(digits, DIGITS)]) {
		snprintf(fault, ADDRESS_ERROR_MAX, "the address before the port is missing: write %s:%s",
			 names ? "HOST" : "*", digits);
		return fault;
	}
	if (!colon && is_port_with_letters(text)) {
		snprintf(fault, ADDRESS_ERROR_MAX, "the port `%s` is not a number: write %s:%.*s", text,
			 names ? "HOST" : "*", (int)strspn(text, DIGITS), text);
		return fault;
	}
	if (!colon)
		return FAULT_NO_PORT "ADDRESS:PORT";
	if (colon != strrchr(text, ':'))
		return colons_fault(text, fault);
	port = port_fault(text, colon + 1, fault);
	return port ? port : host_fault(text, (size_t)(colon - text), names);
}

char *address_error_text(const char *text, bool names, char fault[ADDRESS_ERROR_MAX])
{
	const char *description = describe_fault(text, names, fault);

	if (description != fault)
		snprintf(fault, ADDRESS_ERROR_MAX, "%s", description);
	return fault;
}

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

#define FAULT_NOT_V4 "not an IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"
#define FAULT_NOT_NAME                                                                                                 \
	"not a host name: write letters, digits, `-`, `_` and `.`, begin with a letter or a digit, and do not end "    \
	"with a number"

/* Returns NULL if the port, which is the end of the text, is valid. The fix is the text with the digits of its port, or
 * with the word PORT. */
static const char *port_fault(const char *text, const char *port, char fault[ADDRESS_ERROR_MAX])
{
	size_t digits = strspn(port, DIGITS), zeros = strspn(port, "0");
	const char *first = port + (zeros < digits || !zeros ? zeros : zeros - 1);
	char number[8] = "PORT";
	const char *problem = "the port is greater than 65535";
	uint16_t valid;

	if (!parse_port(port, &valid))
		return NULL;
	if (!*port)
		problem = "the port is missing";
	else if (port[digits])
		problem = "the port is not a number";
	else if (*port == '0')
		problem = "the port begins with 0";
	if (snprintf(number, sizeof(number), "%.*s", (int)(port + digits - first), first) >= (int)sizeof(number) ||
	    parse_port(number, &valid))
		strcpy(number, "PORT");
	snprintf(fault, ADDRESS_ERROR_MAX, "%s: write %.*s%s", problem, (int)(port - text), text, number);
	return fault;
}

static const char *unix_fault(const char *path, char fault[ADDRESS_ERROR_MAX])
{
	if (!*path)
		return "the path is missing: write one, such as unix:/run/socket";
	if (path[0] != '/')
		snprintf(fault, ADDRESS_ERROR_MAX, "the path does not begin with `/`: write unix:/%s", path);
	else
		snprintf(fault, ADDRESS_ERROR_MAX,
			 "the path has %zu bytes, but a socket address holds at most %zu: shorten it", strlen(path),
			 sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
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

/* For an IPv6 address and perhaps a port, without brackets. Returns NULL if the text is not an IPv6 address. */
static const char *missing_bracket_fault(const char *problem, const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *last = strrchr(text, ':');
	struct in6_addr ip;

	if (last && parse_v6_part(text, (size_t)(last - text), &ip) && !port_fault(text, last + 1, fault))
		snprintf(fault, ADDRESS_ERROR_MAX, "%s: write [%.*s]%s", problem, (int)(last - text), text, last);
	else if (parse_v6_part(text, strlen(text), &ip))
		snprintf(fault, ADDRESS_ERROR_MAX, "%s: write [%s]:PORT", problem, text);
	else
		return NULL;
	return fault;
}

/* The text in the brackets is not an IPv6 address. */
static const char *bracket_content_fault(const char *text, const char *end, char fault[ADDRESS_ERROR_MAX])
{
	if (memchr(text, ':', (size_t)(end - text)))
		return "the brackets do not contain an IPv6 address: write one, as in [2001:db8::1]:7788";
	snprintf(fault, ADDRESS_ERROR_MAX, "only an IPv6 address has brackets: write %.*s%s", (int)(end - text - 1),
		 text + 1, end[1] == ':' ? end + 1 : ":PORT");
	return fault;
}

static const char *zone_fault(const char *text, const struct in6_addr *ip, char fault[ADDRESS_ERROR_MAX])
{
	if (address_ip_has_zone(ip))
		return "no such interface: write one that `ip link` lists";
	snprintf(fault, ADDRESS_ERROR_MAX, "only a link-local address has an interface: write %.*s%s",
		 (int)strcspn(text, "%"), text, strchr(text, ']'));
	return fault;
}

static const char *bracket_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *end = strchr(text, ']'), *port;
	struct in6_addr ip;

	if (!end) {
		const char *bracket = missing_bracket_fault("the `]` is missing", text + 1, fault);

		return bracket ? bracket : "the `]` is missing: write [IPV6]:PORT";
	}
	if (!parse_v6_part(text + 1, (size_t)(end - text - 1), &ip))
		return bracket_content_fault(text, end, fault);
	if (end[1] != ':') {
		snprintf(fault, ADDRESS_ERROR_MAX, "the port is missing: write %.*s:PORT", (int)(end + 1 - text), text);
		return fault;
	}
	port = port_fault(text, end + 2, fault);
	return port ? port : zone_fault(text, &ip, fault);
}

/* For a text with several colons and without brackets. */
static const char *colons_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *brackets = missing_bracket_fault("an IPv6 address needs brackets", text, fault);

	return brackets ? brackets : "too many `:`: write ADDRESS:PORT, with brackets around an IPv6 address";
}

/* "53x", but not "192.0.2.1" or "1st-host.example". */
static bool is_port_with_letters(const char *text)
{
	size_t digits = strspn(text, DIGITS);

	return digits && isalpha((unsigned char)text[digits]) && !text[digits + 1];
}

/* Returns NULL if the host, which is the beginning of the text, is accepted. A name may end with a number, which
 * value_host_name() rejects later. */
static const char *host_fault(const char *text, size_t length, bool names)
{
	struct in_addr ip;
	char host[ADDRESS_HOST_MAX];

	if (length >= sizeof(host))
		return FAULT_NOT_NAME;
	memcpy(host, text, length);
	host[length] = '\0';
	if (!length)
		return "the address is missing: write ADDRESS:PORT";
	if ((!names && !strcmp(host, "*")) || inet_pton(AF_INET, host, &ip) == 1)
		return NULL;
	if (strspn(host, DIGITS ".") == length)
		return FAULT_NOT_V4;
	if (names)
		return strspn(host, HOST_LETTERS) == length ? NULL : FAULT_NOT_NAME;
	return strspn(host, HOST_LETTERS) == length ? "names are not accepted here: write an IP address"
						    : "not an IP address: write IPV4:PORT or [IPV6]:PORT";
}

/* For a text with one colon or none, which is not a port alone. */
static const char *host_port_fault(const char *text, bool names, char fault[ADDRESS_ERROR_MAX])
{
	size_t length = strcspn(text, ":");
	const char *host = host_fault(text, length, names);

	if (host)
		return host;
	if (text[length])
		return port_fault(text, text + length + 1, fault);
	snprintf(fault, ADDRESS_ERROR_MAX, "the port is missing: write %s:PORT", text);
	return fault;
}

/* For a port without an address. */
static const char *port_alone_fault(const char *digits, bool names, char fault[ADDRESS_ERROR_MAX])
{
	char text[64];

	snprintf(text, sizeof(text), "%s:%s", names ? "HOST" : "*", digits);
	if (!port_fault(text, strchr(text, ':') + 1, fault))
		snprintf(fault, ADDRESS_ERROR_MAX, "the address before the port is missing: write %s", text);
	return fault;
}

/* For "192.0.2.1/514" and the like. Returns NULL for other texts. */
static const char *separator_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	int length = (int)strcspn(text, "/# \t");
	const char *port = text + length + strspn(text + length, "/# \t");

	if (port == text + length || !*port || port[strspn(port, DIGITS)] || !length)
		return NULL;
	snprintf(fault, ADDRESS_ERROR_MAX, "a colon is missing before the port: write %.*s:%s", length, text, port);
	return fault;
}

/* For "udp://192.0.2.1:514". Returns NULL for other texts. */
static const char *scheme_fault(const char *text, char fault[ADDRESS_ERROR_MAX])
{
	const char *end = strstr(text, "://");

	if (!end)
		return NULL;
	snprintf(fault, ADDRESS_ERROR_MAX, "an address has no `%.*s`: write %s", (int)(end + 3 - text), text, end + 3);
	return fault;
}

static const char *describe_fault(const char *text, bool names, char fault[ADDRESS_ERROR_MAX])
{
	const char *colon = strchr(text, ':'), *digits = text + (text == colon), *fixed;
	size_t unix_length = strlen(ADDRESS_UNIX_PREFIX);

	if (!strncmp(text, ADDRESS_UNIX_PREFIX, unix_length))
		return unix_fault(text + unix_length, fault);
	if (!strncasecmp(text, ADDRESS_UNIX_PREFIX, unix_length)) {
		snprintf(fault, ADDRESS_ERROR_MAX, "`unix:` has capital letters: write unix:%s", text + unix_length);
		return fault;
	}
	if (*text == '/') {
		snprintf(fault, ADDRESS_ERROR_MAX, "a path needs `unix:` before it: write unix:%s", text);
		return fault;
	}
	if (*text == '[')
		return bracket_fault(text, fault);
	if ((*digits && !digits[strspn(digits, DIGITS)]) || (!colon && is_port_with_letters(text)))
		return port_alone_fault(digits, names, fault);
	fixed = scheme_fault(text, fault);
	if (!fixed)
		fixed = separator_fault(text, fault);
	if (fixed)
		return fixed;
	if (colon && colon != strrchr(text, ':'))
		return colons_fault(text, fault);
	fixed = host_port_fault(text, names, fault);
	return fixed ? fixed : FAULT_NOT_NAME;
}

char *address_error_text(const char *text, bool names, char fault[ADDRESS_ERROR_MAX])
{
	const char *description = describe_fault(text, names, fault);

	if (description != fault)
		snprintf(fault, ADDRESS_ERROR_MAX, "%s", description);
	return fault;
}

#include "base/address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/fmt.h"

#define UNIX_PREFIX "unix:"
#define DIGITS "0123456789"
#define HOST_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS "-_."

/* --- Reading --- */

/* Decimal digits without leading zeros, at most max. */
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

/* The interface of a link-local address, by name or by number (RFC 4007, 11.2). */
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

/* The kernel heeds a zone with these, and passes over it with all others. */
static bool is_zoned(const struct in6_addr *ip)
{
	return IN6_IS_ADDR_LINKLOCAL(ip) || IN6_IS_ADDR_MC_LINKLOCAL(ip) || IN6_IS_ADDR_MC_NODELOCAL(ip);
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
	return is_zoned(&v6->sin6_addr) ? parse_zone(ip + length + 1, &v6->sin6_scope_id) : -EINVAL;
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

static bool is_host(const char *host)
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
	if (bracketed ? parse_v6(&v6, host) : !is_host(host))
		return -EINVAL;
	return parse_port(end + bracketed + 1, port);
}

int address_parse(struct address *address, const char *text)
{
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return parse_unix(address, text + strlen(UNIX_PREFIX));
	if (address_split(text, host, &port))
		return -EINVAL;
	return address_from_ip(address, host, port);
}

/* --- What is wrong --- */

#define NO_PORT "the port is missing: write "
#define NOT_V4 "this is no IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"
#define NOT_NAME                                                                                                       \
	"this is no name: a name has letters, digits, `-`, `_` and `.`, begins with a letter or a digit, and does "    \
	"not end in a number"

/* Without an answer, the port is good. */
static const char *port_fault(const char *port)
{
	size_t digits = strspn(port, DIGITS);
	uint16_t number;

	if (!*port)
		return NO_PORT "ADDRESS:PORT";
	if (port[digits])
		return "the port is no number: write one up to 65535";
	if (port[0] == '0' && digits > 1)
		return "the port begins with 0: remove the zero";
	return parse_port(port, &number) ? "the port is more than 65535: write a lower one" : NULL;
}

static const char *unix_fault(const char *path, char fault[ADDRESS_FAULT_MAX])
{
	if (path[0] != '/')
		return "the path must begin with /, as in unix:/run/socket";
	snprintf(fault, ADDRESS_FAULT_MAX, "the path has %zu bytes, more than the %zu that a socket takes: shorten it",
		 strlen(path), sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	return fault;
}

/* Whether an IPv6 address begins the text, up to its end or that of a zone. */
static bool is_v6(const char *text, size_t length, struct in6_addr *ip)
{
	char copy[INET6_ADDRSTRLEN];
	const char *zone = memchr(text, '%', length);
	size_t bare = zone ? (size_t)(zone - text) : length;

	if (bare >= sizeof(copy))
		return false;
	memcpy(copy, text, bare);
	copy[bare] = '\0';
	return inet_pton(AF_INET6, copy, ip) == 1;
}

static const char *bracket_fault(const char *text)
{
	const char *end = strchr(text, ']'), *zone = strchr(text, '%');
	struct in6_addr ip;

	if (!end)
		return "the `]` is missing: write [IPV6]:PORT";
	if (!is_v6(text + 1, (size_t)(end - text - 1), &ip))
		return "there is no IPv6 address in the brackets: write [IPV6]:PORT, or others without";
	if (end[1] != ':')
		return NO_PORT "[IPV6]:PORT";
	if (port_fault(end + 2))
		return port_fault(end + 2);
	return zone && !is_zoned(&ip) ? "only a link-local address has an interface: remove it, from the % on"
				      : "there is no such interface: `ip link` lists them";
}

/* For a text with several ':' and no brackets. */
static const char *colons_fault(const char *text, char fault[ADDRESS_FAULT_MAX])
{
	const char *last = strrchr(text, ':');
	struct in6_addr ip;

	if (is_v6(text, (size_t)(last - text), &ip) && !port_fault(last + 1))
		snprintf(fault, ADDRESS_FAULT_MAX, "write [%.*s]%s: an IPv6 address stands in brackets",
			 (int)(last - text), text, last);
	else if (is_v6(text, strlen(text), &ip))
		snprintf(fault, ADDRESS_FAULT_MAX, "write [%s]:PORT: an IPv6 address stands in brackets", text);
	else
		return "there are several `:`: write ADDRESS:PORT, with an IPv6 address in brackets";
	return fault;
}

static const char *host_fault(const char *text, size_t length, bool names)
{
	if (strspn(text, DIGITS ".") == length)
		return NOT_V4;
	if (names)
		return NOT_NAME;
	return strspn(text, HOST_LETTERS) == length ? "names are not accepted here: write an IP address"
						    : "this is no IP address: write IPV4:PORT or [IPV6]:PORT";
}

static const char *find_fault(const char *text, bool names, char fault[ADDRESS_FAULT_MAX])
{
	const char *colon = strchr(text, ':'), *digits = text + (text == colon);

	if (!strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return unix_fault(text + strlen(UNIX_PREFIX), fault);
	if (!strncasecmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)))
		return "write `" UNIX_PREFIX "` in small letters";
	if (*text == '/') {
		snprintf(fault, ADDRESS_FAULT_MAX, "a path needs `unix:` before it: write unix:%s", text);
		return fault;
	}
	if (*text == '[')
		return bracket_fault(text);
	if (*digits && !digits[strspn(digits, DIGITS)]) {
		snprintf(fault, ADDRESS_FAULT_MAX, "the address before the port is missing: write %s:%s",
			 names ? "HOST" : "*", digits);
		return fault;
	}
	if (!colon)
		return NO_PORT "ADDRESS:PORT";
	if (colon != strrchr(text, ':'))
		return colons_fault(text, fault);
	return port_fault(colon + 1) ? port_fault(colon + 1) : host_fault(text, (size_t)(colon - text), names);
}

char *address_fault(const char *text, bool names, char fault[ADDRESS_FAULT_MAX])
{
	const char *found = find_fault(text, names, fault);

	if (found != fault)
		snprintf(fault, ADDRESS_FAULT_MAX, "%s", found);
	return fault;
}

/* --- Writing --- */

/* Bytes of an AF_UNIX path. The kernel counts one more than there are where a path fills its room (unix(7), BUGS). */
static size_t path_length(const struct address *address)
{
	size_t length = address->length < sizeof(address->local) ? address->length : sizeof(address->local);
	size_t before = offsetof(struct sockaddr_un, sun_path);

	return length < before ? 0 : length - before;
}

static void format_unix(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
	size_t length = path_length(address);
	const char *path = address->local.sun_path;
	char *out = stpcpy(text, UNIX_PREFIX);

	if (length && path[0])
		length = strnlen(path, length);
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)path[i];

		if (byte > ' ' && byte < 0x7f && byte != '\\')
			*out++ = (char)byte;
		else
			out += sprintf(out, "\\x%02x", byte);
	}
	*out = '\0';
}

static void format_v6(const struct sockaddr_in6 *v6, char text[ADDRESS_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN], zone[IF_NAMESIZE + 1] = "", name[IF_NAMESIZE];

	inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
	if (v6->sin6_scope_id && if_indextoname(v6->sin6_scope_id, name))
		snprintf(zone, sizeof(zone), "%%%s", name);
	else if (v6->sin6_scope_id)
		snprintf(zone, sizeof(zone), "%%%u", v6->sin6_scope_id);
	snprintf(text, ADDRESS_TEXT_MAX, "[%s%s]:%u", ip, zone, ntohs(v6->sin6_port));
}

/* As inet_ntop(3) would, but fast: the datagram log writes two in each line. */
static void format_v4(const struct sockaddr_in *v4, char text[ADDRESS_TEXT_MAX])
{
	uint32_t ip = ntohl(v4->sin_addr.s_addr);
	char *out = text;

	for (int shift = 24; shift >= 0; shift -= 8) {
		out = fmt_u32(out, ip >> shift & 0xff);
		*out++ = shift ? '.' : ':';
	}
	*fmt_u32(out, ntohs(v4->sin_port)) = '\0';
}

char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX])
{
	if (address->any.sa_family == AF_INET)
		format_v4(&address->v4, text);
	else if (address->any.sa_family == AF_INET6)
		format_v6(&address->v6, text);
	else
		format_unix(address, text);
	return text;
}

/* --- Asking --- */

uint16_t address_port(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohs(address->v4.sin_port);
	return address->any.sa_family == AF_INET6 ? ntohs(address->v6.sin6_port) : 0;
}

void address_set_port(struct address *address, uint16_t port)
{
	if (address->any.sa_family == AF_INET)
		address->v4.sin_port = htons(port);
	else if (address->any.sa_family == AF_INET6)
		address->v6.sin6_port = htons(port);
}

bool address_is_wildcard(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return address->v4.sin_addr.s_addr == htonl(INADDR_ANY);
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr);
}

bool address_is_multicast(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return IN_MULTICAST(ntohl(address->v4.sin_addr.s_addr));
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_MULTICAST(&address->v6.sin6_addr);
}

struct in_addr address_mapped_v4(const struct in6_addr *ip)
{
	struct in_addr v4;

	memcpy(&v4, &ip->s6_addr[12], sizeof(v4));
	return v4;
}

void address_unmap(struct address *address)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	if (!address_is_v4_mapped(address))
		return;
	v4.sin_port = address->v6.sin6_port;
	v4.sin_addr = address_mapped_v4(&address->v6.sin6_addr);
	*address = (struct address){.length = sizeof(v4), .v4 = v4};
}

bool address_lacks_zone(const struct address *address)
{
	return address->any.sa_family == AF_INET6 && is_zoned(&address->v6.sin6_addr) && !address->v6.sin6_scope_id;
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	if (a->any.sa_family == AF_INET6)
		return a->v6.sin6_port == b->v6.sin6_port && a->v6.sin6_scope_id == b->v6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
	return a->length == b->length && !memcmp(a->local.sun_path, b->local.sun_path, path_length(a));
}

static uint32_t mix(uint32_t hash, uint32_t word)
{
	hash = (hash ^ word) * UINT32_C(0x9e3779b1);
	return hash ^ hash >> 15;
}

bool address_same_host(const struct address *a, const struct address *b)
{
	if (a->any.sa_family != b->any.sa_family)
		return false;
	if (a->any.sa_family == AF_INET)
		return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
	return a->any.sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&a->v6.sin6_addr, &b->v6.sin6_addr);
}

uint32_t address_hash(const struct address *address)
{
	uint32_t hash = 0, words[4];

	if (address->any.sa_family == AF_INET)
		return mix(mix(address->v4.sin_port, address->v4.sin_addr.s_addr), 0);
	if (address->any.sa_family == AF_INET6) {
		memcpy(words, &address->v6.sin6_addr, sizeof(words));
		hash = address->v6.sin6_port;
		for (int i = 0; i < 4; i++)
			hash = mix(hash, words[i]);
		return hash;
	}
	for (size_t i = 0; i < path_length(address); i++)
		hash = mix(hash, (uint8_t)address->local.sun_path[i]);
	return hash;
}

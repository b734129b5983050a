#include "admin/http_host.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Names of the loopback addresses in /etc/hosts. */
static const char *const loopback_names[] = {"localhost", "ip6-localhost", "ip6-loopback"};

#define LOOPBACK_NAME_COUNT (sizeof(loopback_names) / sizeof(loopback_names[0]))

static const char name_characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

/* The host of a header: a name or an IP address. */
struct host_part {
	char text[ADDRESS_HOST_MAX]; /* without brackets, zone, final dot and port */
	bool is_ip;
	struct address ip; /* its port is 0 */
};

static bool http_host_copy(struct host_part *host, const char *begin, size_t length)
{
	if (!length || length >= sizeof(host->text))
		return false;
	memcpy(host->text, begin, length);
	host->text[length] = '\0';
	return true;
}

/* Accepts "", ":" and ":PORT". */
static bool http_host_is_port(const char *text)
{
	return !*text || (*text == ':' && strlen(text) <= 6 && !text[1 + strspn(text + 1, "0123456789")] &&
			  strtoul(text + 1, NULL, 10) <= UINT16_MAX);
}

/* Accepts "" and "%25ZONE" before the bracket. Only a link-local address has a zone (RFC 6874). */
static bool http_host_is_zone(const struct address *ip, const char *zone, const char *end)
{
	if (zone == end)
		return true;
	return IN6_IS_ADDR_LINKLOCAL(&ip->v6.sin6_addr) && !strncmp(zone, "%25", 3) && end > zone + 3 &&
	       zone + 3 + strspn(zone + 3, name_characters) == end;
}

/* value begins behind the bracket. */
static bool http_host_parse_v6(struct host_part *host, const char *value)
{
	size_t length = strcspn(value, "]%");
	const char *end = strchr(value, ']');

	host->is_ip = true;
	return end && http_host_is_port(end + 1) && http_host_copy(host, value, length) && strchr(host->text, ':') &&
	       !address_from_ip(&host->ip, host->text, 0) && http_host_is_zone(&host->ip, value + length, end);
}

static bool http_host_parse(struct host_part *host, const char *value)
{
	size_t length = strspn(value, name_characters);

	if (*value == '[')
		return http_host_parse_v6(host, value + 1);
	if (!http_host_is_port(value + length))
		return false;
	if (length > 1 && value[length - 1] == '.')
		length--;
	if (!http_host_copy(host, value, length))
		return false;
	host->is_ip = !address_from_ip(&host->ip, host->text, 0);
	return true;
}

static bool http_host_is_loopback(const struct host_part *host)
{
	if (host->is_ip && host->ip.any.sa_family == AF_INET)
		return ntohl(host->ip.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	if (host->is_ip)
		return IN6_IS_ADDR_LOOPBACK(&host->ip.v6.sin6_addr);
	for (size_t i = 0; i < LOOPBACK_NAME_COUNT; i++) {
		if (!strcasecmp(host->text, loopback_names[i]))
			return true;
	}
	return false;
}

/* name is a name or an IP address of the configuration. */
static bool http_host_matches(const struct host_part *host, const char *name)
{
	size_t length = strlen(name);
	struct address ip;

	if (host->is_ip)
		return !address_from_ip(&ip, name, 0) && address_same_host(&ip, &host->ip);
	length -= length && name[length - 1] == '.';
	return length == strlen(host->text) && !strncasecmp(host->text, name, length);
}

enum http_host http_host_check(const char *value, const struct address *bound, char *const *names, size_t count)
{
	struct host_part host;

	if (!http_host_parse(&host, value))
		return HTTP_HOST_INVALID;
	if (bound->any.sa_family == AF_UNIX || http_host_is_loopback(&host) ||
	    (host.is_ip && address_same_host(&host.ip, bound)))
		return HTTP_HOST_KNOWN;
	for (size_t i = 0; i < count; i++) {
		if (http_host_matches(&host, names[i]))
			return HTTP_HOST_KNOWN;
	}
	return HTTP_HOST_UNKNOWN;
}

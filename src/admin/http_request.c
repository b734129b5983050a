#include "admin/http_request.h"

#include "build_config.h"

#if HAVE_LIBMICROHTTPD

#include <microhttpd.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "admin/http_host.h"

/* The characters of a header name (RFC 9110, 5.6.2). */
#define TOKEN                                                                                                          \
	"!#$%&'*+-.^_`|~0123456789"                                                                                    \
	"abcdefghijklmnopqrstuvwxyz"                                                                                   \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZ"

/* Ends at the first invalid line. A proxy may read "Content-Length : 5" as a length, which the library does not.
 * The library cuts a value at a NUL and joins a folded line to the name, unless its version is newer than 0.9.75. */
static enum MHD_Result http_request_check_line(void *data, enum MHD_ValueKind kind, const char *name, size_t name_size,
					       const char *value, size_t value_size)
{
	bool *valid = data;

	(void)kind;
	*valid = name_size && strspn(name, TOKEN) == name_size && (!value || !memchr(value, '\0', value_size));
	return *valid ? MHD_YES : MHD_NO;
}

static bool http_request_has_valid_headers(struct MHD_Connection *connection)
{
	bool valid = true;

	MHD_get_connection_values_n(connection, MHD_HEADER_KIND, http_request_check_line, &valid);
	return valid;
}

/* All lines of one header. */
struct header_lines {
	const char *name, *value; /* value: that of the first line; NULL: there is no line */
	unsigned count;
	bool differ;
};

static enum MHD_Result http_request_add_line(void *data, enum MHD_ValueKind kind, const char *name, const char *value)
{
	struct header_lines *lines = data;

	(void)kind;
	value = value ? value : "";
	if (strcasecmp(name, lines->name))
		return MHD_YES;
	lines->value = lines->value ? lines->value : value;
	lines->differ |= strcmp(value, lines->value) != 0;
	lines->count++;
	return MHD_YES;
}

static struct header_lines http_request_find_header(struct MHD_Connection *connection, const char *name)
{
	struct header_lines lines = {.name = name};

	MHD_get_connection_values(connection, MHD_HEADER_KIND, http_request_add_line, &lines);
	return lines;
}

/* A client and a proxy that read different lengths would see different requests (RFC 9112, 6.3). */
static bool http_request_has_conflicting_lengths(struct MHD_Connection *connection)
{
	struct header_lines length = http_request_find_header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

	if (!length.count)
		return false;
	return length.differ || !*length.value || length.value[strspn(length.value, "0123456789")] ||
	       http_request_find_header(connection, MHD_HTTP_HEADER_TRANSFER_ENCODING).count;
}

static struct request_fault http_request_find_host_fault(struct MHD_Connection *connection, const char *version,
							 const struct address *bound, const struct config *config)
{
	struct header_lines host = http_request_find_header(connection, MHD_HTTP_HEADER_HOST);

	if (!host.count && !strcmp(version, MHD_HTTP_VERSION_1_0))
		return (struct request_fault){0};
	if (host.count != 1)
		return (struct request_fault){MHD_HTTP_BAD_REQUEST, "a request needs exactly one Host header\n"};
	switch (http_host_check(host.value, bound, config->http.hosts, config->http.host_count)) {
	case HTTP_HOST_KNOWN:
		return (struct request_fault){0};
	case HTTP_HOST_UNKNOWN:
		return (struct request_fault){MHD_HTTP_MISDIRECTED_REQUEST,
					      "this host name is not accepted: add it to `hosts` in section [http]\n"};
	default:
		return (struct request_fault){MHD_HTTP_BAD_REQUEST, "the Host header is invalid\n"};
	}
}

struct request_fault http_request_find_fault(struct MHD_Connection *connection, const char *version,
					     const struct address *bound, const struct config *config)
{
	if (!http_request_has_valid_headers(connection))
		return (struct request_fault){MHD_HTTP_BAD_REQUEST, "a header is invalid\n"};
	if (http_request_has_conflicting_lengths(connection))
		return (struct request_fault){MHD_HTTP_BAD_REQUEST, "the Content-Length headers conflict\n"};
	return http_request_find_host_fault(connection, version, bound, config);
}

#endif

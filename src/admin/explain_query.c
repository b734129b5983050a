#include "admin/explain_query.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "config/values.h"

#define EXAMPLE "for example: udprelayd -c FILE --explain '192.0.2.7:4242 > echo' 'hello'\n"
#define BLANKS " \t\n"
#define UNNAMED "unix:"

/* The maximum of UDP over IPv4: 65535 bytes less both headers. */
#define PAYLOAD_MAX_V4 65507

/* The query to fill in, the configuration to search, and the stream for error messages. */
struct query_parser {
	struct explain_query *query;
	const struct config *config;
	FILE *errors;
};

static bool query_error(const struct query_parser *parser, const char *text, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Writes "udprelayd: `TEXT`: " and the formatted error, and an example. Returns false. */
static bool query_error(const struct query_parser *parser, const char *text, const char *format, ...)
{
	char *escaped = diagnostics_escape(text);
	va_list arguments;

	fprintf(parser->errors, "udprelayd: `%s`: ", escaped);
	va_start(arguments, format);
	vfprintf(parser->errors, format, arguments);
	va_end(arguments);
	fputs("\n" EXAMPLE, parser->errors);
	free(escaped);
	return false;
}

/* --- Source --- */

static bool query_parse_source(const struct query_parser *parser, const char *text)
{
	struct address *source = &parser->query->source;
	char error[ADDRESS_ERROR_MAX];

	if (!strcmp(text, UNNAMED)) {
		*source = (struct address){.length = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
		return true;
	}
	if (address_parse(source, text)) {
		char *escaped = diagnostics_escape(address_error_text(text, false, error));

		query_error(parser, text, "the source is not valid: %s", escaped);
		free(escaped);
		return false;
	}
	if (address_lacks_zone(source) && !address_is_multicast(source))
		return query_error(parser, text,
				   "a link-local address needs its interface: write it as in [fe80::1%%eth0]:4242");
	return true;
}

/* --- Listener --- */

/* How an address matches a bind: not at all, through a wildcard, or exactly. In ascending order of preference. */
enum bind_match { MATCH_NONE, MATCH_WILDCARD, MATCH_EXACT };

static bool accepts_family(const struct bind_config *bind, int family)
{
	return bind->fd_name || bind->address.any.sa_family == family || (bind->any && family == AF_INET6);
}

/* any: the user wrote "*:PORT"; then only the port of to is valid. */
static enum bind_match match_bind(const struct bind_config *bind, const struct address *to, bool any)
{
	if (any)
		return bind->any && address_port(&bind->address) == address_port(to) ? MATCH_EXACT : MATCH_NONE;
	if (!bind->any && address_equal(&bind->address, to))
		return MATCH_EXACT;
	return address_is_wildcard(&bind->address) && accepts_family(bind, to->any.sa_family) &&
			       address_port(&bind->address) == address_port(to)
		       ? MATCH_WILDCARD
		       : MATCH_NONE;
}

static enum bind_match match_listener(const struct listener_config *listener, const struct address *to, bool any)
{
	enum bind_match best = MATCH_NONE;

	for (size_t i = 0; i < listener->bind_count; i++) {
		enum bind_match match = match_bind(&listener->binds[i], to, any);

		best = match > best ? match : best;
	}
	return best;
}

static void write_binds(FILE *out, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		char *escaped = diagnostics_escape(listener->binds[i].text);

		fprintf(out, "%s%s", i ? ", " : "", escaped);
		free(escaped);
	}
}

/* Lists all listeners with their addresses. */
static bool query_unknown_listener(const struct query_parser *parser, const char *text)
{
	char *escaped = diagnostics_escape(text);

	fprintf(parser->errors, "udprelayd: no such listener: `%s`; the listeners are: ", escaped);
	free(escaped);
	for (size_t i = 0; i < parser->config->listener_count; i++) {
		const struct listener_config *listener = &parser->config->listeners[i];

		fprintf(parser->errors, "%s%s (", i ? ", " : "", listener->name);
		write_binds(parser->errors, listener);
		putc(')', parser->errors);
	}
	fprintf(parser->errors, "\nfor example: udprelayd -c FILE --explain '192.0.2.7:4242 > %s' 'hello'\n",
		parser->config->listeners[0].name);
	return false;
}

/* Several listeners can have the same address if each is bound to a device. */
static bool find_listener_by_address(const struct query_parser *parser, const char *text, const struct address *to,
				     bool any)
{
	const struct listener_config *found = NULL, *other = NULL;
	enum bind_match best = MATCH_NONE;

	for (size_t i = 0; i < parser->config->listener_count; i++) {
		const struct listener_config *listener = &parser->config->listeners[i];
		enum bind_match match = match_listener(listener, to, any);

		if (match && match == best)
			other = listener;
		if (match <= best)
			continue;
		found = listener;
		other = NULL;
		best = match;
	}
	if (!found)
		return query_unknown_listener(parser, text);
	if (other)
		return query_error(parser, text, "listeners %s and %s both have this address: write the name of one",
				   found->name, other->name);
	parser->query->listener = found;
	if (!any && !address_is_wildcard(to) && (to->any.sa_family == AF_UNIX || address_port(to)))
		parser->query->destination = *to;
	return true;
}

static bool find_listener_by_name(const struct query_parser *parser, const char *name)
{
	size_t i = config_find_listener(parser->config, name);

	if (i == parser->config->listener_count)
		return query_unknown_listener(parser, name);
	parser->query->listener = &parser->config->listeners[i];
	return true;
}

/* An address always contains a colon; the name of a listener never does. */
static bool query_parse_listener(const struct query_parser *parser, const char *text)
{
	char host[ADDRESS_HOST_MAX];
	struct address to;
	uint16_t port;

	if (!strchr(text, ':'))
		return find_listener_by_name(parser, text);
	if (!address_split(text, host, &port) && !strcmp(host, "*")) {
		address_from_ip(&to, "0.0.0.0", port);
		return find_listener_by_address(parser, text, &to, true);
	}
	if (address_parse(&to, text))
		return query_unknown_listener(parser, text);
	return find_listener_by_address(parser, text, &to, false);
}

/* Sets the destination if the listener has exactly one address in the family of the source, and the configuration
 * contains this address. Returns false if the source cannot reach the listener, because their families differ. */
static bool set_destination(const struct query_parser *parser)
{
	struct explain_query *query = parser->query;
	int family = query->source.any.sa_family;
	const struct bind_config *only = NULL;
	size_t count = 0;

	for (size_t i = 0; i < query->listener->bind_count; i++) {
		if (!accepts_family(&query->listener->binds[i], family))
			continue;
		only = &query->listener->binds[i];
		count++;
	}
	if (!count || (query->destination.length && query->destination.any.sa_family != family))
		return false;
	if (count == 1 && !only->fd_name && !address_is_wildcard(&only->address) &&
	    (family == AF_UNIX || address_port(&only->address)))
		query->destination = only->address;
	return true;
}

static bool query_family_error(const struct query_parser *parser, const char *source)
{
	const struct explain_query *query = parser->query;
	char to[ADDRESS_TEXT_MAX];

	if (query->destination.length)
		return query_error(parser, source,
				   "no datagram can arrive from there at %s: write a source of its address family",
				   address_format(&query->destination, to));
	return query_error(parser, source,
			   "no datagram can arrive from there at listener %s: it has no address of that family",
			   query->listener->name);
}

/* --- Flow: source and listener --- */

static char *query_trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text + strspn(text, BLANKS);
}

static bool query_parse_flow(const struct query_parser *parser, const char *flow)
{
	char *source = xcheck(strdup(flow)), *arrow = strrchr(source, '>'), *from, *to;
	bool valid;

	if (!arrow) {
		free(source);
		return query_error(parser, flow, "`>` is missing: write 'SRC:PORT > LISTENER'");
	}
	*arrow = '\0';
	from = query_trim(source);
	to = query_trim(arrow + 1);
	valid = query_parse_source(parser, from) && query_parse_listener(parser, to);
	if (valid && !set_destination(parser))
		valid = query_family_error(parser, from);
	free(source);
	return valid;
}

/* --- Payload --- */

static bool query_parse_hex(const struct query_parser *parser, const char *text)
{
	struct explain_query *query = parser->query;
	char *copy = xcheck(strdup(text));
	const char *error, *word;

	query->payload = xcheck(malloc(strlen(text) + 1));
	error = value_hex_words(copy, query->payload, &query->size, &word);
	if (error)
		query_error(parser, word, "this %s", error);
	free(copy);
	if (!error && !query->size)
		return query_error(parser, "hex:", "the bytes are missing: write some, such as `hex: 00 ff`");
	return !error;
}

static void query_copy_text(struct explain_query *query, const char *text)
{
	query->size = strlen(text);
	query->payload = xcheck(malloc(query->size + 1));
	memcpy(query->payload, text, query->size);
}

/* Reads one byte more than the maximum, so that an excess is detected. */
static bool query_read_stream(const struct query_parser *parser, FILE *in)
{
	struct explain_query *query = parser->query;

	query->payload = xcheck(malloc(CONFIG_DATAGRAM_MAX + 1));
	query->size = fread(query->payload, 1, CONFIG_DATAGRAM_MAX + 1, in);
	return !ferror(in) || query_error(parser, "-", "cannot read standard input");
}

static bool query_check_size(const struct query_parser *parser)
{
	size_t max = parser->query->source.any.sa_family == AF_INET ? PAYLOAD_MAX_V4 : CONFIG_DATAGRAM_MAX;

	if (parser->query->size <= max)
		return true;
	fprintf(parser->errors, "udprelayd: the payload is too long: a datagram carries at most %zu bytes\n" EXAMPLE,
		max);
	return false;
}

static bool query_parse_payload(const struct query_parser *parser, const char *payload, FILE *in)
{
	struct explain_query *query = parser->query;
	bool valid = true;

	query->has_payload = payload;
	if (!payload)
		return true;
	if (!strcmp(payload, "-"))
		valid = query_read_stream(parser, in);
	else if (!strncasecmp(payload, "hex:", 4))
		valid = query_parse_hex(parser, payload + 4);
	else
		query_copy_text(query, payload);
	return valid && query_check_size(parser);
}

int explain_query_init(struct explain_query *query, const struct config *config, const char *flow, const char *payload,
		       FILE *in, FILE *errors)
{
	struct query_parser parser = {query, config, errors};

	*query = (struct explain_query){0};
	return query_parse_flow(&parser, flow) && query_parse_payload(&parser, payload, in) ? 0 : EX_USAGE;
}

void explain_query_finish(struct explain_query *query)
{
	free(query->payload);
	*query = (struct explain_query){0};
}

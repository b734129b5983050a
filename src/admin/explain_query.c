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

/* What UDP carries over IPv4: 65535 less both headers. */
#define PAYLOAD_MAX_V4 65507

/* What is asked, and where it is told that this is no question. */
struct reader {
	struct explain_query *question;
	const struct config *config;
	FILE *errors;
};

/* "udprelayd: `TEXT`: what is wrong", and an example; always false. */
static bool __attribute__((format(printf, 3, 4)))
wrong(const struct reader *reader, const char *text, const char *format, ...)
{
	char *shown = diagnostics_escape(text);
	va_list arguments;

	fprintf(reader->errors, "udprelayd: `%s`: ", shown);
	va_start(arguments, format);
	vfprintf(reader->errors, format, arguments);
	va_end(arguments);
	fputs("\n" EXAMPLE, reader->errors);
	free(shown);
	return false;
}

/* --- The source --- */

static bool read_source(const struct reader *reader, const char *text)
{
	struct address *source = &reader->question->source;
	char fault[ADDRESS_FAULT_MAX];

	if (!strcmp(text, UNNAMED)) {
		*source = (struct address){.length = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
		return true;
	}
	if (address_parse(source, text)) {
		char *shown = diagnostics_escape(address_fault(text, false, fault));

		wrong(reader, text, "this is no source: %s", shown);
		free(shown);
		return false;
	}
	if (address_lacks_zone(source) && !address_is_multicast(source))
		return wrong(reader, text, "this is link-local: write its interface, as in [fe80::1%%eth0]:4242");
	return true;
}

/* --- The listener --- */

/* How well an address fits: not at all, as one of those that a wildcard stands for, or exactly. */
enum fit { FIT_NOT, FIT_COVERED, FIT_EXACT };

static bool takes_family(const struct bind_config *bind, int family)
{
	return bind->fd_name || bind->address.any.sa_family == family || (bind->any && family == AF_INET6);
}

/* any: "*:PORT" is meant, of which only the port is in the address. */
static enum fit fit(const struct bind_config *bind, const struct address *to, bool any)
{
	if (any)
		return bind->any && address_port(&bind->address) == address_port(to) ? FIT_EXACT : FIT_NOT;
	if (!bind->any && address_equal(&bind->address, to))
		return FIT_EXACT;
	return address_is_wildcard(&bind->address) && takes_family(bind, to->any.sa_family) &&
			       address_port(&bind->address) == address_port(to)
		       ? FIT_COVERED
		       : FIT_NOT;
}

static enum fit best_fit(const struct listener_config *listener, const struct address *to, bool any)
{
	enum fit best = FIT_NOT;

	for (size_t i = 0; i < listener->bind_count; i++) {
		enum fit now = fit(&listener->binds[i], to, any);

		best = now > best ? now : best;
	}
	return best;
}

static void put_binds(FILE *out, const struct listener_config *listener)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		char *shown = diagnostics_escape(listener->binds[i].text);

		fprintf(out, "%s%s", i ? ", " : "", shown);
		free(shown);
	}
}

/* Those that there are, each with its addresses. */
static bool unknown_listener(const struct reader *reader, const char *text)
{
	char *shown = diagnostics_escape(text);

	fprintf(reader->errors, "udprelayd: there is no listener `%s`; there are: ", shown);
	free(shown);
	for (size_t i = 0; i < reader->config->listener_count; i++) {
		const struct listener_config *listener = &reader->config->listeners[i];

		fprintf(reader->errors, "%s%s (", i ? ", " : "", listener->name);
		put_binds(reader->errors, listener);
		putc(')', reader->errors);
	}
	fprintf(reader->errors, "\nfor example: udprelayd -c FILE --explain '192.0.2.7:4242 > %s' 'hello'\n",
		reader->config->listeners[0].name);
	return false;
}

/* Bound to a device each, several listeners may have the address. */
static bool find_by_address(const struct reader *reader, const char *text, const struct address *to, bool any)
{
	const struct listener_config *found = NULL, *other = NULL;
	enum fit best = FIT_NOT;

	for (size_t i = 0; i < reader->config->listener_count; i++) {
		const struct listener_config *listener = &reader->config->listeners[i];
		enum fit now = best_fit(listener, to, any);

		if (now && now == best)
			other = listener;
		if (now <= best)
			continue;
		found = listener;
		other = NULL;
		best = now;
	}
	if (!found)
		return unknown_listener(reader, text);
	if (other)
		return wrong(reader, text, "listeners %s and %s both have this address: write a name", found->name,
			     other->name);
	reader->question->listener = found;
	if (!any && !address_is_wildcard(to) && (to->any.sa_family == AF_UNIX || address_port(to)))
		reader->question->destination = *to;
	return true;
}

static bool find_by_name(const struct reader *reader, const char *name)
{
	size_t i = config_find_listener(reader->config, name);

	if (i == reader->config->listener_count)
		return unknown_listener(reader, name);
	reader->question->listener = &reader->config->listeners[i];
	return true;
}

/* No name has a colon, and every address has one. */
static bool read_listener(const struct reader *reader, const char *text)
{
	char host[ADDRESS_HOST_MAX];
	struct address to;
	uint16_t port;

	if (!strchr(text, ':'))
		return find_by_name(reader, text);
	if (!address_split(text, host, &port) && !strcmp(host, "*")) {
		address_from_ip(&to, "0.0.0.0", port);
		return find_by_address(reader, text, &to, true);
	}
	if (address_parse(&to, text))
		return unknown_listener(reader, text);
	return find_by_address(reader, text, &to, false);
}

/* Datagrams come to an address of their own family. Where the listener has one for them, that is it. */
static bool find_destination(const struct reader *reader)
{
	struct explain_query *question = reader->question;
	int family = question->source.any.sa_family;
	const struct bind_config *only = NULL;
	size_t count = 0;

	for (size_t i = 0; i < question->listener->bind_count; i++) {
		if (!takes_family(&question->listener->binds[i], family))
			continue;
		only = &question->listener->binds[i];
		count++;
	}
	if (!count || (question->destination.length && question->destination.any.sa_family != family))
		return false;
	if (count == 1 && !only->fd_name && !address_is_wildcard(&only->address) &&
	    (family == AF_UNIX || address_port(&only->address)))
		question->destination = only->address;
	return true;
}

static bool no_way(const struct reader *reader, const char *source)
{
	const struct explain_query *question = reader->question;
	char to[ADDRESS_TEXT_MAX];

	if (question->destination.length)
		return wrong(reader, source, "no datagram comes from there to %s: write a source of its family",
			     address_format(&question->destination, to));
	return wrong(reader, source, "no datagram comes from there to listener %s, which has no address of that family",
		     question->listener->name);
}

/* --- The way: from whom to which listener --- */

static char *trim(char *text)
{
	char *end = text + strlen(text);

	while (end > text && isspace((unsigned char)end[-1]))
		*--end = '\0';
	return text + strspn(text, BLANKS);
}

static bool read_way(const struct reader *reader, const char *way)
{
	char *source = xcheck(strdup(way)), *arrow = strrchr(source, '>'), *from, *to;
	bool good;

	if (!arrow) {
		free(source);
		return wrong(reader, way, "there is no `>` in it: write 'SRC:PORT > LISTENER'");
	}
	*arrow = '\0';
	from = trim(source);
	to = trim(arrow + 1);
	good = read_source(reader, from) && read_listener(reader, to);
	if (good && !find_destination(reader))
		good = no_way(reader, from);
	free(source);
	return good;
}

/* --- The payload --- */

static bool read_hex(const struct reader *reader, const char *text)
{
	struct explain_query *question = reader->question;
	char *copy = xcheck(strdup(text));
	const char *fault, *word;

	question->payload = xcheck(malloc(strlen(text) + 1));
	fault = value_hex_words(copy, question->payload, &question->size, &word);
	if (fault)
		wrong(reader, word, "this %s", fault);
	free(copy);
	if (!fault && !question->size)
		return wrong(reader, "hex:", "no bytes follow: write some, such as `hex: 00 ff`");
	return !fault;
}

static void read_text(struct explain_query *question, const char *text)
{
	question->size = strlen(text);
	question->payload = xcheck(malloc(question->size + 1));
	memcpy(question->payload, text, question->size);
}

/* A little more than a datagram carries shows that it is too much. */
static bool read_stream(const struct reader *reader, FILE *in)
{
	struct explain_query *question = reader->question;

	question->payload = xcheck(malloc(CONFIG_DATAGRAM_MAX + 1));
	question->size = fread(question->payload, 1, CONFIG_DATAGRAM_MAX + 1, in);
	return !ferror(in) || wrong(reader, "-", "standard input cannot be read");
}

static bool check_size(const struct reader *reader)
{
	size_t max = reader->question->source.any.sa_family == AF_INET ? PAYLOAD_MAX_V4 : CONFIG_DATAGRAM_MAX;

	if (reader->question->size <= max)
		return true;
	fprintf(reader->errors, "udprelayd: the payload has more bytes than the %zu that a datagram carries\n" EXAMPLE,
		max);
	return false;
}

static bool read_payload(const struct reader *reader, const char *payload, FILE *in)
{
	struct explain_query *question = reader->question;
	bool good = true;

	question->has_payload = payload;
	if (!payload)
		return true;
	if (!strcmp(payload, "-"))
		good = read_stream(reader, in);
	else if (!strncasecmp(payload, "hex:", 4))
		good = read_hex(reader, payload + 4);
	else
		read_text(question, payload);
	return good && check_size(reader);
}

int explain_query_init(struct explain_query *question, const struct config *config, const char *way,
		       const char *payload, FILE *in, FILE *errors)
{
	struct reader reader = {question, config, errors};

	*question = (struct explain_query){0};
	return read_way(&reader, way) && read_payload(&reader, payload, in) ? 0 : EX_USAGE;
}

void explain_query_finish(struct explain_query *question)
{
	free(question->payload);
	*question = (struct explain_query){0};
}

#include "admin/explain_payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "text/escape.h"

/* Number of bytes to preview if the datagram log shows no payload. */
#define PREVIEW_DEFAULT 256

/* Size of the longest character in bytes, including the escape sequences of shift states. */
#define CHARACTER_MAX 8

/* --- Preview --- */

/* The first bytes of a payload. */
struct excerpt {
	const uint8_t *bytes;
	size_t size;
	bool truncated; /* more bytes follow */
};

static struct excerpt payload_excerpt(const struct explain_report *report, const void *bytes, size_t size)
{
	size_t limit = report->config->datagram_log.payload;

	if (!limit)
		limit = PREVIEW_DEFAULT;
	return (struct excerpt){bytes, size < limit ? size : limit, size > limit};
}

static struct codec *open_codec(char *const *encodings, size_t count, enum codec_errors errors, size_t limit)
{
	struct codec *codec = NULL;

	/* The configuration has validated the names, so only lack of memory is possible. */
	codec_create(&codec, encodings, count, errors, limit);
	return xcheck(codec);
}

static char *quote_text(const struct codec_text *text, bool truncated)
{
	char *quoted = xcheck(malloc(text->length * ESCAPE_EXPANSION + sizeof("\"\"…"))), *out = quoted;

	*out++ = '"';
	out += escape_text(out, text->utf8, text->length);
	strcpy(out, truncated ? "\"…" : "\"");
	return quoted;
}

struct decoded_preview preview_payload(const struct explain_report *report, char *const *encodings, size_t count,
				       enum codec_errors errors, const void *bytes, size_t size, const char **encoding)
{
	struct excerpt excerpt = payload_excerpt(report, bytes, size);
	struct codec *codec = open_codec(encodings, count, errors, excerpt.size);
	struct codec_text text;
	struct decoded_preview preview;

	preview.decoded = codec_decode(codec, excerpt.bytes, excerpt.size, excerpt.truncated, &text);
	preview.text = quote_text(&text, excerpt.truncated);
	if (encoding)
		*encoding = text.encoding;
	codec_destroy(codec);
	return preview;
}

/* --- One encoding --- */

/* Returns the size of the shortest prefix that does not decode; its last byte is the first wrong one. Returns 0 if all
 * prefixes decode, but the payload ends within a character. Binary search: each decode starts at the first byte. */
static size_t find_decode_error(struct codec *codec, const struct excerpt *excerpt)
{
	size_t decodable = 0, undecodable = excerpt->size;
	struct codec_text text;

	if (codec_decode(codec, excerpt->bytes, excerpt->size, true, &text))
		return 0;
	while (undecodable - decodable > 1) {
		size_t middle = decodable + (undecodable - decodable) / 2;

		if (codec_decode(codec, excerpt->bytes, middle, true, &text))
			decodable = middle;
		else
			undecodable = middle;
	}
	return undecodable;
}

/* Returns the offset of the character that is wrong or incomplete at the offset end. */
static size_t find_character_start(struct codec *codec, const struct excerpt *excerpt, size_t end)
{
	size_t begin = end;
	struct codec_text text;

	do
		begin--;
	while (begin && end - begin < CHARACTER_MAX && !codec_decode(codec, excerpt->bytes, begin, false, &text));
	return begin;
}

static void report_decode_error(const struct explain_report *report, char *const *encoding)
{
	const struct explain_query *query = report->query;
	struct excerpt excerpt = payload_excerpt(report, query->payload, query->size);
	struct codec *codec = open_codec(encoding, 1, CODEC_STRICT, excerpt.size);
	size_t error = find_decode_error(codec, &excerpt), end = error ? error : excerpt.size;
	size_t begin = find_character_start(codec, &excerpt, end);

	fprintf(report->out, EXPLAIN_INDENT "encoding %s: does not decode: %s byte %zu:", *encoding,
		error ? "wrong from" : "it ends inside a character that begins with", begin + 1);
	for (size_t i = begin; i < end; i++)
		fprintf(report->out, " %02x", excerpt.bytes[i]);
	putc('\n', report->out);
	codec_destroy(codec);
}

/* Returns true if the payload decodes. */
static bool report_encoding(const struct explain_report *report, char *const *encoding)
{
	const struct explain_query *query = report->query;
	struct decoded_preview preview =
		preview_payload(report, encoding, 1, CODEC_STRICT, query->payload, query->size, NULL);

	if (preview.decoded)
		explain_line(report, "encoding %s: decodes to %s", *encoding, preview.text);
	else
		report_decode_error(report, encoding);
	free(preview.text);
	return preview.decoded;
}

/* --- The log record --- */

static void report_logged_text(const struct explain_report *report, bool decodes)
{
	const struct explain_query *query = report->query;
	const struct listener_config *listener = report->listener;
	const char *encoding, *rule = explain_choice_name("errors", listener->errors);
	struct decoded_preview preview = preview_payload(report, listener->encodings, listener->encoding_count,
							 listener->errors, query->payload, query->size, &encoding);

	if (decodes)
		explain_line(report, "log: %s %s, the first that decodes (%s)", encoding, preview.text,
			     config_location_of(&listener->lines, "encoding").text);
	else
		explain_line(report, "log: %s %s, because no charset decodes it: errors = %s (%s)", encoding,
			     preview.text, rule, config_location_of(&listener->lines, "errors").text);
	free(preview.text);
}

static void report_log_record(const struct explain_report *report, bool decodes)
{
	const struct config *config = report->config;
	const struct listener_config *listener = report->listener;

	if (config->datagram_log.target == LOG_TARGET_OFF)
		explain_line(report, "log: no record: the datagram log is off (target)");
	else if (!listener->log_every)
		explain_line(report, "log: no record (%s)", config_location_of(&listener->lines, "log").text);
	else if (!config->datagram_log.payload)
		explain_line(report, "log: a record without payload (payload = 0)");
	else
		report_logged_text(report, decodes);
	if (listener->log_every > 1 && config->datagram_log.target != LOG_TARGET_OFF)
		explain_line(report, "log: of %u datagrams, one has a record (%s)", listener->log_every,
			     config_location_of(&listener->lines, "log").text);
}

void explain_payload(const struct explain_report *report)
{
	const struct listener_config *listener = report->listener;
	struct excerpt excerpt = payload_excerpt(report, NULL, report->query->size);
	bool decodes = false;

	if (excerpt.truncated)
		explain_line(report, "log: decodes the first %zu bytes", excerpt.size);
	for (size_t i = 0; i < listener->encoding_count; i++)
		decodes |= report_encoding(report, &listener->encodings[i]);
	report_log_record(report, decodes);
}

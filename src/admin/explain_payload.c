#include "admin/explain_payload.h"

#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "text/escape.h"

/* Where the log shows no payload, so much of it is explained all the same. */
#define SHOWN_DEFAULT 256

/* Bytes of the longest character, escape sequences of shift states included. */
#define CHARACTER_MAX 8

/* --- Reading --- */

/* The first of the payload's bytes; it may go on behind them. */
struct part {
	const uint8_t *bytes;
	size_t size;
	bool cut;
};

static struct part shown_part(const struct explain_report *explanation, const void *bytes, size_t size)
{
	size_t limit = explanation->config->datagram_log.payload;

	if (!limit)
		limit = SHOWN_DEFAULT;
	return (struct part){bytes, size < limit ? size : limit, size > limit};
}

static struct codec *open_codec(char *const *encodings, size_t count, enum codec_errors errors, size_t limit)
{
	struct codec *codec = NULL;

	/* The names were checked with the configuration: only memory can be short. */
	codec_create(&codec, encodings, count, errors, limit);
	return xcheck(codec);
}

static char *quote(const struct codec_text *text, bool cut)
{
	char *quoted = xcheck(malloc(text->length * ESCAPE_EXPANSION + sizeof("\"\"…"))), *out = quoted;

	*out++ = '"';
	out += escape_text(out, text->utf8, text->length);
	strcpy(out, cut ? "\"…" : "\"");
	return quoted;
}

struct decoded_preview preview_payload(const struct explain_report *explanation, char *const *encodings, size_t count,
				       enum codec_errors errors, const void *bytes, size_t size, const char **encoding)
{
	struct part part = shown_part(explanation, bytes, size);
	struct codec *codec = open_codec(encodings, count, errors, part.size);
	struct codec_text text;
	struct decoded_preview reading = {.bytes = part.size};

	reading.decoded = codec_decode(codec, part.bytes, part.size, part.cut, &text);
	reading.text = quote(&text, part.cut);
	if (encoding)
		*encoding = text.encoding;
	codec_destroy(codec);
	return reading;
}

/* --- One encoding --- */

/* The least beginning of the part that does not decode ends with the byte that is wrong: 1 for the first. Where each
 * does, and only the whole does not, the part ends within a character: 0. */
static size_t find_fault(struct codec *codec, const struct part *part)
{
	size_t good = 0, bad = part->size;
	struct codec_text text;

	if (codec_decode(codec, part->bytes, part->size, true, &text))
		return 0;
	while (bad - good > 1) {
		size_t middle = good + (bad - good) / 2;

		if (codec_decode(codec, part->bytes, middle, true, &text))
			good = middle;
		else
			bad = middle;
	}
	return bad;
}

/* Where the character begins that is not there, or wrong, at the end of so many bytes. */
static size_t find_character(struct codec *codec, const struct part *part, size_t end)
{
	size_t begin = end;
	struct codec_text text;

	do
		begin--;
	while (begin && end - begin < CHARACTER_MAX && !codec_decode(codec, part->bytes, begin, false, &text));
	return begin;
}

static void tell_fault(const struct explain_report *explanation, char *const *encoding)
{
	const struct explain_query *question = explanation->question;
	struct part part = shown_part(explanation, question->payload, question->size);
	struct codec *codec = open_codec(encoding, 1, CODEC_STRICT, part.size);
	size_t fault = find_fault(codec, &part), end = fault ? fault : part.size;
	size_t begin = find_character(codec, &part, end);

	fprintf(explanation->out, FACT_INDENT "encoding %s: does not decode: %s byte %zu:", *encoding,
		fault ? "wrong from" : "it ends within a character that begins with", begin + 1);
	for (size_t i = begin; i < end; i++)
		fprintf(explanation->out, " %02x", part.bytes[i]);
	putc('\n', explanation->out);
	codec_destroy(codec);
}

/* Returns whether it decodes. */
static bool try_encoding(const struct explain_report *explanation, char *const *encoding)
{
	const struct explain_query *question = explanation->question;
	struct decoded_preview reading =
		preview_payload(explanation, encoding, 1, CODEC_STRICT, question->payload, question->size, NULL);

	if (reading.decoded)
		explain_line(explanation, "encoding %s: decodes to %s", *encoding, reading.text);
	else
		tell_fault(explanation, encoding);
	free(reading.text);
	return reading.decoded;
}

/* --- The log --- */

static void tell_shown(const struct explain_report *explanation, bool fits)
{
	const struct explain_query *question = explanation->question;
	const struct listener_config *listener = explanation->listener;
	const char *encoding, *rule = explain_choice_name("errors", listener->errors);
	struct decoded_preview reading =
		preview_payload(explanation, listener->encodings, listener->encoding_count, listener->errors,
				question->payload, question->size, &encoding);

	if (fits)
		explain_line(explanation, "log: %s %s, the first that decodes (%s)", encoding, reading.text,
			     config_location_of(&listener->lines, "encoding").text);
	else
		explain_line(explanation, "log: %s %s, since none decodes, by errors = %s (%s)", encoding, reading.text,
			     rule, config_location_of(&listener->lines, "errors").text);
	free(reading.text);
}

static void tell_log(const struct explain_report *explanation, bool fits)
{
	const struct config *config = explanation->config;
	const struct listener_config *listener = explanation->listener;

	if (config->datagram_log.target == LOG_TARGET_OFF)
		explain_line(explanation, "log: no record: the datagram log is off (target)");
	else if (!listener->log_every)
		explain_line(explanation, "log: no record (%s)", config_location_of(&listener->lines, "log").text);
	else if (!config->datagram_log.payload)
		explain_line(explanation, "log: a record without payload (payload = 0)");
	else
		tell_shown(explanation, fits);
	if (listener->log_every > 1 && config->datagram_log.target != LOG_TARGET_OFF)
		explain_line(explanation, "log: of %u datagrams, one has a record (%s)", listener->log_every,
			     config_location_of(&listener->lines, "log").text);
}

void explain_payload(const struct explain_report *explanation)
{
	const struct listener_config *listener = explanation->listener;
	struct part part = shown_part(explanation, NULL, explanation->question->size);
	bool fits = false;

	if (part.cut)
		explain_line(explanation, "log: reads the first %zu bytes", part.size);
	for (size_t i = 0; i < listener->encoding_count; i++)
		fits |= try_encoding(explanation, &listener->encodings[i]);
	tell_log(explanation, fits);
}

#include "datagram_log/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "text/escape.h"
#include "text/fmt.h"

/* Maximum size of a line without its payload: the time, the listener and the encoding (at most 40 bytes each), the
 * size, the JSON keys, the verdict, and two addresses (JSON doubles their backslashes). */
#define RECORD_FRAME_MAX (512 + RECORD_VERDICT_MAX + 4 * ADDRESS_TEXT_MAX)

/* One byte of payload becomes at most three bytes of text (codec.h), and each of them at most ESCAPE_EXPANSION bytes in
 * the line. Real lines are shorter: an escape sequence replaces a whole character. */
#define RECORD_EXPANSION (3 * ESCAPE_EXPANSION)

size_t record_size_max(uint32_t shown)
{
	return RECORD_FRAME_MAX + (size_t)shown * RECORD_EXPANSION;
}

static char *record_write_address(char *out, const struct address *address)
{
	address_format(address, out);
	return out + strlen(out);
}

static char *record_write_json_address(char *out, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	return out + escape_json(out, text, strlen(text));
}

char *record_format_verdict(char *out, const struct datagram_record *record)
{
	switch (record->verdict) {
	case VERDICT_SUNK:
		return stpcpy(out, "sunk");
	case VERDICT_ECHOED:
		return stpcpy(out, "echoed");
	case VERDICT_FORWARDED:
		out = fmt_u32(stpcpy(out, "forwarded:"), record->sent);
		*out++ = '/';
		return fmt_u32(out, record->copies);
	case VERDICT_RELAYED:
		return stpcpy(stpcpy(out, "relayed:"), record->peer->name);
	case VERDICT_ANSWERED:
		return stpcpy(stpcpy(out, "answered:"), record->peer->name);
	case VERDICT_DROPPED:
		break;
	}
	return stpcpy(stpcpy(out, "dropped:"), drop_reason_name(record->reason));
}

/* text is the decoded payload, or NULL if the line has none. The functions return the end of the line. */
static char *record_write_text(char *out, const struct datagram_record *record, const struct codec_text *text,
			       bool truncated)
{
	clock_format(record->time_us, out);
	out += CLOCK_TEXT_MAX - 1;
	*out++ = ' ';
	out = stpcpy(out, record->listener->name);
	*out++ = ' ';
	out = record_write_address(out, record->source);
	out = stpcpy(out, " > ");
	out = record_write_address(out, record->destination);
	*out++ = ' ';
	out = stpcpy(fmt_u32(out, record->size), "B ");
	out = stpcpy(out, text ? text->encoding : "-");
	*out++ = ' ';
	out = record_format_verdict(out, record);
	if (text) {
		out = stpcpy(out, " \"");
		out += escape_text(out, text->utf8, text->length);
		*out++ = '"';
	}
	return truncated ? stpcpy(out, "…\n") : stpcpy(out, "\n");
}

static char *record_write_json(char *out, const struct datagram_record *record, const struct codec_text *text,
			       bool truncated)
{
	out = stpcpy(out, "{\"time\":\"");
	clock_format(record->time_us, out);
	out += CLOCK_TEXT_MAX - 1;
	out = stpcpy(stpcpy(out, "\",\"listener\":\""), record->listener->name);
	out = stpcpy(out, "\",\"source\":\"");
	out = record_write_json_address(out, record->source);
	out = stpcpy(out, "\",\"destination\":\"");
	out = record_write_json_address(out, record->destination);
	out = fmt_u32(stpcpy(out, "\",\"size\":"), record->size);
	out = stpcpy(out, ",\"encoding\":");
	out = text ? stpcpy(stpcpy(stpcpy(out, "\""), text->encoding), "\"") : stpcpy(out, "null");
	out = stpcpy(out, ",\"verdict\":\"");
	out = record_format_verdict(out, record);
	out = stpcpy(out, "\",\"payload\":");
	if (text) {
		*out++ = '"';
		out += escape_json(out, text->utf8, text->length);
		*out++ = '"';
	} else {
		out = stpcpy(out, "null");
	}
	return stpcpy(out, truncated ? ",\"truncated\":true}\n" : ",\"truncated\":false}\n");
}

/* LOG_FORMAT_MESSAGE: "SOURCE: PAYLOAD". */
static char *record_write_source_and_payload(char *out, const struct datagram_record *record,
					     const struct codec_text *text)
{
	out = stpcpy(record_write_address(out, record->source), ": ");
	if (text)
		out += escape_text(out, text->utf8, text->length);
	return stpcpy(out, "\n");
}

size_t record_format(char *out, const struct datagram_record *record, uint32_t shown, uint32_t shown_max,
		     struct codec *codec, enum log_format format)
{
	bool truncated = shown < record->size;
	struct codec_text text;
	char *end;

	if (shown_max)
		codec_decode(codec, record->payload, shown, truncated, &text);
	if (format == LOG_FORMAT_JSON)
		end = record_write_json(out, record, shown_max ? &text : NULL, truncated && shown_max);
	else if (format == LOG_FORMAT_MESSAGE)
		end = record_write_source_and_payload(out, record, shown_max ? &text : NULL);
	else
		end = record_write_text(out, record, shown_max ? &text : NULL, truncated && shown_max);
	return (size_t)(end - out);
}

size_t record_format_dropped(char *out, uint64_t time_us, uint64_t count, enum log_format format)
{
	char time[CLOCK_TEXT_MAX];

	clock_format(time_us, time);
	if (format == LOG_FORMAT_JSON)
		return (size_t)sprintf(out, "{\"time\":\"%s\",\"records_dropped\":%" PRIu64 "}\n", time, count);
	return (size_t)sprintf(out, "%s records dropped: %" PRIu64 "\n", time, count);
}

#include "base/log_line.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "text/escape.h"
#include "text/utf8.h"

/* The ellipsis may replace a part of a character. log_line_escape() then writes the rest of this character as \xNN. */
void log_line_print(char text[LOG_LINE_MAX], const char *format, va_list arguments)
{
	static const char ellipsis[] = "…";

	if (vsnprintf(text, LOG_LINE_MAX, format, arguments) >= LOG_LINE_MAX)
		memcpy(text + LOG_LINE_MAX - sizeof(ellipsis), ellipsis, sizeof(ellipsis));
}

/* Copies a message as valid UTF-8, terminated by NUL. Bytes that are not UTF-8, control characters and hidden
 * characters (escape_is_hidden()) become \xNN. */
static void log_line_escape(char out[LOG_LINE_ESCAPED_MAX + 1], const char *text)
{
	const uint8_t *in = (const uint8_t *)text;
	size_t left = strlen(text);

	while (left) {
		bool incomplete;
		int length = utf8_check(in, left, &incomplete);

		if (length < 0 || *in < ' ' || *in == 0x7f) {
			out += sprintf(out, "\\x%02x", *in);
			length = 1;
		} else if (length > 1 && escape_is_hidden(utf8_decode(in, length))) {
			for (int i = 0; i < length; i++)
				out += sprintf(out, "\\x%02x", in[i]);
		} else {
			out = mempcpy(out, in, (size_t)length);
		}
		in += length;
		left -= (size_t)length;
	}
	*out = '\0';
}

static const char *level_name(enum log_level level)
{
	static const char *const names[] = {"error", "warning", "notice", "info", "debug"};

	return names[level];
}

/* Returns the priority of syslog(3): LOG_ERR is 3, LOG_WARNING is 4, and so on. */
static int syslog_priority(enum log_level level)
{
	return (int)level + 3;
}

static char *format_json(char *out, const char *time, enum log_level level, const char *message)
{
	out += sprintf(out, "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"", time, level_name(level));
	out += escape_json(out, message, strlen(message));
	return stpcpy(out, "\"}\n");
}

size_t log_line_format(char out[LOG_LINE_BUFFER], bool journal, enum log_format format, enum log_level level,
		       const char *text)
{
	char time[CLOCK_TEXT_MAX], message[LOG_LINE_ESCAPED_MAX + 1];
	char *begin = out;

	log_line_escape(message, text);
	clock_format(clock_wall_us(), time);
	if (journal)
		out += sprintf(out, "<%d>", syslog_priority(level));
	if (format == LOG_FORMAT_JSON)
		out = format_json(out, time, level, message);
	else if (journal)
		out += sprintf(out, "%s\n", message);
	else
		out += sprintf(out, "%s %s: %s\n", time, level_name(level), message);
	return (size_t)(out - begin);
}

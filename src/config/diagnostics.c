#include "config/diagnostics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "text/escape.h"
#include "text/utf8.h"

/* --- Text --- */

#define SHOWN_MAX 20 /* errors that are written */
#define KEPT_MAX 1000 /* errors that are stored; further ones are only counted */

/* Bytes. A longer text loses its middle: its beginning has the location, and its end the fix. */
#define TEXT_MAX 1000

/* Matches Unicode spaces, which look like a blank but do not separate words in the file, and all characters that
 * escape_text() escapes. */
static bool is_invisible(const char *character, int length)
{
	uint32_t c = utf8_decode((const uint8_t *)character, length);
	char escaped[UTF8_MAX * ESCAPE_EXPANSION];

	return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000 ||
	       escape_text(escaped, character, (size_t)length) != (size_t)length;
}

/* Returns the bytes of the character at text if it can be printed as it is. Returns 0 for a control character, an
 * invisible character, or a byte that is not valid UTF-8. left is at least 1. */
static int printable_length(const char *text, size_t left)
{
	const uint8_t *bytes = (const uint8_t *)text;
	bool unfinished;
	int step = utf8_check(bytes, left, &unfinished);

	if (step < 1)
		return 0;
	return bytes[0] < ' ' || bytes[0] == 0x7f || (step > 1 && is_invisible(text, step)) ? 0 : step;
}

char *diagnostics_escape(const char *text)
{
	size_t left = strlen(text);
	char *escaped = xcheck(malloc(4 * left + 1)), *out = escaped;

	while (left) {
		int length = printable_length(text, left);

		if (length)
			out = mempcpy(out, text, (size_t)length);
		else
			out += sprintf(out, "\\x%02x", (unsigned char)*text);
		text += length ? length : 1;
		left -= length ? (size_t)length : 1;
	}
	*out = '\0';
	return escaped;
}

/* Replaces the middle of a long text by an ellipsis, in place. A text is cut only if that makes it shorter, because
 * there is no room for the ellipsis otherwise. */
static void diagnostics_shorten(char *text)
{
	static const char ellipsis[] = "…";
	size_t length = strlen(text), half = TEXT_MAX / 2, mark = sizeof(ellipsis) - 1;

	if (length <= TEXT_MAX + mark)
		return;
	memcpy(text + half, ellipsis, mark);
	memmove(text + half + mark, text + length - half, half + 1);
}

static char *with_location(const char *section, const char *key, const char *text)
{
	char *located;
	int length = section && key ? asprintf(&located, "[%s] %s: %s", section, key, text)
		     : section      ? asprintf(&located, "[%s]: %s", section, text)
		     : key          ? asprintf(&located, "%s: %s", key, text)
				    : asprintf(&located, "%s", text);

	return xcheck(length < 0 ? NULL : located);
}

/* --- The collection --- */

/* Compares only with the most recent errors, as long as they are of the same line: the errors of one line are usually
 * added one after the other. */
static bool is_reported(const struct diagnostics *diagnostics, unsigned line, const char *text)
{
	for (size_t i = diagnostics->count; i && diagnostics->items[i - 1].line == line; i--) {
		if (!strcmp(diagnostics->items[i - 1].text, text))
			return true;
	}
	return false;
}

void diagnostics_add_entry(struct diagnostics *diagnostics, unsigned line, const char *section, const char *key,
			   const char *format, va_list arguments)
{
	char *text, *located, *escaped;

	if (diagnostics->count == KEPT_MAX) {
		diagnostics->suppressed++;
		return;
	}
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	located = with_location(section, key, text);
	diagnostics_shorten(located);
	escaped = diagnostics_escape(located);
	free(located);
	free(text);
	if (is_reported(diagnostics, line, escaped)) {
		free(escaped);
		return;
	}
	diagnostics->items = xgrow(diagnostics->items, diagnostics->count, sizeof(*diagnostics->items));
	diagnostics->items[diagnostics->count++] = (struct diagnostic){line, escaped};
}

void diagnostics_add(struct diagnostics *diagnostics, unsigned line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(diagnostics, line, NULL, NULL, format, arguments);
	va_end(arguments);
}

static void write_diagnostic(const struct diagnostics *diagnostics, const struct diagnostic *item, FILE *out)
{
	char *path = diagnostics_escape(diagnostics->path);

	if (item->line)
		fprintf(out, "%s:%u: %s\n", path, item->line, item->text);
	else
		fprintf(out, "%s: %s\n", path, item->text);
	free(path);
}

/* The message has the line of the first error that is not written. */
static void write_remaining_count(const struct diagnostics *diagnostics, FILE *out)
{
	size_t remaining = diagnostics->count - SHOWN_MAX + diagnostics->suppressed;
	char text[64];

	snprintf(text, sizeof(text), "… and %zu more error%s", remaining, remaining > 1 ? "s" : "");
	write_diagnostic(diagnostics, &(struct diagnostic){diagnostics->items[SHOWN_MAX].line, text}, out);
}

/* Insertion sort: there are at most 1000 errors, nearly sorted. It is stable: errors of one line keep their order. */
static void diagnostics_sort(struct diagnostics *diagnostics)
{
	for (size_t i = 1; i < diagnostics->count; i++) {
		struct diagnostic item = diagnostics->items[i];
		size_t j = i;

		for (; j && diagnostics->items[j - 1].line > item.line; j--)
			diagnostics->items[j] = diagnostics->items[j - 1];
		diagnostics->items[j] = item;
	}
}

void diagnostics_write(struct diagnostics *diagnostics, FILE *out)
{
	diagnostics_sort(diagnostics);
	for (size_t i = 0; i < diagnostics->count && i < SHOWN_MAX; i++)
		write_diagnostic(diagnostics, &diagnostics->items[i], out);
	if (diagnostics->count > SHOWN_MAX)
		write_remaining_count(diagnostics, out);
}

void diagnostics_finish(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		free(diagnostics->items[i].text);
	free(diagnostics->items);
	*diagnostics = (struct diagnostics){.path = diagnostics->path};
}

#include "diagnostics.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "must.h"
#include "utf8.h"

/* --- Text --- */

/* How many bytes at text may be shown as they are: a character, or 0 for a control (C0, DEL, C1) or a stray byte. */
static int shown_length(const char *text, size_t left)
{
	const uint8_t *bytes = (const uint8_t *)text;
	bool unfinished;
	int step = utf8_step(bytes, left, &unfinished);

	if (step < 1)
		return 0;
	return bytes[0] < ' ' || bytes[0] == 0x7f || (step > 1 && utf8_get(bytes, step) < 0xa0) ? 0 : step;
}

static char *escape(const char *text)
{
	size_t left = strlen(text);
	char *escaped = must(malloc(4 * left + 1)), *out = escaped;

	while (left) {
		int length = shown_length(text, left);

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

static char *with_place(const char *section, const char *key, const char *text)
{
	char *whole;
	int length = section && key ? asprintf(&whole, "[%s] %s: %s", section, key, text)
		     : section      ? asprintf(&whole, "[%s]: %s", section, text)
		     : key          ? asprintf(&whole, "%s: %s", key, text)
				    : asprintf(&whole, "%s", text);

	return must(length < 0 ? NULL : whole);
}

/* --- The collection --- */

void diagnostics_add_entry(struct diagnostics *diagnostics, unsigned line, const char *section, const char *key,
			   const char *format, va_list arguments)
{
	size_t bytes = (diagnostics->count + 1) * sizeof(*diagnostics->items);
	char *text, *whole;

	if (vasprintf(&text, format, arguments) < 0)
		abort();
	whole = with_place(section, key, text);
	diagnostics->items = must(realloc(diagnostics->items, bytes));
	diagnostics->items[diagnostics->count++] = (struct diagnostic){line, escape(whole)};
	free(whole);
	free(text);
}

void diagnostics_add(struct diagnostics *diagnostics, unsigned line, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(diagnostics, line, NULL, NULL, format, arguments);
	va_end(arguments);
}

static void write_one(const struct diagnostics *diagnostics, const struct diagnostic *item, FILE *out)
{
	if (item->line)
		fprintf(out, "%s:%u: %s\n", diagnostics->path, item->line, item->text);
	else
		fprintf(out, "%s: %s\n", diagnostics->path, item->text);
}

/* Insertion: few, nearly in order, and those of one line stay as they came. */
static void sort(struct diagnostics *diagnostics)
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
	sort(diagnostics);
	for (size_t i = 0; i < diagnostics->count; i++)
		write_one(diagnostics, &diagnostics->items[i], out);
}

void diagnostics_finish(struct diagnostics *diagnostics)
{
	for (size_t i = 0; i < diagnostics->count; i++)
		free(diagnostics->items[i].text);
	free(diagnostics->items);
	*diagnostics = (struct diagnostics){0};
}

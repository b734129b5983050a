#include "diagnostics.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* Takes text over. */
static char *escape_controls(char *text)
{
	char *escaped = must(malloc(4 * strlen(text) + 1)), *out = escaped;

	for (const char *in = text; *in; in++) {
		if ((unsigned char)*in < ' ' || *in == 0x7f)
			out += sprintf(out, "\\x%02x", (unsigned char)*in);
		else
			*out++ = *in;
	}
	*out = '\0';
	free(text);
	return escaped;
}

void diagnostics_add(struct diagnostics *diagnostics, unsigned line, const char *format, ...)
{
	size_t bytes = (diagnostics->count + 1) * sizeof(*diagnostics->items);
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	diagnostics->items = must(realloc(diagnostics->items, bytes));
	diagnostics->items[diagnostics->count++] = (struct diagnostic){line, escape_controls(text)};
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

#include "text/escape.h"

#include <string.h>

#include "text/fmt.h"

struct range {
	uint32_t first, last;
};

/* Beyond ASCII, what shows as nothing, moves the text about, or ends a line: C1 controls, the soft hyphen, and the
 * format, separator and noncharacter code points of the Unicode Character Database. */
static const struct range hidden[] = {
	{0x80, 0x9f},       {0xad, 0xad},       {0x600, 0x605},     {0x61c, 0x61c},     {0x6dd, 0x6dd},
	{0x70f, 0x70f},     {0x890, 0x891},     {0x8e2, 0x8e2},     {0x180e, 0x180e},   {0x200b, 0x200f},
	{0x2028, 0x202e},   {0x2060, 0x206f},   {0xd800, 0xdfff},   {0xfdd0, 0xfdef},   {0xfeff, 0xfeff},
	{0xfff0, 0xfffb},   {0xfffe, 0xffff},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd}, {0x13430, 0x1345f},
	{0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

bool escape_is_hidden(uint32_t c)
{
	if ((c & 0xfffe) == 0xfffe)
		return true;
	for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]) && c >= hidden[i].first; i++) {
		if (c <= hidden[i].last)
			return true;
	}
	return false;
}

/* The character at text, which codec.h describes; what is none counts as a byte that did not decode. */
static size_t read_character(const uint8_t *text, size_t left, uint32_t *c)
{
	size_t length = text[0] < 0x80 ? 1 : text[0] < 0xc2 ? 0 : text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;

	*c = length == 1 ? text[0] : 0xdc00u + text[0];
	if (length <= 1 || length > left || text[0] > 0xf4)
		return 1;
	uint32_t value = text[0] & (0x7fu >> length);
	for (size_t i = 1; i < length; i++) {
		if ((text[i] & 0xc0) != 0x80)
			return 1;
		value = value << 6 | (text[i] & 0x3f);
	}
	*c = value;
	return length;
}

static char *put_escape(char *out, char kind, uint32_t value, int digits)
{
	*out++ = '\\';
	*out++ = kind;
	return fmt_hex(out, value, digits);
}

static char *put_short_escape(char *out, char c)
{
	*out++ = '\\';
	*out++ = c;
	return out;
}

/* How many characters are printable ASCII that stands for itself. */
static size_t plain_run(const uint8_t *text, size_t length)
{
	size_t i = 0;

	while (i < length && text[i] >= ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\')
		i++;
	return i;
}

static char *escape_one_text(char *out, uint32_t c)
{
	switch (c) {
	case '\n':
		return put_short_escape(out, 'n');
	case '\r':
		return put_short_escape(out, 'r');
	case '\t':
		return put_short_escape(out, 't');
	case '"':
	case '\\':
		return put_short_escape(out, (char)c);
	}
	if (c >= 0xdc00 && c <= 0xdcff)
		return put_escape(out, 'x', c & 0xff, 2);
	return c > 0xffff ? put_escape(out, 'U', c, 8) : put_escape(out, 'u', c, 4);
}

/* Beyond 16 bits JSON has surrogate pairs. */
static char *escape_one_json(char *out, uint32_t c)
{
	if (c == '"' || c == '\\')
		return put_short_escape(out, (char)c);
	if (c >= 0xdc00 && c <= 0xdcff) {
		*out++ = '\\';
		return put_escape(out, 'x', c & 0xff, 2);
	}
	if (c <= 0xffff)
		return put_escape(out, 'u', c, 4);
	out = put_escape(out, 'u', 0xd800 + ((c - 0x10000) >> 10), 4);
	return put_escape(out, 'u', 0xdc00 + ((c - 0x10000) & 0x3ff), 4);
}

static size_t escape(char *out, const char *utf8, size_t length, char *(*escape_one)(char *out, uint32_t c))
{
	const uint8_t *text = (const uint8_t *)utf8;
	char *begin = out;
	size_t taken;

	for (size_t i = 0; i < length; i += taken) {
		uint32_t c;

		taken = plain_run(text + i, length - i);
		if (!taken) {
			taken = read_character(text + i, length - i, &c);
			if (c < 0x80 || escape_is_hidden(c)) {
				out = escape_one(out, c);
				continue;
			}
		}
		memcpy(out, text + i, taken);
		out += taken;
	}
	return (size_t)(out - begin);
}

size_t escape_text(char *out, const char *utf8, size_t length)
{
	return escape(out, utf8, length, escape_one_text);
}

size_t escape_json(char *out, const char *utf8, size_t length)
{
	return escape(out, utf8, length, escape_one_json);
}

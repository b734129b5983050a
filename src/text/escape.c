#include "text/escape.h"

#include <string.h>

#include "text/fmt.h"

struct codepoint_range {
	uint32_t first, last;
};

/* Characters beyond ASCII that are invisible, change the direction of the text, or end a line: C1 controls, the soft
 * hyphen, and the format, separator and noncharacter code points of the Unicode Character Database. Sorted by code
 * point. */
static const struct codepoint_range hidden_ranges[] = {
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
	for (size_t i = 0; i < sizeof(hidden_ranges) / sizeof(hidden_ranges[0]) && c >= hidden_ranges[i].first; i++) {
		if (c <= hidden_ranges[i].last)
			return true;
	}
	return false;
}

/* Reads the character at text (see struct codec_text) and returns its length. A byte that starts no character is
 * treated as a byte that did not decode. */
static size_t escape_read_character(const uint8_t *text, size_t left, uint32_t *c)
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

static char *append_escape(char *out, char kind, uint32_t value, int digits)
{
	*out++ = '\\';
	*out++ = kind;
	return fmt_hex(out, value, digits);
}

static char *append_short_escape(char *out, char c)
{
	*out++ = '\\';
	*out++ = c;
	return out;
}

/* Returns how many of the leading bytes are printable ASCII without quotes and backslashes. */
static size_t escape_plain_run(const uint8_t *text, size_t length)
{
	size_t i = 0;

	while (i < length && text[i] >= ' ' && text[i] < 0x7f && text[i] != '"' && text[i] != '\\')
		i++;
	return i;
}

static char *escape_character_text(char *out, uint32_t c)
{
	switch (c) {
	case '\n':
		return append_short_escape(out, 'n');
	case '\r':
		return append_short_escape(out, 'r');
	case '\t':
		return append_short_escape(out, 't');
	case '"':
	case '\\':
		return append_short_escape(out, (char)c);
	}
	if (c >= 0xdc00 && c <= 0xdcff)
		return append_escape(out, 'x', c & 0xff, 2);
	return c > 0xffff ? append_escape(out, 'U', c, 8) : append_escape(out, 'u', c, 4);
}

/* JSON writes a character beyond U+FFFF as a surrogate pair. */
static char *escape_character_json(char *out, uint32_t c)
{
	if (c == '"' || c == '\\')
		return append_short_escape(out, (char)c);
	if (c >= 0xdc00 && c <= 0xdcff) {
		*out++ = '\\';
		return append_escape(out, 'x', c & 0xff, 2);
	}
	if (c <= 0xffff)
		return append_escape(out, 'u', c, 4);
	out = append_escape(out, 'u', 0xd800 + ((c - 0x10000) >> 10), 4);
	return append_escape(out, 'u', 0xdc00 + ((c - 0x10000) & 0x3ff), 4);
}

static size_t escape_each(char *out, const char *utf8, size_t size, char *(*escape_character)(char *out, uint32_t c))
{
	const uint8_t *text = (const uint8_t *)utf8;
	char *begin = out;
	size_t length;

	for (size_t i = 0; i < size; i += length) {
		uint32_t c;

		length = escape_plain_run(text + i, size - i);
		if (!length) {
			length = escape_read_character(text + i, size - i, &c);
			if (c < 0x80 || escape_is_hidden(c)) {
				out = escape_character(out, c);
				continue;
			}
		}
		memcpy(out, text + i, length);
		out += length;
	}
	return (size_t)(out - begin);
}

size_t escape_text(char *out, const char *utf8, size_t length)
{
	return escape_each(out, utf8, length, escape_character_text);
}

size_t escape_json(char *out, const char *utf8, size_t length)
{
	return escape_each(out, utf8, length, escape_character_json);
}

/* Payloads: decoded, escaped in both ways, converted. The first byte chooses the encodings, the second the rule for
 * errors, whether the payload was cut, and the charset that it is converted to; the rest is the payload. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "text/codec.h"
#include "text/converter.h"
#include "text/escape.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[] = {"utf-8",       "utf-16",  "utf-16-le", "utf-16-be", "latin-1",         "cp1252",
				    "gbk",         "gb18030", "big5",      "cp950",     "big5-hkscs",      "shift_jis",
				    "cp932",       "euc-jp",  "euc-kr",    "cp949",     "koi8-r",          "ascii",
				    "iso-2022-jp", "utf-32",  "utf-7",     "ibm037",    "ISO-2022-CN-EXT", "hex"};

#define NAME_COUNT (sizeof(names) / sizeof(names[0]))

static void check(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static bool is_continuation(uint8_t byte)
{
	return (byte & 0xc0) == 0x80;
}

/* One line of UTF-8 that shows: no control, no separator of lines, no quote that ends it early. */
static void check_escaped(const char *escaped, size_t length)
{
	const uint8_t *text = (const uint8_t *)escaped;

	for (size_t i = 0; i < length; i++) {
		size_t more = text[i] < 0x80 ? 0 : text[i] < 0xe0 ? 1 : text[i] < 0xf0 ? 2 : 3;

		check(text[i] >= ' ' && text[i] != 0x7f && text[i] != '"');
		check(!is_continuation(text[i]) && text[i] <= 0xf4 && i + more < length + !more);
		check(text[i] != 0xc2 || text[i + 1] >= 0xa0);
		check(length - i < 3 || (memcmp(text + i, "\xe2\x80\xa8", 3) && memcmp(text + i, "\xe2\x80\xae", 3)));
		for (size_t j = 1; j <= more; j++)
			check(is_continuation(text[i + j]));
		if (text[i] == '\\')
			check(++i < length && text[i] >= ' ' && text[i] < 0x7f);
		i += more;
	}
}

static void escape(const struct codec_text *text)
{
	char *escaped = malloc(ESCAPE_EXPANSION * text->length + 1);
	size_t length;

	check(escaped);
	length = escape_text(escaped, text->utf8, text->length);
	check(length <= ESCAPE_EXPANSION * text->length);
	check_escaped(escaped, length);
	length = escape_json(escaped, text->utf8, text->length);
	check(length <= ESCAPE_EXPANSION * text->length);
	check_escaped(escaped, length);
	free(escaped);
}

static void convert(char *const *from, size_t count, const char *to, enum codec_errors errors, const uint8_t *payload,
		    size_t size)
{
	struct converter *converter;
	uint8_t *out;
	ssize_t written;

	if (converter_create(&converter, from, count, to, errors, size))
		return;
	for (size_t capacity = 0; capacity <= 12 * size + 64; capacity += 6 * size + 32) {
		out = malloc(capacity ? capacity : 1);
		check(out);
		written = converter_run(converter, payload, size, out, capacity);
		check(written <= (ssize_t)capacity);
		free(out);
	}
	converter_destroy(converter);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *const from[] = {(char *)names[size ? data[0] % NAME_COUNT : 0],
			      (char *)names[size ? data[0] / 7 % NAME_COUNT : 0]};
	struct codec_text text;
	struct codec *codec;
	enum codec_errors errors;
	size_t count;
	bool decoded;

	if (size < 2)
		return 0;
	errors = data[1] & 3;
	count = data[1] & 8 ? 2 : 1;
	if (codec_create(&codec, from, count, errors, size - 2) == 0) {
		decoded = codec_decode(codec, data + 2, size - 2, data[1] & 4, &text);
		check(decoded || errors == CODEC_STRICT);
		escape(&text);
		codec_destroy(codec);
	}
	convert(from, count, names[data[1] / 16 % NAME_COUNT], errors, data + 2, size - 2);
	return 0;
}

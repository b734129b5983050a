#include "text/converter.h"

#include <errno.h>
#include <iconv.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/charset.h"
#include "text/utf8.h"

struct converter {
	struct codec *from;
	struct charset to;
	iconv_t iconv; /* of CHARSET_ICONV */
	enum codec_errors errors;
};

/* The bytes under way. error is a negative errno once something went wrong for good. */
struct output {
	uint8_t *at, *end;
	int error;
};

static bool is_placeholder(uint32_t c)
{
	return c >= 0xdc00 && c <= 0xdcff;
}

static void put_bytes(struct output *output, const void *bytes, size_t size)
{
	if ((size_t)(output->end - output->at) < size) {
		output->error = -EMSGSIZE;
		return;
	}
	memcpy(output->at, bytes, size);
	output->at += size;
}

/* --- UTF-8 and UTF-16 --- */

static void put_utf8(struct output *output, uint32_t c)
{
	char bytes[UTF8_MAX];

	put_bytes(output, bytes, (size_t)(utf8_put(bytes, c) - bytes));
}

static void put_unit(struct output *output, uint32_t unit, bool big)
{
	uint8_t high = (uint8_t)(unit >> 8), low = (uint8_t)unit;

	put_bytes(output, big ? (uint8_t[]){high, low} : (uint8_t[]){low, high}, 2);
}

static void put_utf16(struct output *output, uint32_t c, bool big)
{
	if (c > 0xffff) {
		put_unit(output, 0xd800 + ((c - 0x10000) >> 10), big);
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	put_unit(output, c, big);
}

/* --- iconv --- */

/* Returns false where the charset has no such character. glibc's code does not count where Python has another
 * character for it, or none. */
static bool ask_iconv(const struct converter *converter, struct output *output, uint32_t c)
{
	char text[UTF8_MAX], *in = text, *out = (char *)output->at;
	size_t left = (size_t)(utf8_put(text, c) - text), made;
	size_t room = (size_t)(output->end - output->at);

	if (iconv(converter->iconv, &in, &left, &out, &room) == (size_t)-1) {
		if (errno != E2BIG)
			return false;
		output->error = -EMSGSIZE;
		return true;
	}
	made = (size_t)(out - (char *)output->at);
	if (charset_plain(&converter->to, output->at, made) < made)
		return false;
	output->at += made;
	return true;
}

/* Returns false where the charset has no such character. */
static bool put_iconv(const struct converter *converter, struct output *output, uint32_t c)
{
	uint8_t code[4];
	int length = charset_encode(&converter->to, c, code);

	if (!length)
		return ask_iconv(converter, output, c);
	if (length > 0)
		put_bytes(output, code, (size_t)length);
	return length > 0;
}

/* --- Characters --- */

/* Returns false where the charset has no such character. */
static bool put_character(const struct converter *converter, struct output *output, uint32_t c)
{
	switch (converter->to.kind) {
	case CHARSET_UTF8:
		put_utf8(output, c);
		return true;
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
		put_utf16(output, c, false);
		return true;
	case CHARSET_UTF16BE:
		put_utf16(output, c, true);
		return true;
	case CHARSET_ICONV:
		return put_iconv(converter, output, c);
	case CHARSET_HEX:
		break;
	}
	return false;
}

static void put_ascii(const struct converter *converter, struct output *output, const char *text)
{
	for (; *text && !output->error; text++)
		put_character(converter, output, (uint8_t)*text);
}

static void put_escape(const struct converter *converter, struct output *output, uint32_t c)
{
	char text[16];

	if (is_placeholder(c))
		snprintf(text, sizeof(text), "\\x%02x", c & 0xff);
	else if (c < 0x100)
		snprintf(text, sizeof(text), "\\x%02x", c);
	else if (c < 0x10000)
		snprintf(text, sizeof(text), "\\u%04x", c);
	else
		snprintf(text, sizeof(text), "\\U%08x", c);
	put_ascii(converter, output, text);
}

static void put_unknown(const struct converter *converter, struct output *output, uint32_t c)
{
	switch (converter->errors) {
	case CODEC_STRICT:
		output->error = -EILSEQ;
		break;
	case CODEC_REPLACE:
		put_ascii(converter, output, "?");
		break;
	case CODEC_IGNORE:
		break;
	case CODEC_BACKSLASHREPLACE:
		put_escape(converter, output, c);
		break;
	}
}

/* The text comes from a codec: its sequences are whole, and what is not valid among them is a placeholder. */
static int sequence_length(uint8_t lead)
{
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static void put_text(const struct converter *converter, struct output *output, const struct codec_text *text)
{
	const uint8_t *bytes = (const uint8_t *)text->utf8;

	if (converter->to.kind == CHARSET_UTF16)
		put_unit(output, 0xfeff, false);
	for (size_t i = 0; i < text->length && !output->error;) {
		int length = sequence_length(bytes[i]);
		uint32_t c = utf8_get(bytes + i, length);

		if (is_placeholder(c))
			put_escape(converter, output, c);
		else if (!put_character(converter, output, c))
			put_unknown(converter, output, c);
		i += (size_t)length;
	}
}

/* Charsets with shift states want to end in the first of them. */
static void put_end(const struct converter *converter, struct output *output)
{
	char *out = (char *)output->at;
	size_t room = (size_t)(output->end - output->at);

	if (converter->to.kind != CHARSET_ICONV)
		return;
	if (iconv(converter->iconv, NULL, NULL, &out, &room) == (size_t)-1)
		output->error = output->error ? output->error : -EMSGSIZE;
	output->at = (uint8_t *)out;
}

ssize_t converter_run(struct converter *converter, const void *bytes, size_t size, void *out, size_t capacity)
{
	struct output output = {out, (uint8_t *)out + capacity, 0};
	struct codec_text text;

	if (!codec_decode(converter->from, bytes, size, false, &text))
		return -EILSEQ;
	if (converter->to.kind == CHARSET_ICONV)
		iconv(converter->iconv, NULL, NULL, NULL, NULL); /* a call that failed may have left a shift state */
	put_text(converter, &output, &text);
	put_end(converter, &output);
	return output.error ? output.error : output.at - (uint8_t *)out;
}

/* --- Life --- */

int converter_create(struct converter **out, char *const *from, size_t count, const char *to, enum codec_errors errors,
		     size_t limit)
{
	struct converter *converter = calloc(1, sizeof(*converter));
	int error;

	if (!converter)
		return -ENOMEM;
	converter->errors = errors;
	converter->iconv = (iconv_t)-1;
	error = codec_known(to) && charset_find(to, &converter->to) ? 0 : -EINVAL;
	for (size_t i = 0; i < count && !error; i++)
		error = codec_known(from[i]) ? 0 : -EINVAL;
	if (!error)
		error = codec_create(&converter->from, from, count, errors, limit);
	if (!error && converter->to.kind == CHARSET_ICONV) {
		converter->iconv = iconv_open(converter->to.iconv_name, "UTF-8");
		error = converter->iconv == (iconv_t)-1 ? -ENOMEM : 0;
	}
	if (error) {
		converter_destroy(converter);
		return error;
	}
	*out = converter;
	return 0;
}

void converter_destroy(struct converter *converter)
{
	if (!converter)
		return;
	if (converter->iconv != (iconv_t)-1)
		iconv_close(converter->iconv);
	codec_destroy(converter->from);
	free(converter);
}

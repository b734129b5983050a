/* Converter: a codec that decodes the payload, and an encoder for one charset. The creator owns the converter, which
 * owns the codec. UTF-8 and UTF-16 are encoded here, other charsets by iconv(3) with the overrides of charset.h. The
 * conversion fails if the output is longer than the buffer, and under CODEC_STRICT also if a byte does not decode or a
 * character has no code. */
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
	iconv_t iconv; /* from UTF-8; (iconv_t)-1 unless the kind is CHARSET_ICONV */
	enum codec_errors errors;
};

/* The bytes while they are written. error is 0 or a negative errno that ends the conversion. */
struct converter_output {
	uint8_t *next, *end;
	int error;
};

/* Returns true for a byte that did not decode, see struct codec_text. */
static bool is_undecoded_byte(uint32_t c)
{
	return c >= 0xdc00 && c <= 0xdcff;
}

static void converter_append(struct converter_output *output, const void *bytes, size_t size)
{
	if ((size_t)(output->end - output->next) < size) {
		output->error = -EMSGSIZE;
		return;
	}
	memcpy(output->next, bytes, size);
	output->next += size;
}

/* --- UTF-8 and UTF-16 --- */

static void encode_utf8(struct converter_output *output, uint32_t c)
{
	char bytes[UTF8_MAX];

	converter_append(output, bytes, (size_t)(utf8_encode(bytes, c) - bytes));
}

static void encode_utf16_unit(struct converter_output *output, uint32_t unit, bool big_endian)
{
	uint8_t high = (uint8_t)(unit >> 8), low = (uint8_t)unit;

	converter_append(output, big_endian ? (uint8_t[]){high, low} : (uint8_t[]){low, high}, 2);
}

static void encode_utf16(struct converter_output *output, uint32_t c, bool big_endian)
{
	if (c > 0xffff) {
		encode_utf16_unit(output, 0xd800 + ((c - 0x10000) >> 10), big_endian);
		c = 0xdc00 + ((c - 0x10000) & 0x3ff);
	}
	encode_utf16_unit(output, c, big_endian);
}

/* --- iconv --- */

/* Returns false if the charset does not have the character. glibc's code is discarded if Python maps this code to
 * another character or to none. */
static bool encode_with_iconv(const struct converter *converter, struct converter_output *output, uint32_t c)
{
	char text[UTF8_MAX], *in = text, *out = (char *)output->next;
	size_t left = (size_t)(utf8_encode(text, c) - text), written;
	size_t capacity = (size_t)(output->end - output->next);

	if (iconv(converter->iconv, &in, &left, &out, &capacity) == (size_t)-1) {
		if (errno != E2BIG)
			return false;
		output->error = -EMSGSIZE;
		return true;
	}
	written = (size_t)(out - (char *)output->next);
	if (charset_iconv_prefix(&converter->to, output->next, written) < written)
		return false;
	output->next += written;
	return true;
}

/* Returns false if the charset does not have the character. */
static bool encode_multibyte(const struct converter *converter, struct converter_output *output, uint32_t c)
{
	uint8_t code[4];
	int length = charset_encode_override(&converter->to, c, code);

	if (!length)
		return encode_with_iconv(converter, output, c);
	if (length > 0)
		converter_append(output, code, (size_t)length);
	return length > 0;
}

/* --- Characters --- */

/* Returns false if the charset does not have the character. */
static bool encode_character(const struct converter *converter, struct converter_output *output, uint32_t c)
{
	switch (converter->to.kind) {
	case CHARSET_UTF8:
		encode_utf8(output, c);
		return true;
	case CHARSET_UTF16:
	case CHARSET_UTF16LE:
		encode_utf16(output, c, false);
		return true;
	case CHARSET_UTF16BE:
		encode_utf16(output, c, true);
		return true;
	case CHARSET_ICONV:
		return encode_multibyte(converter, output, c);
	case CHARSET_HEX:
		break;
	}
	return false;
}

static void encode_ascii(const struct converter *converter, struct converter_output *output, const char *text)
{
	for (; *text && !output->error; text++)
		encode_character(converter, output, (uint8_t)*text);
}

static void encode_escape(const struct converter *converter, struct converter_output *output, uint32_t c)
{
	char text[16];

	if (is_undecoded_byte(c))
		snprintf(text, sizeof(text), "\\x%02x", c & 0xff);
	else if (c < 0x100)
		snprintf(text, sizeof(text), "\\x%02x", c);
	else if (c < 0x10000)
		snprintf(text, sizeof(text), "\\u%04x", c);
	else
		snprintf(text, sizeof(text), "\\U%08x", c);
	encode_ascii(converter, output, text);
}

/* Applies the error handler to a character that the charset does not have. */
static void encode_missing_character(const struct converter *converter, struct converter_output *output, uint32_t c)
{
	switch (converter->errors) {
	case CODEC_STRICT:
		output->error = -EILSEQ;
		break;
	case CODEC_REPLACE:
		encode_ascii(converter, output, "?");
		break;
	case CODEC_IGNORE:
		break;
	case CODEC_BACKSLASHREPLACE:
		encode_escape(converter, output, c);
		break;
	}
}

/* The text comes from a codec. Its sequences are complete, and the only invalid ones are undecoded bytes. */
static int sequence_length(uint8_t lead)
{
	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

static void converter_encode_text(const struct converter *converter, struct converter_output *output,
				  const struct codec_text *text)
{
	const uint8_t *bytes = (const uint8_t *)text->utf8;

	if (converter->to.kind == CHARSET_UTF16)
		encode_utf16_unit(output, 0xfeff, false);
	for (size_t i = 0; i < text->length && !output->error;) {
		int length = sequence_length(bytes[i]);
		uint32_t c = utf8_decode(bytes + i, length);

		if (is_undecoded_byte(c))
			encode_escape(converter, output, c);
		else if (!encode_character(converter, output, c))
			encode_missing_character(converter, output, c);
		i += (size_t)length;
	}
}

/* Text in a charset with shift states must end in the initial state. */
static void encode_initial_shift(const struct converter *converter, struct converter_output *output)
{
	char *out = (char *)output->next;
	size_t capacity = (size_t)(output->end - output->next);

	if (converter->to.kind != CHARSET_ICONV)
		return;
	if (iconv(converter->iconv, NULL, NULL, &out, &capacity) == (size_t)-1)
		output->error = output->error ? output->error : -EMSGSIZE;
	output->next = (uint8_t *)out;
}

ssize_t converter_run(struct converter *converter, const void *bytes, size_t size, void *out, size_t capacity)
{
	struct converter_output output = {out, (uint8_t *)out + capacity, 0};
	struct codec_text text;

	if (!codec_decode(converter->from, bytes, size, false, &text))
		return -EILSEQ;
	/* A failed call may have left a shift state. */
	if (converter->to.kind == CHARSET_ICONV)
		iconv(converter->iconv, NULL, NULL, NULL, NULL);
	converter_encode_text(converter, &output, &text);
	encode_initial_shift(converter, &output);
	return output.error ? output.error : output.next - (uint8_t *)out;
}

/* --- Creation --- */

int converter_create(struct converter **out, char *const *from, size_t count, const char *to, enum codec_errors errors,
		     size_t max_size)
{
	struct converter *converter = calloc(1, sizeof(*converter));
	int error;

	if (!converter)
		return -ENOMEM;
	converter->errors = errors;
	converter->iconv = (iconv_t)-1;
	error = codec_is_known(to) && charset_find(to, &converter->to) ? 0 : -EINVAL;
	for (size_t i = 0; i < count && !error; i++)
		error = codec_is_known(from[i]) ? 0 : -EINVAL;
	if (!error)
		error = codec_create(&converter->from, from, count, errors, max_size);
	if (!error && converter->to.kind == CHARSET_ICONV) {
		converter->iconv = iconv_open(converter->to.iconv_name, "UTF-8");
		error = converter->iconv == (iconv_t)-1 ? -errno : 0;
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

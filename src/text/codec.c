/* Codec: one decoder for each configured encoding, and one text buffer that they share. The creator of the codec owns
 * both. UTF-8, UTF-16 and hex are decoded here, other charsets by iconv(3) with the overrides of charset.h. A payload
 * never overflows the buffer: its size allows for the longest text, and decoding stops at its end. */
#include "text/codec.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/charset.h"
#include "text/utf8.h"

const char *const codec_errors_names[] = {"strict", "replace", "ignore", "backslashreplace", NULL};

/* Maximum size of the text per byte of payload: a three-byte character in UTF-8, or the lone surrogate of a byte that
 * did not decode. Only TSCII expands more; a text in it may be cut off. */
#define CODEC_EXPANSION 3

/* Bytes at the end of the buffer for the last step: the lone surrogates of an incomplete character. */
#define CODEC_RESERVE 32

struct decoder {
	const char *name; /* as configured */
	struct charset charset;
	iconv_t iconv; /* to UTF-8; (iconv_t)-1 unless the kind is CHARSET_ICONV */
};

struct codec {
	enum codec_errors errors;
	size_t count;
	struct decoder *decoders;
	char *text;
	size_t text_capacity;
};

/* The text while it is written. */
struct codec_output {
	char *next, *end;
	enum codec_errors errors;
	bool truncated;
};

bool codec_is_known(const char *encoding)
{
	struct charset charset;

	return charset_find(encoding, &charset) && charset.kind != CHARSET_HEX;
}

bool codec_is_installed(const char *encoding)
{
	struct charset charset;

	return charset_find(encoding, &charset) &&
	       (charset.kind != CHARSET_ICONV || charset_has_module(charset.iconv_name));
}

/* --- Errors --- */

/* Handles one error that covers size bytes. Returns false under CODEC_STRICT. */
static bool codec_handle_error(struct codec_output *output, const uint8_t *bytes, size_t size)
{
	switch (output->errors) {
	case CODEC_STRICT:
		return false;
	case CODEC_REPLACE:
		output->next = utf8_encode(output->next, 0xfffd);
		break;
	case CODEC_IGNORE:
		break;
	case CODEC_BACKSLASHREPLACE:
		for (size_t i = 0; i < size; i++)
			output->next = utf8_encode(output->next, 0xdc00u + bytes[i]);
		break;
	}
	return true;
}

/* Handles an incomplete character at the end of the payload. Returns false for an error under CODEC_STRICT. */
static bool codec_handle_incomplete(struct codec_output *output, const uint8_t *bytes, size_t size)
{
	return output->truncated || codec_handle_error(output, bytes, size);
}

/* --- Decoders: each one returns false at an error under CODEC_STRICT --- */

static bool decode_utf8(struct codec_output *output, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t run = utf8_ascii_run(bytes + i, size - i);
		bool incomplete;
		int step;

		memcpy(output->next, bytes + i, run);
		output->next += run;
		i += run;
		if (i == size)
			break;
		step = utf8_check(bytes + i, size - i, &incomplete);
		if (step > 0) {
			memcpy(output->next, bytes + i, (size_t)step);
			output->next += step;
			i += (size_t)step;
			continue;
		}
		if (incomplete)
			return codec_handle_incomplete(output, bytes + i, size - i);
		if (!codec_handle_error(output, bytes + i, (size_t)-step))
			return false;
		i += (size_t)-step;
	}
	return true;
}

static uint32_t utf16_unit(const uint8_t *bytes, bool big_endian)
{
	return big_endian ? (uint32_t)(bytes[0] << 8 | bytes[1]) : (uint32_t)(bytes[1] << 8 | bytes[0]);
}

/* Python decodes UTF-16 without a byte order mark in the byte order of the machine. This decoder always uses little
 * endian, which is the order of almost all machines. has_mark says that the charset has a byte order mark. */
static bool decode_utf16(struct codec_output *output, const uint8_t *bytes, size_t size, bool big_endian, bool has_mark)
{
	size_t i = 0;

	if (has_mark && size >= 2 && (utf16_unit(bytes, false) == 0xfeff || utf16_unit(bytes, true) == 0xfeff)) {
		big_endian = utf16_unit(bytes, true) == 0xfeff;
		i = 2;
	}
	while (i < size) {
		if (size - i < 2)
			return codec_handle_incomplete(output, bytes + i, size - i);
		uint32_t c = utf16_unit(bytes + i, big_endian), next;

		if (c >= 0xd800 && c < 0xdc00 && size - i < 4)
			return codec_handle_incomplete(output, bytes + i, size - i);
		next = c >= 0xd800 && c < 0xdc00 ? utf16_unit(bytes + i + 2, big_endian) : 0;
		if (next >= 0xdc00 && next < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
			i += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			if (!codec_handle_error(output, bytes + i, 2))
				return false;
			i += 2;
			continue;
		}
		output->next = utf8_encode(output->next, c);
		i += 2;
	}
	return true;
}

static bool decode_hex(struct codec_output *output, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		*output->next++ = digits[bytes[i] >> 4];
		*output->next++ = digits[bytes[i] & 15];
	}
	return true;
}

/* Appends the bytes that iconv(3) wrote after the text, up to end. Some of its charsets have code points beyond
 * U+10FFFF; each byte of such an invalid sequence becomes '?'. */
static void codec_accept_characters(struct codec_output *output, const char *end)
{
	const char *in = output->next;

	while (in < end) {
		const uint8_t *bytes = (const uint8_t *)in;
		size_t left = (size_t)(end - in), run = utf8_ascii_run(bytes, left);
		bool incomplete;
		int step = run ? (int)run : utf8_check(bytes, left, &incomplete);

		if (step > 0) {
			memmove(output->next, in, (size_t)step);
			output->next += step;
			in += step;
		} else {
			*output->next++ = '?';
			in -= step;
		}
	}
}

/* Converts up to the first error or the end. Returns the bytes consumed; *error is iconv's errno, or 0. bytes may be
 * NULL: then iconv writes the character that it holds back, see decode_iconv(). */
static size_t codec_run_iconv(const struct decoder *decoder, struct codec_output *output, const uint8_t *bytes,
			      size_t size, int *error)
{
	char *in = (char *)bytes, *out = output->next;
	size_t left = size, capacity = output->next < output->end ? (size_t)(output->end - output->next) : 0;

	*error = iconv(decoder->iconv, bytes ? &in : NULL, &left, &out, &capacity) == (size_t)-1 ? errno : 0;
	codec_accept_characters(output, out);
	return size - left;
}

/* Decodes the code at which iconv stopped: one with an override, or else an error of one byte. Returns the bytes
 * consumed, or 0 for an error under CODEC_STRICT. */
static size_t decode_override(const struct charset *charset, struct codec_output *output, const uint8_t *bytes,
			      size_t left)
{
	uint32_t c;
	int length = charset_decode_override(charset, bytes, left, &c);

	if (length <= 0)
		return codec_handle_error(output, bytes, 1) ? 1 : 0;
	output->next = utf8_encode(output->next, c);
	return (size_t)length;
}

/* Alternates between iconv, for the bytes that it decodes like Python, and one code with an override or an error. */
static bool decode_iconv(const struct decoder *decoder, struct codec_output *output, const uint8_t *bytes, size_t size)
{
	const struct charset *charset = &decoder->charset;
	int error;

	iconv(decoder->iconv, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < size && output->next < output->end;) {
		size_t left = size - i, prefix = charset_iconv_prefix(charset, bytes + i, left);
		size_t consumed = codec_run_iconv(decoder, output, bytes + i, prefix, &error);

		i += consumed;
		if (error == E2BIG)
			break;
		if (prefix && consumed == prefix)
			continue;
		if ((error == EINVAL && prefix == left) || charset_is_incomplete(charset, bytes + i, size - i))
			return codec_handle_incomplete(output, bytes + i, size - i);
		consumed = decode_override(charset, output, bytes + i, size - i);
		if (!consumed)
			return false;
		i += consumed;
	}
	/* iconv holds back a character that may combine with the next one. */
	codec_run_iconv(decoder, output, NULL, 0, &error);
	return true;
}

static bool codec_run_decoder(const struct decoder *decoder, struct codec_output *output, const uint8_t *bytes,
			      size_t size)
{
	switch (decoder->charset.kind) {
	case CHARSET_UTF8:
		return decode_utf8(output, bytes, size);
	case CHARSET_UTF16:
		return decode_utf16(output, bytes, size, false, true);
	case CHARSET_UTF16LE:
		return decode_utf16(output, bytes, size, false, false);
	case CHARSET_UTF16BE:
		return decode_utf16(output, bytes, size, true, false);
	case CHARSET_HEX:
		return decode_hex(output, bytes, size);
	case CHARSET_ICONV:
		return decode_iconv(decoder, output, bytes, size);
	}
	return false;
}

static bool codec_try_decoder(struct codec *codec, const struct decoder *decoder, enum codec_errors errors,
			      const uint8_t *bytes, size_t size, bool truncated, struct codec_text *text)
{
	struct codec_output output = {codec->text, codec->text + codec->text_capacity - CODEC_RESERVE, errors,
				      truncated};

	if (!codec_run_decoder(decoder, &output, bytes, size))
		return false;
	*text = (struct codec_text){decoder->name, codec->text, (size_t)(output.next - codec->text)};
	return true;
}

/* Tries all encodings strictly, then the first one with the error handler. */
static bool codec_try_all(struct codec *codec, enum codec_errors errors, const void *bytes, size_t size, bool truncated,
			  struct codec_text *text)
{
	for (size_t i = 0; codec->count > 1 && i < codec->count; i++) {
		if (codec_try_decoder(codec, &codec->decoders[i], CODEC_STRICT, bytes, size, truncated, text))
			return true;
	}
	return codec_try_decoder(codec, &codec->decoders[0], errors, bytes, size, truncated, text);
}

bool codec_decode(struct codec *codec, const void *bytes, size_t size, bool truncated, struct codec_text *text)
{
	static const struct decoder hex = {.name = "hex", .charset = {.kind = CHARSET_HEX}};

	if (codec_try_all(codec, codec->errors, bytes, size, truncated, text))
		return true;
	codec_try_decoder(codec, &hex, CODEC_STRICT, bytes, size, truncated, text);
	return false;
}

/* --- Creation --- */

static int decoder_init(struct decoder *decoder, const char *name)
{
	decoder->name = name;
	decoder->iconv = (iconv_t)-1;
	if (!charset_find(name, &decoder->charset))
		return -EINVAL;
	if (decoder->charset.kind != CHARSET_ICONV)
		return 0;
	decoder->iconv = iconv_open("UTF-8", decoder->charset.iconv_name);
	return decoder->iconv == (iconv_t)-1 ? -errno : 0;
}

int codec_create(struct codec **out, char *const *encodings, size_t count, enum codec_errors errors, size_t max_size)
{
	struct codec *codec = calloc(1, sizeof(*codec));
	int error = 0;

	if (!codec)
		return -ENOMEM;
	codec->errors = errors;
	codec->text_capacity = max_size * CODEC_EXPANSION + 2 * CODEC_RESERVE;
	codec->text = malloc(codec->text_capacity);
	codec->decoders = calloc(count, sizeof(*codec->decoders));
	if (!codec->text || !codec->decoders)
		error = -ENOMEM;
	while (!error && codec->count < count) {
		error = decoder_init(&codec->decoders[codec->count], encodings[codec->count]);
		codec->count++;
	}
	if (error) {
		codec_destroy(codec);
		return error;
	}
	*out = codec;
	return 0;
}

void codec_destroy(struct codec *codec)
{
	if (!codec)
		return;
	for (size_t i = 0; i < codec->count; i++) {
		if (codec->decoders[i].iconv != (iconv_t)-1)
			iconv_close(codec->decoders[i].iconv);
	}
	free(codec->decoders);
	free(codec->text);
	free(codec);
}

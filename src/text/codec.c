#include "text/codec.h"

#include <errno.h>
#include <iconv.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "text/charset.h"
#include "text/utf8.h"

const char *const codec_errors_names[] = {"strict", "replace", "ignore", "backslashreplace", NULL};

/* No charset makes more of a byte than this: a character of three bytes in UTF-8, or the placeholder of a byte that did
 * not decode. One that does (TSCII) ends the text early. */
#define EXPANSION 3
#define SLACK 32 /* room for what is written last: the placeholders of an unfinished character */

struct decoder {
	const char *name; /* as configured */
	struct charset charset;
	iconv_t iconv; /* of CHARSET_ICONV */
};

struct codec {
	enum codec_errors errors;
	size_t count;
	struct decoder *decoders;
	char *text;
	size_t room;
};

/* The text under way. */
struct sink {
	char *at, *end;
	enum codec_errors errors;
	bool cut;
};

bool codec_known(const char *encoding)
{
	struct charset charset;

	return charset_find(encoding, &charset) && charset.kind != CHARSET_HEX;
}

/* --- Errors --- */

/* What the rule makes of one error that covers size bytes. Returns false under CODEC_STRICT. */
static bool sink_error(struct sink *sink, const uint8_t *bytes, size_t size)
{
	switch (sink->errors) {
	case CODEC_STRICT:
		return false;
	case CODEC_REPLACE:
		sink->at = utf8_put(sink->at, 0xfffd);
		break;
	case CODEC_IGNORE:
		break;
	case CODEC_BACKSLASHREPLACE:
		for (size_t i = 0; i < size; i++)
			sink->at = utf8_put(sink->at, 0xdc00u + bytes[i]);
		break;
	}
	return true;
}

/* The payload ends within a character. */
static bool sink_unfinished(struct sink *sink, const uint8_t *bytes, size_t size)
{
	return sink->cut || sink_error(sink, bytes, size);
}

/* --- Decoders; each returns false at an error under CODEC_STRICT --- */

static bool decode_utf8(struct sink *sink, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size;) {
		size_t run = utf8_ascii_run(bytes + i, size - i);
		bool unfinished;
		int step;

		memcpy(sink->at, bytes + i, run);
		sink->at += run;
		i += run;
		if (i == size)
			break;
		step = utf8_step(bytes + i, size - i, &unfinished);
		if (step > 0) {
			memcpy(sink->at, bytes + i, (size_t)step);
			sink->at += step;
			i += (size_t)step;
			continue;
		}
		if (unfinished)
			return sink_unfinished(sink, bytes + i, size - i);
		if (!sink_error(sink, bytes + i, (size_t)-step))
			return false;
		i += (size_t)-step;
	}
	return true;
}

static uint32_t utf16_unit(const uint8_t *bytes, bool big)
{
	return big ? (uint32_t)(bytes[0] << 8 | bytes[1]) : (uint32_t)(bytes[1] << 8 | bytes[0]);
}

/* Byte orders are explicit, whatever the machine's; without a mark it is little endian, as on every machine that
 * Python's users are likely to have. */
static bool decode_utf16(struct sink *sink, const uint8_t *bytes, size_t size, bool big, bool mark)
{
	size_t i = 0;

	if (mark && size >= 2 && (utf16_unit(bytes, false) == 0xfeff || utf16_unit(bytes, true) == 0xfeff)) {
		big = utf16_unit(bytes, true) == 0xfeff;
		i = 2;
	}
	while (i < size) {
		if (size - i < 2)
			return sink_unfinished(sink, bytes + i, size - i);
		uint32_t c = utf16_unit(bytes + i, big), next;

		if (c >= 0xd800 && c < 0xdc00 && size - i < 4)
			return sink_unfinished(sink, bytes + i, size - i);
		next = c >= 0xd800 && c < 0xdc00 ? utf16_unit(bytes + i + 2, big) : 0;
		if (next >= 0xdc00 && next < 0xe000) {
			c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
			i += 2;
		} else if (c >= 0xd800 && c < 0xe000) {
			if (!sink_error(sink, bytes + i, 2))
				return false;
			i += 2;
			continue;
		}
		sink->at = utf8_put(sink->at, c);
		i += 2;
	}
	return true;
}

static bool decode_hex(struct sink *sink, const uint8_t *bytes, size_t size)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		*sink->at++ = digits[bytes[i] >> 4];
		*sink->at++ = digits[bytes[i] & 15];
	}
	return true;
}

/* Takes what iconv wrote to the end of the text. What is no character at all (some of iconv's charsets go beyond
 * U+10FFFF) becomes '?'. */
static void take_characters(struct sink *sink, const char *end)
{
	const char *in = sink->at;

	while (in < end) {
		const uint8_t *bytes = (const uint8_t *)in;
		size_t left = (size_t)(end - in), run = utf8_ascii_run(bytes, left);
		bool unfinished;
		int step = run ? (int)run : utf8_step(bytes, left, &unfinished);

		if (step > 0) {
			memmove(sink->at, in, (size_t)step);
			sink->at += step;
			in += step;
		} else {
			*sink->at++ = '?';
			in -= step;
		}
	}
}

/* Converts until iconv meets an error or the end. Returns the bytes taken; *error is what it said, or 0. */
static size_t iconv_run(const struct decoder *decoder, struct sink *sink, const uint8_t *bytes, size_t size, int *error)
{
	char *in = (char *)bytes, *out = sink->at;
	size_t left = size, room = sink->at < sink->end ? (size_t)(sink->end - sink->at) : 0;

	*error = iconv(decoder->iconv, bytes ? &in : NULL, &left, &out, &room) == (size_t)-1 ? errno : 0;
	take_characters(sink, out);
	return size - left;
}

/* What iconv stopped at: a code of the charset's rules, or an error of one byte. Returns the bytes taken, or 0 for an
 * error under CODEC_STRICT. */
static size_t decode_special(const struct charset *charset, struct sink *sink, const uint8_t *bytes, size_t left)
{
	uint32_t c;
	int length = charset_decode(charset, bytes, left, &c);

	if (length <= 0)
		return sink_error(sink, bytes, 1) ? 1 : 0;
	sink->at = utf8_put(sink->at, c);
	return (size_t)length;
}

/* Where iconv has taken what is plain, what is next is looked at in the next round. */
static bool decode_iconv(const struct decoder *decoder, struct sink *sink, const uint8_t *bytes, size_t size)
{
	const struct charset *charset = &decoder->charset;
	int error;

	iconv(decoder->iconv, NULL, NULL, NULL, NULL);
	for (size_t i = 0; i < size && sink->at < sink->end;) {
		size_t left = size - i, plain = charset_plain(charset, bytes + i, left);
		size_t taken = iconv_run(decoder, sink, bytes + i, plain, &error);

		i += taken;
		if (error == E2BIG)
			break;
		if (plain && taken == plain)
			continue;
		if ((error == EINVAL && plain == left) || charset_unfinished(charset, bytes + i, size - i))
			return sink_unfinished(sink, bytes + i, size - i);
		taken = decode_special(charset, sink, bytes + i, size - i);
		if (!taken)
			return false;
		i += taken;
	}
	iconv_run(decoder, sink, NULL, 0, &error); /* a character that waits for one to be combined with */
	return true;
}

static bool decode(const struct decoder *decoder, struct sink *sink, const uint8_t *bytes, size_t size)
{
	switch (decoder->charset.kind) {
	case CHARSET_UTF8:
		return decode_utf8(sink, bytes, size);
	case CHARSET_UTF16:
		return decode_utf16(sink, bytes, size, false, true);
	case CHARSET_UTF16LE:
		return decode_utf16(sink, bytes, size, false, false);
	case CHARSET_UTF16BE:
		return decode_utf16(sink, bytes, size, true, false);
	case CHARSET_HEX:
		return decode_hex(sink, bytes, size);
	case CHARSET_ICONV:
		return decode_iconv(decoder, sink, bytes, size);
	}
	return false;
}

static bool try_decoder(struct codec *codec, const struct decoder *decoder, enum codec_errors errors,
			const uint8_t *bytes, size_t size, bool cut, struct codec_text *text)
{
	struct sink sink = {codec->text, codec->text + codec->room - SLACK, errors, cut};

	if (!decode(decoder, &sink, bytes, size))
		return false;
	*text = (struct codec_text){decoder->name, codec->text, (size_t)(sink.at - codec->text)};
	return true;
}

static bool decode_any(struct codec *codec, enum codec_errors errors, const void *bytes, size_t size, bool cut,
		       struct codec_text *text)
{
	for (size_t i = 0; codec->count > 1 && i < codec->count; i++) {
		if (try_decoder(codec, &codec->decoders[i], CODEC_STRICT, bytes, size, cut, text))
			return true;
	}
	return try_decoder(codec, &codec->decoders[0], errors, bytes, size, cut, text);
}

bool codec_decode(struct codec *codec, const void *bytes, size_t size, bool cut, struct codec_text *text)
{
	static const struct decoder hex = {.name = "hex", .charset = {.kind = CHARSET_HEX}};

	if (decode_any(codec, codec->errors, bytes, size, cut, text))
		return true;
	try_decoder(codec, &hex, CODEC_STRICT, bytes, size, cut, text);
	return false;
}

/* --- Life --- */

static int decoder_init(struct decoder *decoder, const char *name)
{
	decoder->name = name;
	decoder->iconv = (iconv_t)-1;
	if (!charset_find(name, &decoder->charset))
		return -EINVAL;
	if (decoder->charset.kind != CHARSET_ICONV)
		return 0;
	decoder->iconv = iconv_open("UTF-8", decoder->charset.iconv_name);
	return decoder->iconv == (iconv_t)-1 ? -ENOMEM : 0;
}

int codec_create(struct codec **out, char *const *encodings, size_t count, enum codec_errors errors, size_t limit)
{
	struct codec *codec = calloc(1, sizeof(*codec));
	int error = 0;

	if (!codec)
		return -ENOMEM;
	codec->errors = errors;
	codec->room = limit * EXPANSION + 2 * SLACK;
	codec->text = malloc(codec->room);
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

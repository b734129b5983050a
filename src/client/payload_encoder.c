#include "client/payload_encoder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"
#include "client/send/line_input.h"
#include "config/values.h"
#include "text/converter.h"
#include "text/utf8.h"

#define ERROR_TEXT_MAX 256

struct payload_encoder {
	const char *encoding;
	struct converter *converter;
	bool hex, newline;
	char *text; /* copy of the input, with room for a newline */
	uint8_t *bytes;
	char error_text[ERROR_TEXT_MAX];
};

int payload_encoder_create(struct payload_encoder **out, const char *encoding, enum codec_errors errors, bool hex,
			   bool newline)
{
	static char *const input_encodings[] = {(char *)"utf-8"};
	struct payload_encoder *encoder = xcheck(calloc(1, sizeof(*encoder)));
	int error = converter_create(&encoder->converter, input_encodings, 1, encoding, errors, LINE_INPUT_MAX + 1);

	encoder->encoding = encoding;
	encoder->hex = hex;
	encoder->newline = newline;
	encoder->text = xcheck(malloc(LINE_INPUT_MAX + 2));
	encoder->bytes = xcheck(malloc(LINE_INPUT_MAX));
	if (error) {
		payload_encoder_destroy(encoder);
		return error;
	}
	*out = encoder;
	return 0;
}

void payload_encoder_destroy(struct payload_encoder *encoder)
{
	if (!encoder)
		return;
	converter_destroy(encoder->converter);
	free(encoder->text);
	free(encoder->bytes);
	free(encoder);
}

static ssize_t payload_encoder_fail(struct payload_encoder *encoder, const char *message)
{
	snprintf(encoder->error_text, sizeof(encoder->error_text), "%s", message);
	return -1;
}

static ssize_t encode_hex(struct payload_encoder *encoder)
{
	size_t size;
	const char *word, *error_text = value_hex_words(encoder->text, encoder->bytes, &size, &word);

	if (!error_text)
		return size <= PAYLOAD_MAX
			       ? (ssize_t)size
			       : payload_encoder_fail(encoder, "it has more bytes than a datagram can carry");
	snprintf(encoder->error_text, sizeof(encoder->error_text), "`%.40s` %s", word, error_text);
	return -1;
}

static bool payload_is_utf8(const char *text, size_t length)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + length;
	bool unfinished;

	while (at < end) {
		int step = utf8_check(at, (size_t)(end - at), &unfinished);

		if (step < 0)
			return false;
		at += step;
	}
	return true;
}

static ssize_t payload_encode_text(struct payload_encoder *encoder, size_t length)
{
	ssize_t size = converter_run(encoder->converter, encoder->text, length, encoder->bytes, PAYLOAD_MAX);

	if (size == -EMSGSIZE)
		return payload_encoder_fail(encoder, "it has more bytes than a datagram can carry");
	if (size >= 0)
		return size;
	if (!payload_is_utf8(encoder->text, length))
		return payload_encoder_fail(encoder, "it is not UTF-8: use --hex or --file for other bytes");
	snprintf(encoder->error_text, sizeof(encoder->error_text),
		 "%.40s cannot encode all characters: write --errors replace, ignore or backslashreplace",
		 encoder->encoding);
	return -1;
}

ssize_t payload_encode(struct payload_encoder *encoder, const char *text, size_t length, const uint8_t **bytes,
		       const char **error_text)
{
	*error_text = encoder->error_text;
	*bytes = encoder->bytes;
	if (length > LINE_INPUT_MAX)
		return payload_encoder_fail(encoder, "it is too long");
	memcpy(encoder->text, text, length);
	if (encoder->newline && !encoder->hex)
		encoder->text[length++] = '\n';
	encoder->text[length] = '\0';
	if (!encoder->hex)
		return payload_encode_text(encoder, length);
	return strlen(encoder->text) == length ? encode_hex(encoder)
					       : payload_encoder_fail(encoder, "it contains a NUL byte");
}

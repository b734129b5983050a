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

#define FAULT_MAX 256

struct wording {
	const char *encoding;
	struct converter *converter;
	bool hex, newline;
	char *text; /* a copy, with room for a newline */
	uint8_t *bytes;
	char fault[FAULT_MAX];
};

int wording_create(struct wording **out, const char *encoding, enum codec_errors errors, bool hex, bool newline)
{
	static char *const typed[] = {(char *)"utf-8"};
	struct wording *wording = xcheck(calloc(1, sizeof(*wording)));
	int error = converter_create(&wording->converter, typed, 1, encoding, errors, LINE_INPUT_MAX + 1);

	wording->encoding = encoding;
	wording->hex = hex;
	wording->newline = newline;
	wording->text = xcheck(malloc(LINE_INPUT_MAX + 2));
	wording->bytes = xcheck(malloc(LINE_INPUT_MAX));
	if (error) {
		wording_destroy(wording);
		return error;
	}
	*out = wording;
	return 0;
}

void wording_destroy(struct wording *wording)
{
	if (!wording)
		return;
	converter_destroy(wording->converter);
	free(wording->text);
	free(wording->bytes);
	free(wording);
}

static ssize_t fail(struct wording *wording, const char *what)
{
	snprintf(wording->fault, sizeof(wording->fault), "%s", what);
	return -1;
}

static ssize_t say_hex(struct wording *wording)
{
	size_t size;
	const char *word, *fault = value_hex_words(wording->text, wording->bytes, &size, &word);

	if (!fault)
		return size <= WORDING_MAX ? (ssize_t)size : fail(wording, "it has more bytes than a datagram carries");
	snprintf(wording->fault, sizeof(wording->fault), "`%.40s` %s", word, fault);
	return -1;
}

static bool is_utf8(const char *text, size_t length)
{
	const uint8_t *at = (const uint8_t *)text, *end = at + length;
	bool unfinished;

	while (at < end) {
		int step = utf8_step(at, (size_t)(end - at), &unfinished);

		if (step < 0)
			return false;
		at += step;
	}
	return true;
}

static ssize_t say_text(struct wording *wording, size_t length)
{
	ssize_t size = converter_run(wording->converter, wording->text, length, wording->bytes, WORDING_MAX);

	if (size == -EMSGSIZE)
		return fail(wording, "it has more bytes than a datagram carries");
	if (size >= 0)
		return size;
	if (!is_utf8(wording->text, length))
		return fail(wording, "it is no UTF-8: bytes of another kind are for --hex and --file");
	snprintf(wording->fault, sizeof(wording->fault),
		 "it cannot be written in %.40s: let --errors replace, ignore or escape what has no code there",
		 wording->encoding);
	return -1;
}

ssize_t wording_say(struct wording *wording, const char *text, size_t length, const uint8_t **bytes, const char **fault)
{
	*fault = wording->fault;
	*bytes = wording->bytes;
	if (length > LINE_INPUT_MAX)
		return fail(wording, "it is too long");
	memcpy(wording->text, text, length);
	if (wording->newline && !wording->hex)
		wording->text[length++] = '\n';
	wording->text[length] = '\0';
	if (!wording->hex)
		return say_text(wording, length);
	return strlen(wording->text) == length ? say_hex(wording) : fail(wording, "there is a NUL byte in it");
}

/* Runs the codec as a filter, for the comparison with Python in test_codec_python.py. A request and a reply are one
 * line followed by SIZE bytes:
 *
 *     decode ENCODING,… ERRORS TRUNCATED SIZE  replies  ENCODING SIZE, the text
 *     convert FROM,… TO ERRORS SIZE            replies  RESULT SIZE, the bytes; RESULT is 0 or a negative errno
 *     text SIZE | json SIZE                    replies  - SIZE, the escaped text
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/codec.h"
#include "text/converter.h"
#include "text/escape.h"

#define LIMIT 65536

static char input[LIMIT], output[LIMIT * ESCAPE_EXPANSION];

static enum codec_errors parse_errors(const char *name)
{
	static const char *const names[] = {"strict", "replace", "ignore", "backslashreplace"};

	for (unsigned i = 0; i < 4; i++) {
		if (!strcmp(name, names[i]))
			return (enum codec_errors)i;
	}
	exit(2);
}

static size_t split(char *list, char *names[8])
{
	size_t count = 0;

	for (char *name = strtok(list, ","); name && count < 8; name = strtok(NULL, ","))
		names[count++] = name;
	return count;
}

static void read_payload(size_t size)
{
	if (size > sizeof(input) || fread(input, 1, size, stdin) != size)
		exit(2);
}

static void write_reply(const char *first, const char *bytes, size_t size)
{
	printf("%s %zu\n", first, size);
	fwrite(bytes, 1, size, stdout);
	fflush(stdout);
}

/* Decodes a copy of exactly the size of the payload, so that a sanitizer detects a read beyond its end. */
static void decode(char *list, const char *errors, int truncated, size_t size)
{
	char *names[8], *exact = malloc(size ? size : 1);
	struct codec *codec;
	struct codec_text text;

	memcpy(exact, input, size);
	if (codec_create(&codec, names, split(list, names), parse_errors(errors), size))
		exit(2);
	codec_decode(codec, exact, size, truncated, &text);
	write_reply(text.encoding, text.utf8, text.length);
	codec_destroy(codec);
	free(exact);
}

static void convert(char *list, const char *to, const char *errors, size_t size)
{
	char *names[8], result[24];
	struct converter *converter;
	ssize_t written;

	if (converter_create(&converter, names, split(list, names), to, parse_errors(errors), size))
		exit(2);
	written = converter_run(converter, input, size, output, sizeof(output));
	snprintf(result, sizeof(result), "%d", written < 0 ? (int)written : 0);
	write_reply(result, output, written < 0 ? 0 : (size_t)written);
	converter_destroy(converter);
}

int main(void)
{
	char line[256], a[64], b[64], c[64];
	size_t size;
	int truncated;

	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "decode %63s %63s %d %zu", a, b, &truncated, &size) == 4) {
			read_payload(size);
			decode(a, b, truncated, size);
		} else if (sscanf(line, "convert %63s %63s %63s %zu", a, b, c, &size) == 4) {
			read_payload(size);
			convert(a, b, c, size);
		} else if (sscanf(line, "text %zu", &size) == 1) {
			read_payload(size);
			write_reply("-", output, escape_text(output, input, size));
		} else if (sscanf(line, "json %zu", &size) == 1) {
			read_payload(size);
			write_reply("-", output, escape_json(output, input, size));
		} else {
			return 2;
		}
	}
	return 0;
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client_socket.h"
#include "client/message_printer.h"

/* What is written of one datagram; to be freed. */
static char *written(const char *encodings, enum codec_errors errors, bool raw, const char *data, size_t size)
{
	struct transcript *transcript;
	struct address source;
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_int_equal(address_parse(&source, "[2001:db8::1]:7788"), 0);
	assert_int_equal(transcript_create(&transcript, encodings, errors, raw), 0);
	transcript_write(transcript, out, &source, data, size);
	transcript_destroy(transcript);
	fclose(out);
	return text;
}

static void expect(const char *encodings, enum codec_errors errors, const char *data, const char *line)
{
	char *text = written(encodings, errors, false, data, strlen(data));

	assert_string_equal(text, line);
	free(text);
}

static void who_said_what(void **state)
{
	(void)state;
	expect("utf-8", CODEC_BACKSLASHREPLACE, "hi \"you\"\n", "[2001:db8::1]:7788: hi \\\"you\\\"\\n\n");
	expect("utf-8", CODEC_BACKSLASHREPLACE, "", "[2001:db8::1]:7788: \n");
	expect("utf-8", CODEC_BACKSLASHREPLACE, "a\xff", "[2001:db8::1]:7788: a\\xff\n");
	expect("utf-8", CODEC_IGNORE, "a\xff", "[2001:db8::1]:7788: a\n");
	expect("utf-8 ,gbk", CODEC_STRICT, "\xc4\xe3\xba\xc3", "[2001:db8::1]:7788: \xe4\xbd\xa0\xe5\xa5\xbd\n");
}

static void raw_bytes(void **state)
{
	char *text = written("utf-8", CODEC_STRICT, true, "\0\xff", 2);

	(void)state;
	assert_memory_equal(text, "\0\xff", 3);
	free(text);
}

/* Whose line is the longest that there is. */
static void the_largest(void **state)
{
	char *data = malloc(CLIENT_DATAGRAM_MAX), *text;

	(void)state;
	memset(data, 0x7f, CLIENT_DATAGRAM_MAX);
	text = written("utf-8", CODEC_STRICT, false, data, CLIENT_DATAGRAM_MAX);
	assert_int_equal(strlen(text), strlen("[2001:db8::1]:7788: \n") + 6 * CLIENT_DATAGRAM_MAX);
	free(text);
	free(data);
}

static void unknown_charsets(void **state)
{
	struct transcript *transcript;

	(void)state;
	assert_int_equal(transcript_create(&transcript, "utf-8, klingon", CODEC_STRICT, false), -EINVAL);
	assert_int_equal(transcript_create(&transcript, "", CODEC_STRICT, false), -EINVAL);
	transcript_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_said_what),
		cmocka_unit_test(raw_bytes),
		cmocka_unit_test(the_largest),
		cmocka_unit_test(unknown_charsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

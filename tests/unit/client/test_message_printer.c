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

/* Returns the output for one datagram; the caller frees it. */
static char *print_to_string(const char *encodings, enum codec_errors errors, bool raw, const char *data, size_t size)
{
	struct message_printer *printer;
	struct address source;
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	assert_int_equal(address_parse(&source, "[2001:db8::1]:7788"), 0);
	assert_int_equal(message_printer_create(&printer, encodings, errors, raw), 0);
	message_printer_print(printer, out, &source, data, size);
	message_printer_destroy(printer);
	fclose(out);
	return text;
}

static void assert_line(const char *encodings, enum codec_errors errors, const char *data, const char *line)
{
	char *text = print_to_string(encodings, errors, false, data, strlen(data));

	assert_string_equal(text, line);
	free(text);
}

static void test_lines_are_decoded_and_escaped(void **state)
{
	(void)state;
	assert_line("utf-8", CODEC_BACKSLASHREPLACE, "hi \"you\"\n", "[2001:db8::1]:7788: hi \\\"you\\\"\\n\n");
	assert_line("utf-8", CODEC_BACKSLASHREPLACE, "", "[2001:db8::1]:7788: \n");
	assert_line("utf-8", CODEC_BACKSLASHREPLACE, "a\xff", "[2001:db8::1]:7788: a\\xff\n");
	assert_line("utf-8", CODEC_IGNORE, "a\xff", "[2001:db8::1]:7788: a\n");
	assert_line("utf-8 ,gbk", CODEC_STRICT, "\xc4\xe3\xba\xc3", "[2001:db8::1]:7788: \xe4\xbd\xa0\xe5\xa5\xbd\n");
}

static void test_raw_bytes(void **state)
{
	char *text = print_to_string("utf-8", CODEC_STRICT, true, "\0\xff", 2);

	(void)state;
	assert_memory_equal(text, "\0\xff", 3);
	free(text);
}

/* This payload gives the longest possible line. */
static void test_largest_datagram(void **state)
{
	char *data = malloc(CLIENT_DATAGRAM_MAX), *text;

	(void)state;
	memset(data, 0x7f, CLIENT_DATAGRAM_MAX);
	text = print_to_string("utf-8", CODEC_STRICT, false, data, CLIENT_DATAGRAM_MAX);
	assert_int_equal(strlen(text), strlen("[2001:db8::1]:7788: \n") + 6 * CLIENT_DATAGRAM_MAX);
	free(text);
	free(data);
}

static void test_unknown_charsets_are_rejected(void **state)
{
	struct message_printer *printer;

	(void)state;
	assert_int_equal(message_printer_create(&printer, "utf-8, klingon", CODEC_STRICT, false), -EINVAL);
	assert_int_equal(message_printer_create(&printer, "", CODEC_STRICT, false), -EINVAL);
	message_printer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_are_decoded_and_escaped),
		cmocka_unit_test(test_raw_bytes),
		cmocka_unit_test(test_largest_datagram),
		cmocka_unit_test(test_unknown_charsets_are_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

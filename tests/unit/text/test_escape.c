#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "text/escape.h"
#include "text/utf8.h"

typedef size_t escape_function(char *out, const char *utf8, size_t length);

static void assert_escape(escape_function *escape, const char *text, size_t length, const char *expected)
{
	char *out = malloc(ESCAPE_EXPANSION * length + 1);
	size_t written = escape(out, text, length);

	out[written] = '\0';
	assert_string_equal(out, expected);
	free(out);
}

/* Checks the escapes of one character. */
static void assert_character(uint32_t c, const char *as_text, const char *as_json)
{
	char utf8[UTF8_MAX];
	size_t length = (size_t)(utf8_encode(utf8, c) - utf8);

	assert_escape(escape_text, utf8, length, as_text);
	assert_escape(escape_json, utf8, length, as_json);
}

static void test_printable_text_is_unchanged(void **state)
{
	static const char text[] = "Hello, 你好 κόσμε 𝄞 /'~!";

	(void)state;
	assert_escape(escape_text, text, strlen(text), text);
	assert_escape(escape_json, text, strlen(text), text);
	assert_escape(escape_text, "", 0, "");
	assert_character(0xa0, "\u00a0", "\u00a0");
	assert_character(0xfffd, "\ufffd", "\ufffd");
}

static void test_quotes_and_backslashes(void **state)
{
	(void)state;
	assert_character('"', "\\\"", "\\\"");
	assert_character('\\', "\\\\", "\\\\");
}

static void test_control_characters(void **state)
{
	(void)state;
	assert_character('\n', "\\n", "\\u000a");
	assert_character('\r', "\\r", "\\u000d");
	assert_character('\t', "\\t", "\\u0009");
	assert_character(0, "\\u0000", "\\u0000");
	assert_character(0x1b, "\\u001b", "\\u001b");
	assert_character(0x7f, "\\u007f", "\\u007f");
	assert_character(0x85, "\\u0085", "\\u0085");
}

static void test_line_separators_and_directions(void **state)
{
	(void)state;
	assert_character(0x2028, "\\u2028", "\\u2028");
	assert_character(0x2029, "\\u2029", "\\u2029");
	assert_character(0x202e, "\\u202e", "\\u202e");
	assert_character(0x2066, "\\u2066", "\\u2066");
	assert_character(0x200f, "\\u200f", "\\u200f");
	assert_character(0x61c, "\\u061c", "\\u061c");
}

static void test_invisible_characters(void **state)
{
	(void)state;
	assert_character(0xad, "\\u00ad", "\\u00ad");
	assert_character(0x200b, "\\u200b", "\\u200b");
	assert_character(0xfeff, "\\ufeff", "\\ufeff");
	assert_character(0xe0041, "\\U000e0041", "\\udb40\\udc41");
	assert_character(0x1d173, "\\U0001d173", "\\ud834\\udd73");
}

static void test_noncharacters(void **state)
{
	(void)state;
	assert_character(0xfdd0, "\\ufdd0", "\\ufdd0");
	assert_character(0xffff, "\\uffff", "\\uffff");
	assert_character(0x1fffe, "\\U0001fffe", "\\ud83f\\udffe");
	assert_character(0x10ffff, "\\U0010ffff", "\\udbff\\udfff");
}

static void test_bytes_that_did_not_decode(void **state)
{
	(void)state;
	assert_character(0xdcff, "\\xff", "\\\\xff");
	assert_character(0xdc80, "\\x80", "\\\\x80");
	assert_character(0xdc0a, "\\x0a", "\\\\x0a");
}

/* A backslash in the text and a byte that did not decode have different escapes. */
static void test_escapes_are_unambiguous(void **state)
{
	(void)state;
	assert_escape(escape_text, "\\xff", 4, "\\\\xff");
	assert_escape(escape_text, "\\n\n", 3, "\\\\n\\n");
	assert_escape(escape_text, "\xed\xb3\xbf\\xff", 7, "\\xff\\\\xff");
}

static void test_invalid_utf8_becomes_bytes(void **state)
{
	(void)state;
	assert_escape(escape_text, "a\xff", 2, "a\\xff");
	assert_escape(escape_text, "\xe4\xbd", 2, "\\xe4\\xbd");
	assert_escape(escape_text, "\xc3\x41", 2, "\\xc3A");
}

static void test_expansion_is_limited(void **state)
{
	char utf8[UTF8_MAX], out[64];

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		size_t length = (size_t)(utf8_encode(utf8, c) - utf8);

		assert_in_range(escape_text(out, utf8, length), 1, ESCAPE_EXPANSION * length);
		assert_in_range(escape_json(out, utf8, length), 1, ESCAPE_EXPANSION * length);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_printable_text_is_unchanged),
		cmocka_unit_test(test_quotes_and_backslashes),
		cmocka_unit_test(test_control_characters),
		cmocka_unit_test(test_line_separators_and_directions),
		cmocka_unit_test(test_invisible_characters),
		cmocka_unit_test(test_noncharacters),
		cmocka_unit_test(test_bytes_that_did_not_decode),
		cmocka_unit_test(test_escapes_are_unambiguous),
		cmocka_unit_test(test_invalid_utf8_becomes_bytes),
		cmocka_unit_test(test_expansion_is_limited),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

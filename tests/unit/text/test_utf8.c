#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "text/utf8.h"

static void assert_step(const char *bytes, size_t left, int expected, bool expected_incomplete)
{
	bool incomplete = !expected_incomplete;

	assert_int_equal(utf8_check((const uint8_t *)bytes, left, &incomplete), expected);
	assert_int_equal(incomplete, expected_incomplete);
}

static void assert_put(uint32_t c, const char *expected)
{
	char out[UTF8_MAX];
	size_t length = (size_t)(utf8_encode(out, c) - out);

	assert_int_equal(length, strlen(expected));
	assert_memory_equal(out, expected, length);
	assert_int_equal(utf8_decode((uint8_t *)out, (int)length), c);
}

static void test_characters_are_written_and_read(void **state)
{
	(void)state;
	assert_put('A', "A");
	assert_put(0x7f, "\x7f");
	assert_put(0x80, "\xc2\x80");
	assert_put(0x7ff, "\xdf\xbf");
	assert_put(0x800, "\xe0\xa0\x80");
	assert_put(0x4f60, "\xe4\xbd\xa0");
	assert_put(0xffff, "\xef\xbf\xbf");
	assert_put(0x10000, "\xf0\x90\x80\x80");
	assert_put(0x10ffff, "\xf4\x8f\xbf\xbf");
}

static void test_lone_surrogates_are_written_and_read(void **state)
{
	(void)state;
	assert_put(0xdc80, "\xed\xb2\x80");
	assert_put(0xdcff, "\xed\xb3\xbf");
}

static void test_step_accepts_every_character(void **state)
{
	char out[UTF8_MAX];

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		int length = (int)(utf8_encode(out, c) - out);

		if (c >= 0xd800 && c < 0xe000)
			assert_step(out, (size_t)length, -1, false);
		else
			assert_step(out, (size_t)length, length, false);
	}
}

static void test_step_stops_at_end_of_sequence(void **state)
{
	(void)state;
	assert_step("AB", 2, 1, false);
	assert_step("\xc3\xa9\xc3\xa9", 4, 2, false);
	assert_step("\xe4\xbd\xa0\x80", 4, 3, false);
	assert_step("\xf0\x9d\x84\x9e\x80", 5, 4, false);
}

static void test_errors_of_one_byte(void **state)
{
	static const char *const wrong[] = {
		"\x80",     "\xbf",         "\xc0\xaf",     "\xc1\xbf",     "\xf5\x80\x80\x80", "\xff",
		"\xc3\x41", "\xe4\x41\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_step(wrong[i], strlen(wrong[i]), -1, false);
}

/* One error covers all bytes that could start a valid sequence (Unicode 15, table 3-8). */
static void test_maximal_subpart_is_one_error(void **state)
{
	(void)state;
	assert_step("\xe4\xbd\x41", 3, -2, false);
	assert_step("\xe1\x80\xe2", 3, -2, false);
	assert_step("\xf0\x9d\x41\x41", 4, -2, false);
	assert_step("\xf0\x9d\x84\x41", 4, -3, false);
	assert_step("\xf4\x8f\xbf\xc0", 4, -3, false);
}

static void test_incomplete_sequences(void **state)
{
	(void)state;
	assert_step("\xc3", 1, -1, true);
	assert_step("\xe4", 1, -1, true);
	assert_step("\xe4\xbd", 2, -2, true);
	assert_step("\xf0\x9d\x84", 3, -3, true);
	assert_step("\xed\x9f", 2, -2, true);
	/* No byte could complete these. */
	assert_step("\xed\xa0", 2, -1, false);
	assert_step("\xf4\x90\x80", 3, -1, false);
	assert_step("\xf5", 1, -1, false);
}

static void test_ascii_run_ends_at_first_other_byte(void **state)
{
	uint8_t bytes[40];

	(void)state;
	memset(bytes, 0x7f, sizeof(bytes));
	assert_int_equal(utf8_ascii_run(bytes, 0), 0);
	for (size_t size = 1; size <= sizeof(bytes); size++) {
		assert_int_equal(utf8_ascii_run(bytes, size), size);
		for (size_t i = 0; i < size; i++) {
			bytes[i] = 0x80;
			assert_int_equal(utf8_ascii_run(bytes, size), i);
			bytes[i] = 0;
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_characters_are_written_and_read),
		cmocka_unit_test(test_lone_surrogates_are_written_and_read),
		cmocka_unit_test(test_step_accepts_every_character),
		cmocka_unit_test(test_step_stops_at_end_of_sequence),
		cmocka_unit_test(test_errors_of_one_byte),
		cmocka_unit_test(test_maximal_subpart_is_one_error),
		cmocka_unit_test(test_incomplete_sequences),
		cmocka_unit_test(test_ascii_run_ends_at_first_other_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

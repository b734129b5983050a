#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "text/utf8.h"

static void assert_step(const char *bytes, size_t left, int expected, bool expected_unfinished)
{
	bool unfinished = !expected_unfinished;

	assert_int_equal(utf8_step((const uint8_t *)bytes, left, &unfinished), expected);
	assert_int_equal(unfinished, expected_unfinished);
}

static void assert_put(uint32_t c, const char *expected)
{
	char out[UTF8_MAX];
	size_t length = (size_t)(utf8_put(out, c) - out);

	assert_int_equal(length, strlen(expected));
	assert_memory_equal(out, expected, length);
	assert_int_equal(utf8_get((uint8_t *)out, (int)length), c);
}

static void characters_are_put_and_got(void **state)
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

static void lone_surrogates_are_put_and_got(void **state)
{
	(void)state;
	assert_put(0xdc80, "\xed\xb2\x80");
	assert_put(0xdcff, "\xed\xb3\xbf");
}

static void every_character_is_stepped_over(void **state)
{
	char out[UTF8_MAX];

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		int length = (int)(utf8_put(out, c) - out);

		if (c >= 0xd800 && c < 0xe000)
			assert_step(out, (size_t)length, -1, false);
		else
			assert_step(out, (size_t)length, length, false);
	}
}

static void steps_stop_at_the_sequence(void **state)
{
	(void)state;
	assert_step("AB", 2, 1, false);
	assert_step("\xc3\xa9\xc3\xa9", 4, 2, false);
	assert_step("\xe4\xbd\xa0\x80", 4, 3, false);
	assert_step("\xf0\x9d\x84\x9e\x80", 5, 4, false);
}

static void one_byte_is_wrong(void **state)
{
	static const char *const wrong[] = {
		"\x80",     "\xbf",         "\xc0\xaf",     "\xc1\xbf",     "\xf5\x80\x80\x80", "\xff",
		"\xc3\x41", "\xe4\x41\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80"};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_step(wrong[i], strlen(wrong[i]), -1, false);
}

/* What begins as a sequence may is one error, up to where it no longer may (Unicode 15, table 3-8). */
static void the_longest_beginning_is_one_error(void **state)
{
	(void)state;
	assert_step("\xe4\xbd\x41", 3, -2, false);
	assert_step("\xe1\x80\xe2", 3, -2, false);
	assert_step("\xf0\x9d\x41\x41", 4, -2, false);
	assert_step("\xf0\x9d\x84\x41", 4, -3, false);
	assert_step("\xf4\x8f\xbf\xc0", 4, -3, false);
}

static void an_end_within_a_sequence_is_told(void **state)
{
	(void)state;
	assert_step("\xc3", 1, -1, true);
	assert_step("\xe4", 1, -1, true);
	assert_step("\xe4\xbd", 2, -2, true);
	assert_step("\xf0\x9d\x84", 3, -3, true);
	assert_step("\xed\x9f", 2, -2, true);
	/* These do not begin anything, whatever came next. */
	assert_step("\xed\xa0", 2, -1, false);
	assert_step("\xf4\x90\x80", 3, -1, false);
	assert_step("\xf5", 1, -1, false);
}

static void ascii_runs_end_at_the_first_other_byte(void **state)
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
		cmocka_unit_test(characters_are_put_and_got),
		cmocka_unit_test(lone_surrogates_are_put_and_got),
		cmocka_unit_test(every_character_is_stepped_over),
		cmocka_unit_test(steps_stop_at_the_sequence),
		cmocka_unit_test(one_byte_is_wrong),
		cmocka_unit_test(the_longest_beginning_is_one_error),
		cmocka_unit_test(an_end_within_a_sequence_is_told),
		cmocka_unit_test(ascii_runs_end_at_the_first_other_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log_line.h"

static char line[LOG_LINE_BUFFER + 1];

static void format_line(bool journal, enum log_format format, enum log_level level, const char *text)
{
	line[log_line_format(line, journal, format, level, text)] = '\0';
}

/* Formats a text line and compares the part after its time. */
static void assert_text(enum log_level level, const char *text, const char *expected)
{
	format_line(false, LOG_FORMAT_TEXT, level, text);
	assert_true(strlen(line) > CLOCK_TEXT_MAX);
	assert_string_equal(line + CLOCK_TEXT_MAX, expected);
}

static void print(char text[LOG_LINE_MAX], const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	log_line_print(text, format, arguments);
	va_end(arguments);
}

static void test_line_starts_with_time(void **state)
{
	char before[CLOCK_TEXT_MAX], after[CLOCK_TEXT_MAX];

	(void)state;
	clock_format(clock_wall_us(), before);
	format_line(false, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, "x");
	clock_format(clock_wall_us(), after);
	assert_true(memcmp(before, line, CLOCK_TEXT_MAX - 1) <= 0);
	assert_true(memcmp(line, after, CLOCK_TEXT_MAX - 1) <= 0);
}

static void test_levels_have_names(void **state)
{
	(void)state;
	assert_text(LOG_LEVEL_ERROR, "x", "error: x\n");
	assert_text(LOG_LEVEL_WARNING, "x", "warning: x\n");
	assert_text(LOG_LEVEL_NOTICE, "x", "notice: x\n");
	assert_text(LOG_LEVEL_INFO, "x", "info: x\n");
	assert_text(LOG_LEVEL_DEBUG, "", "debug: \n");
}

static void test_control_characters_are_escaped(void **state)
{
	(void)state;
	assert_text(LOG_LEVEL_INFO, "a\nb\x1b[31m\x7f \xff 你", "info: a\\x0ab\\x1b[31m\\x7f \\xff 你\n");
}

static void test_hidden_characters_are_escaped(void **state)
{
	(void)state;
	assert_text(LOG_LEVEL_INFO, "\xc2\x9b|\u202e|\u2028", "info: \\xc2\\x9b|\\xe2\\x80\\xae|\\xe2\\x80\\xa8\n");
}

static void test_json_has_time_level_and_message(void **state)
{
	(void)state;
	format_line(false, LOG_FORMAT_JSON, LOG_LEVEL_ERROR, "say \"hi\" \\ \t");
	assert_memory_equal(line, "{\"time\":\"", 9);
	assert_string_equal(line + 9 + CLOCK_TEXT_MAX - 1,
			    "\",\"level\":\"error\",\"message\":\"say \\\"hi\\\" \\\\ \\\\x09\"}\n");
}

static void test_journal_lines_start_with_priority(void **state)
{
	(void)state;
	format_line(true, LOG_FORMAT_TEXT, LOG_LEVEL_ERROR, "x\n");
	assert_string_equal(line, "<3>x\\x0a\n");
	format_line(true, LOG_FORMAT_TEXT, LOG_LEVEL_DEBUG, "x");
	assert_string_equal(line, "<7>x\n");
	format_line(true, LOG_FORMAT_JSON, LOG_LEVEL_WARNING, "x");
	assert_memory_equal(line, "<4>{\"time\":\"", 12);
}

static void test_long_message_ends_in_ellipsis(void **state)
{
	char text[LOG_LINE_MAX];

	(void)state;
	print(text, "%*s", LOG_LINE_MAX - 1, "x");
	assert_int_equal(strlen(text), LOG_LINE_MAX - 1);
	assert_int_equal(text[LOG_LINE_MAX - 2], 'x');
	print(text, "%*s", LOG_LINE_MAX, "x");
	assert_int_equal(strlen(text), LOG_LINE_MAX - 1);
	assert_string_equal(text + LOG_LINE_MAX - 1 - strlen("…"), "…");
}

/* The ellipsis replaces all but the first byte of the last character. */
static void test_ellipsis_may_split_a_character(void **state)
{
	char text[LOG_LINE_MAX];

	(void)state;
	print(text, "%*s你你", LOG_LINE_MAX - 5, "");
	format_line(true, LOG_FORMAT_TEXT, LOG_LEVEL_INFO, text);
	assert_string_equal(line + strlen(line) - strlen(" \\xe4…\n"), " \\xe4…\n");
}

/* A buffer of the exact size: with a sanitizer, this test detects a write beyond its end. */
static void test_longest_line_fits(void **state)
{
	static char exact[LOG_LINE_BUFFER];
	char text[LOG_LINE_MAX];
	size_t size;

	(void)state;
	memset(text, '\xff', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	size = log_line_format(exact, true, LOG_FORMAT_JSON, LOG_LEVEL_WARNING, text);
	assert_in_range(size, 5 * (LOG_LINE_MAX - 1), sizeof(exact));
	assert_int_equal(exact[size - 1], '\n');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_starts_with_time),
		cmocka_unit_test(test_levels_have_names),
		cmocka_unit_test(test_control_characters_are_escaped),
		cmocka_unit_test(test_hidden_characters_are_escaped),
		cmocka_unit_test(test_json_has_time_level_and_message),
		cmocka_unit_test(test_journal_lines_start_with_priority),
		cmocka_unit_test(test_long_message_ends_in_ellipsis),
		cmocka_unit_test(test_ellipsis_may_split_a_character),
		cmocka_unit_test(test_longest_line_fits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

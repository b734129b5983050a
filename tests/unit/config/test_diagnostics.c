#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/diagnostics.h"

static void assert_written(struct diagnostics *diagnostics, const char *expected)
{
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	diagnostics_write(diagnostics, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	diagnostics_finish(diagnostics);
	assert_int_equal(diagnostics->count, 0);
}

static void __attribute__((format(printf, 5, 6)))
add_entry(struct diagnostics *diagnostics, unsigned line, const char *section, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(diagnostics, line, section, key, format, arguments);
	va_end(arguments);
}

static void empty_collection_writes_nothing(void **state)
{
	struct diagnostics diagnostics = {.path = "t.ini"};

	(void)state;
	assert_written(&diagnostics, "");
}

static void errors_are_sorted_by_line(void **state)
{
	struct diagnostics diagnostics = {.path = "a/t.ini"};

	(void)state;
	diagnostics_add(&diagnostics, 12, "c");
	diagnostics_add(&diagnostics, 2, "%s %d", "a", 1);
	diagnostics_add(&diagnostics, 12, "b");
	diagnostics_add(&diagnostics, 0, "whole");
	diagnostics_add(&diagnostics, 2, "a 2");
	assert_written(&diagnostics, "a/t.ini: whole\na/t.ini:2: a 1\na/t.ini:2: a 2\na/t.ini:12: c\na/t.ini:12: b\n");
}

static void entries_name_section_and_key(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	add_entry(&diagnostics, 1, "s", "k", "%d%%", 5);
	add_entry(&diagnostics, 2, "s", NULL, "x");
	add_entry(&diagnostics, 3, NULL, "k", "x");
	add_entry(&diagnostics, 4, NULL, NULL, "x");
	assert_written(&diagnostics, "t:1: [s] k: 5%\nt:2: [s]: x\nt:3: k: x\nt:4: x\n");
}

static void control_bytes_are_escaped(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	add_entry(&diagnostics, 1, "%n\n", "%s\x1b", "%s", "\t\x7f\xc2\x85 \xe4\xbd\xa0\xff\xe4\xbd \"\\");
	assert_written(&diagnostics, "t:1: [%n\\x0a] %s\\x1b: \\x09\\x7f\\xc2\\x85 \xe4\xbd\xa0\\xff\\xe4\\xbd \"\\\n");
}

static void invisible_characters_are_escaped(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "\u00a0\u00ad\u2003\u200b|\u3000\ufeff\u00e4");
	assert_written(&diagnostics, "t:1: \\xc2\\xa0\\xc2\\xad\\xe2\\x80\\x83\\xe2\\x80\\x8b|\\xe3\\x80\\x80"
				     "\\xef\\xbb\\xbf\u00e4\n");
}

static void repeated_errors_are_dropped(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "a");
	diagnostics_add(&diagnostics, 1, "b");
	diagnostics_add(&diagnostics, 1, "a");
	diagnostics_add(&diagnostics, 2, "a");
	assert_written(&diagnostics, "t:1: a\nt:1: b\nt:2: a\n");
}

static void errors_beyond_twenty_are_counted(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};
	char expected[400] = "";

	(void)state;
	for (unsigned i = 23; i; i--) {
		diagnostics_add(&diagnostics, i, "x");
		if (i > 3)
			sprintf(expected + strlen(expected), "t:%u: x\n", 24 - i);
	}
	strcat(expected, "t:21: \u2026 and 3 more errors\n");
	assert_written(&diagnostics, expected);
}

static void one_remaining_error_is_singular(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	for (unsigned i = 1; i <= 21; i++)
		diagnostics_add(&diagnostics, i, "x");
	diagnostics_write(&diagnostics, out);
	fclose(out);
	assert_non_null(strstr(text, "\nt:20: x\nt:21: \u2026 and 1 more error\n"));
	free(text);
	diagnostics_finish(&diagnostics);
}

/* A file that is not a configuration at all must not use unbounded memory. */
static void stored_errors_are_bounded(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};
	char *text;
	size_t length;
	FILE *out = open_memstream(&text, &length);

	(void)state;
	for (unsigned i = 1; i <= 5000; i++)
		diagnostics_add(&diagnostics, i, "x");
	assert_int_equal(diagnostics.count, 1000);
	diagnostics_write(&diagnostics, out);
	fclose(out);
	assert_non_null(strstr(text, "\nt:20: x\nt:21: \u2026 and 4980 more errors\n"));
	free(text);
	diagnostics_finish(&diagnostics);
}

static void long_texts_keep_both_ends(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};
	char *text = calloc(1, 100001);
	const char *stored;

	(void)state;
	memset(text, '\x01', 100000);
	add_entry(&diagnostics, 1, "s", "k", "`%s` is not valid", text);
	stored = diagnostics.items[0].text;
	assert_in_range(strlen(stored), 1000, 4100);
	assert_int_equal(strncmp(stored, "[s] k: `\\x01", 12), 0);
	assert_non_null(strstr(stored, "\\x01\u2026\\x01"));
	assert_string_equal(stored + strlen(stored) - 18, "\\x01` is not valid");
	free(text);
	diagnostics_finish(&diagnostics);
}

static void path_is_escaped(void **state)
{
	struct diagnostics diagnostics = {.path = "a\x1b[2J\xff.ini"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "x");
	diagnostics_add(&diagnostics, 0, "y");
	assert_written(&diagnostics, "a\\x1b[2J\\xff.ini: y\na\\x1b[2J\\xff.ini:1: x\n");
}

/* Tests all lengths around the limit. A text is cut in place, so it must not become longer. */
static void cutting_never_lengthens_a_text(void **state)
{
	char text[1101];

	(void)state;
	for (size_t length = 990; length < sizeof(text); length++) {
		struct diagnostics diagnostics = {.path = "t"};
		size_t stored;

		memset(text, 'x', length);
		text[length] = '\0';
		diagnostics_add(&diagnostics, 1, "%s", text);
		stored = strlen(diagnostics.items[0].text);
		assert_true(stored <= length);
		assert_true(stored <= 1004);
		assert_true(stored == length || strstr(diagnostics.items[0].text, "…"));
		diagnostics_finish(&diagnostics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_collection_writes_nothing),
		cmocka_unit_test(errors_are_sorted_by_line),
		cmocka_unit_test(entries_name_section_and_key),
		cmocka_unit_test(control_bytes_are_escaped),
		cmocka_unit_test(stored_errors_are_bounded),
		cmocka_unit_test(invisible_characters_are_escaped),
		cmocka_unit_test(cutting_never_lengthens_a_text),
		cmocka_unit_test(long_texts_keep_both_ends),
		cmocka_unit_test(path_is_escaped),
		cmocka_unit_test(repeated_errors_are_dropped),
		cmocka_unit_test(errors_beyond_twenty_are_counted),
		cmocka_unit_test(one_remaining_error_is_singular),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

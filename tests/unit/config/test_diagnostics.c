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

static void none_writes_nothing(void **state)
{
	struct diagnostics diagnostics = {.path = "t.ini"};

	(void)state;
	assert_written(&diagnostics, "");
}

static void lines_are_sorted_and_keep_their_order(void **state)
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

static void entries_have_their_place(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	add_entry(&diagnostics, 1, "s", "k", "%d%%", 5);
	add_entry(&diagnostics, 2, "s", NULL, "x");
	add_entry(&diagnostics, 3, NULL, "k", "x");
	add_entry(&diagnostics, 4, NULL, NULL, "x");
	assert_written(&diagnostics, "t:1: [s] k: 5%\nt:2: [s]: x\nt:3: k: x\nt:4: x\n");
}

static void quoted_bytes_are_safe(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	add_entry(&diagnostics, 1, "%n\n", "%s\x1b", "%s", "\t\x7f\xc2\x85 \xe4\xbd\xa0\xff\xe4\xbd \"\\");
	assert_written(&diagnostics, "t:1: [%n\\x0a] %s\\x1b: \\x09\\x7f\\xc2\\x85 \xe4\xbd\xa0\\xff\\xe4\\xbd \"\\\n");
}

static void what_cannot_be_seen_is_written_out(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "\u00a0\u00ad\u2003\u200b|\u3000\ufeff\u00e4");
	assert_written(&diagnostics, "t:1: \\xc2\\xa0\\xc2\\xad\\xe2\\x80\\x83\\xe2\\x80\\x8b|\\xe3\\x80\\x80"
				     "\\xef\\xbb\\xbf\u00e4\n");
}

static void no_line_is_told_twice(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "a");
	diagnostics_add(&diagnostics, 1, "b");
	diagnostics_add(&diagnostics, 1, "a");
	diagnostics_add(&diagnostics, 2, "a");
	assert_written(&diagnostics, "t:1: a\nt:1: b\nt:2: a\n");
}

static void many_are_counted(void **state)
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

static void one_more_is_an_error(void **state)
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

/* A file that is no configuration at all does not cost memory without end. */
static void very_many_are_only_counted(void **state)
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

static void long_ones_keep_their_ends(void **state)
{
	struct diagnostics diagnostics = {.path = "t"};
	char *text = calloc(1, 100001);
	const char *told;

	(void)state;
	memset(text, '\x01', 100000);
	add_entry(&diagnostics, 1, "s", "k", "`%s` is wrong", text);
	told = diagnostics.items[0].text;
	assert_in_range(strlen(told), 1000, 4100);
	assert_int_equal(strncmp(told, "[s] k: `\\x01", 12), 0);
	assert_non_null(strstr(told, "\\x01\u2026\\x01"));
	assert_string_equal(told + strlen(told) - 14, "\\x01` is wrong");
	free(text);
	diagnostics_finish(&diagnostics);
}

static void the_path_is_safe_too(void **state)
{
	struct diagnostics diagnostics = {.path = "a\x1b[2J\xff.ini"};

	(void)state;
	diagnostics_add(&diagnostics, 1, "x");
	diagnostics_add(&diagnostics, 0, "y");
	assert_written(&diagnostics, "a\\x1b[2J\\xff.ini: y\na\\x1b[2J\\xff.ini:1: x\n");
}

/* Around where they begin to be cut, which must make them shorter: otherwise they would not fit where they are. */
static void none_is_cut_to_become_longer(void **state)
{
	char text[1101];

	(void)state;
	for (size_t length = 990; length < sizeof(text); length++) {
		struct diagnostics diagnostics = {.path = "t"};
		size_t told;

		memset(text, 'x', length);
		text[length] = '\0';
		diagnostics_add(&diagnostics, 1, "%s", text);
		told = strlen(diagnostics.items[0].text);
		assert_true(told <= length);
		assert_true(told <= 1004);
		assert_true(told == length || strstr(diagnostics.items[0].text, "…"));
		diagnostics_finish(&diagnostics);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(none_writes_nothing),
		cmocka_unit_test(lines_are_sorted_and_keep_their_order),
		cmocka_unit_test(entries_have_their_place),
		cmocka_unit_test(quoted_bytes_are_safe),
		cmocka_unit_test(very_many_are_only_counted),
		cmocka_unit_test(what_cannot_be_seen_is_written_out),
		cmocka_unit_test(none_is_cut_to_become_longer),
		cmocka_unit_test(long_ones_keep_their_ends),
		cmocka_unit_test(what_cannot_be_seen_is_written_out),
		cmocka_unit_test(the_path_is_safe_too),
		cmocka_unit_test(what_cannot_be_seen_is_written_out),
		cmocka_unit_test(no_line_is_told_twice),
		cmocka_unit_test(many_are_counted),
		cmocka_unit_test(one_more_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

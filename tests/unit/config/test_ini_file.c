#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/ini_file.h"

struct fixture {
	struct ini_file file;
	struct diagnostics diagnostics;
};

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){.diagnostics = {.path = "t.ini"}};
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	ini_file_finish(&f->file);
	diagnostics_finish(&f->diagnostics);
	return 0;
}

static void read_bytes(struct fixture *f, const char *text, size_t size)
{
	FILE *in = fmemopen((char *)text, size, "r");

	assert_non_null(in);
	assert_true(ini_file_read(&f->file, in, &f->diagnostics));
	fclose(in);
}

static void read_text(struct fixture *f, const char *text)
{
	read_bytes(f, text, strlen(text));
}

static void assert_entry(const struct fixture *f, size_t i, const char *section, const char *key, const char *value,
			 unsigned line)
{
	const struct ini_entry *entry = &f->file.entries[i];

	assert_true(i < f->file.entry_count);
	assert_string_equal(f->file.sections[entry->section].name, section);
	assert_string_equal(entry->key, key);
	assert_int_equal(entry->line, line);
	if (value)
		assert_string_equal(entry->value, value);
	else
		assert_null(entry->value);
}

static void assert_error(const struct fixture *f, size_t i, unsigned line, const char *text)
{
	assert_true(i < f->diagnostics.count);
	assert_int_equal(f->diagnostics.items[i].line, line);
	if (!strstr(f->diagnostics.items[i].text, text))
		fail_msg("expected `%s` in `%s`", text, f->diagnostics.items[i].text);
}

static void entries_have_sections_and_lines(void **state)
{
	struct fixture *f = *state;

	read_text(f, "; one\n[a]\n\nk = v\n  l: w x\t\n# two\n[b:c]\nk=v=w\nm =\n");
	assert_int_equal(f->diagnostics.count, 0);
	assert_int_equal(f->file.section_count, 2);
	assert_int_equal(f->file.sections[1].line, 7);
	assert_int_equal(f->file.entry_count, 4);
	assert_entry(f, 0, "a", "k", "v", 4);
	assert_entry(f, 1, "a", "l", "w x", 5);
	assert_entry(f, 2, "b:c", "k", "v=w", 8);
	assert_entry(f, 3, "b:c", "m", "", 9);
	assert_ptr_equal(ini_file_find(&f->file, 1, "k"), &f->file.entries[2]);
	assert_null(ini_file_find(&f->file, 1, "l"));
}

static void comments_are_removed(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a] ; x\nk = v ; x\nl = v # x = y\n[b];x\nm = v;w#x\nn = ; x\n");
	assert_int_equal(f->diagnostics.count, 0);
	assert_entry(f, 0, "a", "k", "v", 2);
	assert_entry(f, 1, "a", "l", "v", 3);
	assert_entry(f, 2, "b", "m", "v;w#x", 5);
	assert_entry(f, 3, "b", "n", "", 6);
}

static void byte_order_mark_and_crlf_are_accepted(void **state)
{
	struct fixture *f = *state;

	read_text(f, "\xef\xbb\xbf[a]\r\nk = v,\r\n w\r\n\r\nl = x");
	assert_int_equal(f->diagnostics.count, 0);
	assert_int_equal(f->file.entry_count, 2);
	assert_entry(f, 0, "a", "k", "v, w", 2);
	assert_entry(f, 1, "a", "l", "x", 5);
}

static void comma_continues_in_next_line(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a]\nk = 1, ; x\n\n# x\n\t2,\n[::1]:3,\n4\nl = 5,\nm = 6,\n[b]\nn = 7\n");
	assert_int_equal(f->diagnostics.count, 0);
	assert_int_equal(f->file.entry_count, 4);
	assert_entry(f, 0, "a", "k", "1, 2, [::1]:3, 4", 2);
	assert_entry(f, 1, "a", "l", "5,", 8);
	assert_entry(f, 2, "a", "m", "6,", 9);
	assert_entry(f, 3, "b", "n", "7", 11);
}

static void continuations_have_lines(void **state)
{
	struct fixture *f = *state;
	const struct ini_entry *entry;

	read_text(f, "[a]\nk = ab,\n\n  cd,\n; nothing\n  ef\nl = x\n");
	assert_entry(f, 0, "a", "k", "ab, cd, ef", 2);
	entry = &f->file.entries[0];
	assert_int_equal(ini_entry_line(entry, 0), 2);
	assert_int_equal(ini_entry_line(entry, 3), 2);
	assert_int_equal(ini_entry_line(entry, 4), 4);
	assert_int_equal(ini_entry_line(entry, 7), 4);
	assert_int_equal(ini_entry_line(entry, 8), 6);
	assert_int_equal(ini_entry_line(entry, 9), 6);
	assert_int_equal(ini_entry_line(&f->file.entries[1], 0), 7);
}

static void indentation_alone_is_no_continuation(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a]\nk = 1\n  l = 2\n  stray\n");
	assert_entry(f, 0, "a", "k", "1", 2);
	assert_entry(f, 1, "a", "l", "2", 3);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 4, "[a]: `stray` is neither [section] nor key = value");
}

static void missing_commas_are_suggested(void **state)
{
	struct fixture *f = *state;
	static const char comma[] = "add a comma to the previous line";

	read_text(f, "[a]\nk = 1\n 2\n 3, 4\n 5 ,6\n[::1]:7\n::1:8\nsome words\n[b]\n9\n");
	assert_int_equal(f->diagnostics.count, 7);
	for (unsigned i = 0; i < 5; i++)
		assert_error(f, i, i + 3, comma);
	assert_error(f, 3, 6, "[a]: `[::1]:7` is neither [section] nor key = value");
	assert_error(f, 5, 8, "nor key = value: complete it, or begin it with ;");
	assert_error(f, 6, 10, "nor key = value: complete it, or begin it with ;");
	assert_int_equal(f->file.section_count, 2);
	assert_int_equal(f->file.entry_count, 1);
}

static void colon_separators_are_recorded(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a]\nk = 1:2\nl: 3=4\nm 5:6\n");
	assert_int_equal(f->diagnostics.count, 0);
	assert_false(f->file.entries[0].colon);
	assert_true(f->file.entries[1].colon);
	assert_entry(f, 2, "a", "m 5", "6", 4);
	assert_true(f->file.entries[2].colon);
}

/* A binary file has NUL bytes before the first section. */
static void binary_file_is_rejected(void **state)
{
	struct fixture *f = *state;
	static const char text[] = "stray\nmore\n; x\0\n[a]\nk = 1\n";
	FILE *in = fmemopen((char *)text, sizeof(text) - 1, "r");

	assert_false(ini_file_read(&f->file, in, &f->diagnostics));
	fclose(in);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 3, "this is not a text file: save it as UTF-8");
	assert_int_equal(f->file.section_count, 0);
	assert_string_equal(f->diagnostics.path, "t.ini");
}

static void line_length_is_limited(void **state)
{
	struct fixture *f = *state;
	char text[2000], value[INI_FILE_LINE_MAX + 1];

	memset(value, 'v', sizeof(value));
	snprintf(text, sizeof(text), "[a]\nk = %.*s\nl = %.*s\nm = 1, %.*s,\n2\nn = 1,\n%.*s,\n3\no = 4\n",
		 INI_FILE_LINE_MAX - 4, value, INI_FILE_LINE_MAX - 3, value, INI_FILE_LINE_MAX, value,
		 INI_FILE_LINE_MAX + 1, value);
	read_text(f, text);
	assert_int_equal(f->diagnostics.count, 3);
	assert_error(f, 0, 3, "[a] l: the line has 197 bytes, but the maximum is 196");
	assert_error(f, 1, 4, "[a] m: the line has");
	assert_error(f, 2, 7, "[a] n: the line has");
	assert_int_equal(f->file.entry_count, 5);
	assert_int_equal(strlen(f->file.entries[0].value), INI_FILE_LINE_MAX - 4);
	for (size_t i = 1; i < 4; i++)
		assert_null(f->file.entries[i].value);
	assert_entry(f, 4, "a", "o", "4", 9);
}

/* libinih parses the part of a line that exceeds its buffer as a separate line. */
static void long_comments_are_ignored(void **state)
{
	struct fixture *f = *state;
	char text[3000], spaces[400];

	memset(spaces, ' ', sizeof(spaces));
	for (size_t at = 150; at < 260; at++) {
		snprintf(text, sizeof(text), "; %.*sk = 1\n[a]\nl = 2 ; %.*s[b]\nm = 3 # %.*sk = 1\n%.*sn = 4%.*s\n",
			 (int)at, spaces, (int)at, spaces, (int)at, spaces, (int)at, spaces, (int)at, spaces);
		read_text(f, text);
		assert_int_equal(f->diagnostics.count, 0);
		assert_int_equal(f->file.section_count, 1);
		assert_int_equal(f->file.entry_count, 3);
		assert_entry(f, 0, "a", "l", "2", 3);
		assert_entry(f, 2, "a", "n", "4", 5);
		ini_file_finish(&f->file);
	}
}

static void control_characters_are_rejected(void **state)
{
	struct fixture *f = *state;
	static const char text[] =
		"[a]\nk = 1\0 2\n; \0\n\0\nl = \x1b[0m\nm = a\rb\n[\0b]\nn\t=\to\177\n o = 1,\n2\1,\n3\n";

	read_bytes(f, text, sizeof(text) - 1);
	assert_int_equal(f->diagnostics.count, 9);
	assert_error(f, 0, 2, "[a] k: column 6 is the control character 0x00: remove it");
	assert_error(f, 1, 3, "[a]: column 3 is the control character 0x00");
	assert_error(f, 2, 4, "[a]: column 1 is the control character 0x00");
	assert_error(f, 3, 5, "[a] l: column 5 is the control character 0x1b");
	assert_error(f, 4, 6, "[a] m: column 6 is the control character 0x0d");
	assert_error(f, 5, 7, "[]: the `]` after the section name is missing");
	assert_error(f, 6, 7, "[]: column 2 is the control character 0x00");
	assert_error(f, 7, 8, "[] n: column 6 is the control character 0x7f");
	assert_error(f, 8, 10, "[] o: column 2 is the control character 0x01");
	for (size_t i = 0; i < f->file.entry_count; i++)
		assert_null(f->file.entries[i].value);
}

static void malformed_sections_are_reported(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a\nk = 1\n[b] c\nl = 2\n[c ;]\n");
	assert_int_equal(f->diagnostics.count, 3);
	assert_error(f, 0, 1, "[a]: the `]` after the section name is missing: write [a]");
	assert_error(f, 1, 3, "[b]: unexpected `c` after the section name");
	assert_error(f, 2, 5, "[c]: the `]` after the section name is missing");
	assert_entry(f, 0, "a", "k", "1", 2);
	assert_entry(f, 1, "b", "l", "2", 4);
}

static void repeated_sections_are_merged(void **state)
{
	struct fixture *f = *state;

	read_text(f, "[a]\nk = 1\n[b]\nk = 2\n[a]\nk = 3,\n4\nl = 5\n");
	assert_int_equal(f->diagnostics.count, 2);
	assert_error(f, 0, 5, "[a]: the section exists in line 1 already");
	assert_error(f, 1, 6, "[a] k: the key exists in line 2 already: remove one");
	assert_int_equal(f->file.entry_count, 3);
	assert_entry(f, 0, "a", "k", "1", 2);
	assert_entry(f, 1, "b", "k", "2", 4);
	assert_entry(f, 2, "a", "l", "5", 8);
}

static void entries_need_section_and_key(void **state)
{
	struct fixture *f = *state;

	read_text(f, "k = 1,\n2\n[a]\n= 3,\n4\n: 5\nl ; = 6\n");
	assert_int_equal(f->diagnostics.count, 4);
	assert_error(f, 0, 1,
		     "k: the key is not in a section: write the name of its section above it, such as [udprelayd]");
	assert_error(f, 1, 4, "[a]: the key before `=`");
	assert_error(f, 2, 6, "[a]: the key before `:`");
	assert_error(f, 3, 7, "[a]: `l` is neither");
	assert_int_equal(f->file.entry_count, 0);
}

/* --- Limits: any input is rejected quickly, and with bounded memory --- */

/* The diagnostics must contain only this error. Finishes the fixture, so that a test can use it again. */
static void assert_aborted(struct fixture *f, FILE *in, unsigned line, const char *why)
{
	assert_false(ini_file_read(&f->file, in, &f->diagnostics));
	fclose(in);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, line, why);
	ini_file_finish(&f->file);
	diagnostics_finish(&f->diagnostics);
}

static ssize_t read_endlessly(void *cookie, char *out, size_t size)
{
	memset(out, *(const char *)cookie, size);
	return (ssize_t)size;
}

static void file_size_is_limited(void **state)
{
	static char bytes[] = {'x', '\0'};

	for (size_t i = 0; i < sizeof(bytes); i++)
		assert_aborted(*state, fopencookie(&bytes[i], "r", (cookie_io_functions_t){.read = read_endlessly}), 1,
			       "the file is larger than 16 MiB");
}

/* Returns a file with "[a]" and then one line for each number from 1 to count. The caller closes it. */
static FILE *numbered_lines(const char *format, unsigned count)
{
	FILE *file = tmpfile();

	assert_non_null(file);
	fputs("[a]\n", file);
	for (unsigned i = 1; i <= count; i++)
		fprintf(file, format, i);
	rewind(file);
	return file;
}

static void number_of_keys_and_sections_is_limited(void **state)
{
	struct fixture *f = *state;
	FILE *in = numbered_lines("k%u = 1\n", INI_FILE_KEYS_MAX);

	assert_true(ini_file_read(&f->file, in, &f->diagnostics));
	fclose(in);
	assert_int_equal(f->diagnostics.count, 0);
	assert_non_null(ini_file_find(&f->file, 0, "k1000"));
	ini_file_finish(&f->file);
	assert_aborted(f, numbered_lines("k%u = 1\n", INI_FILE_KEYS_MAX + 2), INI_FILE_KEYS_MAX + 2,
		       "the section has too many keys");
	assert_aborted(f, numbered_lines("k%u = 1\n", INI_FILE_KEYS_MAX + 1), INI_FILE_KEYS_MAX + 2,
		       "the section has too many keys");
	assert_aborted(f, numbered_lines("[s%u]\n", INI_FILE_SECTIONS_MAX), INI_FILE_SECTIONS_MAX + 1,
		       "the file has too many sections");
}

static ssize_t fail_to_read(void *cookie, char *out, size_t size)
{
	int *reads = cookie;

	if ((*reads)++) {
		errno = EIO;
		return -1;
	}
	assert_true(size >= 4);
	memcpy(out, "[a]\n", 4);
	return 4;
}

static void read_errors_are_reported(void **state)
{
	struct fixture *f = *state;
	int reads = 0;
	FILE *in = fopencookie(&reads, "r", (cookie_io_functions_t){.read = fail_to_read});

	assert_false(ini_file_read(&f->file, in, &f->diagnostics));
	fclose(in);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 0, "reading failed after line 1: Input/output error: name a file that can be read");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(entries_have_sections_and_lines),
		test(comments_are_removed),
		test(byte_order_mark_and_crlf_are_accepted),
		test(comma_continues_in_next_line),
		test(continuations_have_lines),
		test(indentation_alone_is_no_continuation),
		test(missing_commas_are_suggested),
		test(colon_separators_are_recorded),
		test(binary_file_is_rejected),
		test(line_length_is_limited),
		test(long_comments_are_ignored),
		test(control_characters_are_rejected),
		test(malformed_sections_are_reported),
		test(repeated_sections_are_merged),
		test(entries_need_section_and_key),
		test(file_size_is_limited),
		test(number_of_keys_and_sections_is_limited),
		test(read_errors_are_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

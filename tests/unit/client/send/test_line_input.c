#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/send/line_input.h"

struct fixture {
	int write_end, read_end;
	struct line_input *input;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	int ends[2];

	if (pipe(ends))
		return -1;
	f->read_end = ends[0];
	f->write_end = ends[1];
	fcntl(f->write_end, F_SETPIPE_SZ, 1 << 20);
	line_input_create(&f->input, f->read_end, "> ");
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	line_input_destroy(f->input);
	close(f->read_end);
	if (f->write_end >= 0)
		close(f->write_end);
	free(f);
	return 0;
}

static void write_bytes(struct fixture *f, const char *text, size_t size)
{
	assert_int_equal(write(f->write_end, text, size), size);
}

static void close_input(struct fixture *f)
{
	close(f->write_end);
	f->write_end = -1;
}

/* Reads until there is a line, an error or the end. */
static enum line_input_state next_result(struct fixture *f, const char **line, size_t *length)
{
	enum line_input_state state;

	while ((state = line_input_next(f->input, line, length)) == LINE_INPUT_NEED_DATA)
		line_input_read(f->input);
	return state;
}

static void assert_line(struct fixture *f, const char *text)
{
	const char *line;
	size_t length;

	assert_int_equal(next_result(f, &line, &length), LINE_INPUT_READY);
	assert_int_equal(length, strlen(text));
	assert_memory_equal(line, text, length);
}

static void assert_result(struct fixture *f, enum line_input_state expected)
{
	const char *line;
	size_t length;

	assert_int_equal(next_result(f, &line, &length), expected);
}

static void test_lines(void **state)
{
	struct fixture *f = *state;

	write_bytes(f, "one\n\nthree\n", 11);
	assert_line(f, "one");
	assert_line(f, "");
	assert_line(f, "three");
	close_input(f);
	assert_result(f, LINE_INPUT_END);
	assert_result(f, LINE_INPUT_END);
}

static void test_last_line_needs_no_line_end(void **state)
{
	struct fixture *f = *state;

	write_bytes(f, "one\ntwo", 7);
	close_input(f);
	assert_line(f, "one");
	assert_line(f, "two");
	assert_result(f, LINE_INPUT_END);
}

static void test_line_in_several_reads(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	for (const char *piece = "abc"; *piece; piece++) {
		write_bytes(f, piece, 1);
		line_input_read(f->input);
		assert_int_equal(line_input_next(f->input, &line, &length), LINE_INPUT_NEED_DATA);
	}
	write_bytes(f, "\nd", 2);
	assert_line(f, "abc");
	close_input(f);
	assert_line(f, "d");
}

static void test_nul_byte_in_line(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	write_bytes(f, "a\0b\n", 4);
	assert_int_equal(next_result(f, &line, &length), LINE_INPUT_READY);
	assert_int_equal(length, 3);
	assert_memory_equal(line, "a\0b", 3);
}

/* The pipe buffer was enlarged, so that the whole text fits. */
static void write_long_line(struct fixture *f, size_t size)
{
	char *text = malloc(size);

	memset(text, 'x', size);
	write_bytes(f, text, size);
	free(text);
}

static void test_longest_line(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	write_long_line(f, LINE_INPUT_MAX);
	write_bytes(f, "\nnext\n", 6);
	assert_int_equal(next_result(f, &line, &length), LINE_INPUT_READY);
	assert_int_equal(length, LINE_INPUT_MAX);
	assert_line(f, "next");
}

/* A long line is reported once, however long it is. The next line is read normally. */
static void test_too_long_line_is_discarded(void **state)
{
	static const size_t beyond[] = {1, 2, 65535, 65536, 65537, 500000};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		write_long_line(f, LINE_INPUT_MAX + beyond[i]);
		write_bytes(f, "\nnext\n", 6);
		assert_result(f, LINE_INPUT_TOO_LONG);
		assert_line(f, "next");
	}
}

static void test_too_long_line_without_line_end(void **state)
{
	struct fixture *f = *state;

	write_long_line(f, LINE_INPUT_MAX + 70000);
	close_input(f);
	assert_result(f, LINE_INPUT_TOO_LONG);
	assert_result(f, LINE_INPUT_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_last_line_needs_no_line_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_line_in_several_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_nul_byte_in_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_longest_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_long_line_is_discarded, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_long_line_without_line_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void put(struct fixture *f, const char *text, size_t size)
{
	assert_int_equal(write(f->write_end, text, size), size);
}

static void end(struct fixture *f)
{
	close(f->write_end);
	f->write_end = -1;
}

/* Reads until there is more to say than that more is wanted. */
static enum line_state next(struct fixture *f, const char **line, size_t *length)
{
	enum line_state state;

	while ((state = line_input_next(f->input, line, length)) == LINE_WANTED)
		line_input_read(f->input);
	return state;
}

static void expect_line(struct fixture *f, const char *text)
{
	const char *line;
	size_t length;

	assert_int_equal(next(f, &line, &length), LINE_READY);
	assert_int_equal(length, strlen(text));
	assert_memory_equal(line, text, length);
}

static void expect(struct fixture *f, enum line_state wanted)
{
	const char *line;
	size_t length;

	assert_int_equal(next(f, &line, &length), wanted);
}

static void lines(void **state)
{
	struct fixture *f = *state;

	put(f, "one\n\nthree\n", 11);
	expect_line(f, "one");
	expect_line(f, "");
	expect_line(f, "three");
	end(f);
	expect(f, LINE_END);
	expect(f, LINE_END);
}

static void the_last_line_needs_no_end(void **state)
{
	struct fixture *f = *state;

	put(f, "one\ntwo", 7);
	end(f);
	expect_line(f, "one");
	expect_line(f, "two");
	expect(f, LINE_END);
}

static void a_line_that_comes_piece_by_piece(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	for (const char *piece = "abc"; *piece; piece++) {
		put(f, piece, 1);
		line_input_read(f->input);
		assert_int_equal(line_input_next(f->input, &line, &length), LINE_WANTED);
	}
	put(f, "\nd", 2);
	expect_line(f, "abc");
	end(f);
	expect_line(f, "d");
}

static void a_nul_is_a_byte_like_others(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	put(f, "a\0b\n", 4);
	assert_int_equal(next(f, &line, &length), LINE_READY);
	assert_int_equal(length, 3);
	assert_memory_equal(line, "a\0b", 3);
}

/* Written beside the reading, which a pipe has no room for at once. */
static void put_long(struct fixture *f, size_t size)
{
	char *text = malloc(size);

	memset(text, 'x', size);
	put(f, text, size);
	free(text);
}

static void the_longest(void **state)
{
	struct fixture *f = *state;
	const char *line;
	size_t length;

	put_long(f, LINE_INPUT_MAX);
	put(f, "\nnext\n", 6);
	assert_int_equal(next(f, &line, &length), LINE_READY);
	assert_int_equal(length, LINE_INPUT_MAX);
	expect_line(f, "next");
}

/* Told once, however much longer; the next one is good. */
static void too_long(void **state)
{
	static const size_t beyond[] = {1, 2, 65535, 65536, 65537, 500000};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(beyond) / sizeof(beyond[0]); i++) {
		put_long(f, LINE_INPUT_MAX + beyond[i]);
		put(f, "\nnext\n", 6);
		expect(f, LINE_TOO_LONG);
		expect_line(f, "next");
	}
}

static void too_long_and_without_an_end(void **state)
{
	struct fixture *f = *state;

	put_long(f, LINE_INPUT_MAX + 70000);
	end(f);
	expect(f, LINE_TOO_LONG);
	expect(f, LINE_END);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_last_line_needs_no_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_line_that_comes_piece_by_piece, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_nul_is_a_byte_like_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_longest, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(too_long_and_without_an_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

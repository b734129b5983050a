/* The operational log, written into pipes. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

struct fixture {
	int fds[2];
	struct log *log;
	char text[1 << 18]; /* what was read */
	size_t size;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? pipe(f->fds) : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->fds[0]);
	close(f->fds[1]);
	free(f);
	return 0;
}

/* What is in the pipe now; *text is ended by NUL. */
static void take(struct fixture *f)
{
	ssize_t got;

	fcntl(f->fds[0], F_SETFL, O_NONBLOCK);
	while ((got = read(f->fds[0], f->text + f->size, sizeof(f->text) - 1 - f->size)) > 0)
		f->size += (size_t)got;
	f->text[f->size] = '\0';
}

static void create(struct fixture *f, enum log_level level, enum log_format format)
{
	assert_int_equal(log_create(&f->log, f->fds[1], level, format), 0);
}

/* Behind the time. */
static void assert_line(struct fixture *f, const char *line)
{
	take(f);
	assert_true(f->size > CLOCK_TEXT_MAX);
	assert_string_equal(f->text + CLOCK_TEXT_MAX, line);
}

static void a_line_has_time_level_and_message(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_warning(f->log, "%s: %d", "number", 7);
	assert_line(f, "warning: number: 7\n");
	log_destroy(f->log, 0);
}

static void lower_levels_are_left_out(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	log_notice(f->log, "nothing");
	log_error(f->log, "something");
	assert_line(f, "error: something\n");
	log_destroy(f->log, 0);
}

static void a_line_stays_one_line(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info(f->log, "a\nb\x1b[31m\x7f \xff 你");
	assert_line(f, "info: a\\x0ab\\x1b[31m\\x7f \\xff 你\n");
	log_destroy(f->log, 0);
}

static void what_moves_text_about_is_written_out(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info(f->log, "\xc2\x9b|\u202e|\u2028");
	assert_line(f, "info: \\xc2\\x9b|\\xe2\\x80\\xae|\\xe2\\x80\\xa8\n");
	log_destroy(f->log, 0);
}

static void a_long_line_is_cut_and_says_so(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_info(f->log, "%*s", 5000, "x");
	take(f);
	assert_in_range(f->size, LOG_LINE_MAX - 10, LOG_LINE_MAX + 50);
	assert_string_equal(f->text + f->size - strlen("…\n"), "…\n");
	log_destroy(f->log, 0);
}

static void json_has_the_same_fields(void **state)
{
	struct fixture *f = *state;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_JSON);
	log_error(f->log, "say \"hi\" \\ \t");
	take(f);
	assert_memory_equal(f->text, "{\"time\":\"", 9);
	assert_string_equal(strstr(f->text, "Z\","),
			    "Z\",\"level\":\"error\",\"message\":\"say \\\"hi\\\" \\\\ \\\\x09\"}\n");
	log_destroy(f->log, 0);
}

static void the_journal_gets_priorities(void **state)
{
	struct fixture *f = *state;
	struct stat status;
	char stream[64];

	assert_int_equal(fstat(f->fds[1], &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	create(f, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	unsetenv("JOURNAL_STREAM");
	log_error(f->log, "e");
	log_warning(f->log, "w");
	log_notice(f->log, "n");
	log_info(f->log, "i");
	log_debug(f->log, "d");
	take(f);
	assert_string_equal(f->text, "<3>e\n<4>w\n<5>n\n<6>i\n<7>d\n");
	log_destroy(f->log, 0);
}

static void another_stream_than_the_journal_gets_none(void **state)
{
	struct fixture *f = *state;

	setenv("JOURNAL_STREAM", "1:1", 1);
	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	unsetenv("JOURNAL_STREAM");
	log_info(f->log, "i");
	assert_line(f, "info: i\n");
	log_destroy(f->log, 0);
}

static void repeated_lines_are_held_back(void **state)
{
	struct fixture *f = *state;
	struct log_limit limit = {0};

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (int i = 0; i < LOG_LIMIT_BURST + 3; i++)
		log_write_limited(f->log, &limit, LOG_LEVEL_ERROR, "again");
	take(f);
	assert_int_equal(f->size, LOG_LIMIT_BURST * (CLOCK_TEXT_MAX + strlen("error: again\n")));

	f->size = 0;
	limit.period_start_ms -= LOG_LIMIT_SECONDS * 1000; /* the period is over */
	log_write_limited(f->log, &limit, LOG_LEVEL_ERROR, "again");
	assert_line(f, "error: again (3 more like this were held back)\n");
	log_destroy(f->log, 0);
}

static void the_thread_writes_everything_before_the_end(void **state)
{
	struct fixture *f = *state;
	unsigned lines = 0;

	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 100; i++)
		log_info(f->log, "line %d", i);
	log_destroy(f->log, 5000);
	take(f);
	for (const char *at = f->text; (at = strstr(at, "info: line ")); at++)
		lines++;
	assert_int_equal(lines, 100);
}

/* Whole lines, and those that the log says are lost. */
static void count(const char *text, unsigned *written, unsigned *lost)
{
	*written = *lost = 0;
	for (const char *newline; (newline = strchr(text, '\n')); text = newline + 1) {
		unsigned n;

		if (sscanf(text, "%*s warning: %u lines of this log were lost", &n) == 1)
			*lost += n;
		else
			++*written;
	}
}

static void nobody_waits_for_a_pipe_that_nobody_reads(void **state)
{
	struct fixture *f = *state;
	unsigned written = 0, lost = 0;

	fcntl(f->fds[1], F_SETPIPE_SZ, 4096);
	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 5000; i++)
		log_info(f->log, "line %d", i);
	/* Now somebody reads. */
	for (uint64_t end = clock_monotonic_ms() + 5000; written + lost < 5000 && clock_monotonic_ms() < end;) {
		take(f);
		count(f->text, &written, &lost);
	}
	assert_true(lost > 1);
	assert_int_equal(written + lost, 5000);
	log_destroy(f->log, 5000);
}

static void an_end_with_a_stuck_thread_does_not_wait_long(void **state)
{
	struct fixture *f = *state;
	uint64_t before = clock_monotonic_ms();

	fcntl(f->fds[1], F_SETPIPE_SZ, 4096);
	create(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 1000; i++)
		log_info(f->log, "line %d", i);
	log_destroy(f->log, 20);
	assert_in_range(clock_monotonic_ms() - before, 20, 5000);
	for (uint64_t end = clock_monotonic_ms() + 5000; !strstr(f->text, "line 999\n") && clock_monotonic_ms() < end;)
		take(f);
	assert_non_null(strstr(f->text, "line 999\n"));
	log_destroy(f->log, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_has_time_level_and_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(lower_levels_are_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_line_stays_one_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_moves_text_about_is_written_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_long_line_is_cut_and_says_so, set_up, tear_down),
		cmocka_unit_test_setup_teardown(json_has_the_same_fields, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_journal_gets_priorities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(another_stream_than_the_journal_gets_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(repeated_lines_are_held_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(the_thread_writes_everything_before_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(nobody_waits_for_a_pipe_that_nobody_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(an_end_with_a_stuck_thread_does_not_wait_long, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The logs of these tests write to pipes. */
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
	char text[1 << 18]; /* everything that was read from the pipe */
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

/* Reads what the pipe contains and terminates it by NUL. */
static void read_pipe(struct fixture *f)
{
	ssize_t size;

	fcntl(f->fds[0], F_SETFL, O_NONBLOCK);
	while ((size = read(f->fds[0], f->text + f->size, sizeof(f->text) - 1 - f->size)) > 0)
		f->size += (size_t)size;
	f->text[f->size] = '\0';
}

static void create_log(struct fixture *f, enum log_level level, enum log_format format)
{
	assert_int_equal(log_create(&f->log, f->fds[1], level, format), 0);
}

/* Compares the line after its time. */
static void assert_line(struct fixture *f, const char *line)
{
	read_pipe(f);
	assert_true(f->size > CLOCK_TEXT_MAX);
	assert_string_equal(f->text + CLOCK_TEXT_MAX, line);
}

static void test_line_has_time_level_and_message(void **state)
{
	struct fixture *f = *state;

	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	log_warning(f->log, "%s: %d", "number", 7);
	assert_line(f, "warning: number: 7\n");
	log_destroy(f->log, 0);
}

static void test_lower_levels_are_dropped(void **state)
{
	struct fixture *f = *state;

	create_log(f, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	log_notice(f->log, "nothing");
	log_error(f->log, "something");
	assert_line(f, "error: something\n");
	log_destroy(f->log, 0);
}

static void test_configure_applies_to_later_lines(void **state)
{
	struct fixture *f = *state;

	create_log(f, LOG_LEVEL_WARNING, LOG_FORMAT_TEXT);
	assert_true(log_is_enabled(f->log, LOG_LEVEL_WARNING));
	assert_false(log_is_enabled(f->log, LOG_LEVEL_NOTICE));
	log_configure(f->log, LOG_LEVEL_NOTICE, LOG_FORMAT_JSON);
	assert_true(log_is_enabled(f->log, LOG_LEVEL_NOTICE));
	assert_false(log_is_enabled(f->log, LOG_LEVEL_INFO));
	log_notice(f->log, "later");
	read_pipe(f);
	assert_string_equal(strstr(f->text, "\"level\""), "\"level\":\"notice\",\"message\":\"later\"}\n");
	log_destroy(f->log, 0);
}

/* The log cannot write while another writer has the output. The destruction then gives up. */
static void test_begin_output_excludes_the_log(void **state)
{
	struct fixture *f = *state;

	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	log_begin_output(f->log);
	log_info(f->log, "line");
	log_destroy(f->log, 20);
	read_pipe(f);
	assert_int_equal(f->size, 0);
	log_end_output(f->log);
	log_destroy(f->log, 5000);
	assert_line(f, "info: line\n");
}

static void test_journal_lines_have_priorities(void **state)
{
	struct fixture *f = *state;
	struct stat status;
	char stream[64];

	assert_int_equal(fstat(f->fds[1], &status), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)status.st_dev,
		 (unsigned long long)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	create_log(f, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT);
	unsetenv("JOURNAL_STREAM");
	log_error(f->log, "e");
	log_warning(f->log, "w");
	log_notice(f->log, "n");
	log_info(f->log, "i");
	log_debug(f->log, "d");
	read_pipe(f);
	assert_string_equal(f->text, "<3>e\n<4>w\n<5>n\n<6>i\n<7>d\n");
	log_destroy(f->log, 0);
}

static void test_other_streams_have_no_priorities(void **state)
{
	struct fixture *f = *state;

	setenv("JOURNAL_STREAM", "1:1", 1);
	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	unsetenv("JOURNAL_STREAM");
	log_info(f->log, "i");
	assert_line(f, "info: i\n");
	log_destroy(f->log, 0);
}

static void test_repeated_lines_are_held_back(void **state)
{
	struct fixture *f = *state;
	struct log_limit limit = {0};

	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	for (int i = 0; i < LOG_LIMIT_BURST + 3; i++)
		log_write_limited(f->log, &limit, LOG_LEVEL_ERROR, "again");
	read_pipe(f);
	assert_int_equal(f->size, LOG_LIMIT_BURST * (CLOCK_TEXT_MAX + strlen("error: again\n")));

	f->size = 0;
	limit.period_start_ms -= LOG_LIMIT_SECONDS * 1000; /* the period is over */
	log_write_limited(f->log, &limit, LOG_LEVEL_ERROR, "again");
	assert_line(f, "error: again (3 similar messages were suppressed)\n");
	log_destroy(f->log, 0);
}

static void test_events_are_counted_between_lines(void **state)
{
	struct log_counter counter = {0};
	uint64_t seconds = 7, period_ms = LOG_LIMIT_SECONDS * 1000;

	(void)state;
	assert_int_equal(log_counter_add(&counter, 0, 1000, &seconds), 0);
	assert_int_equal(log_counter_add(&counter, 3, 1000, &seconds), 3);
	assert_int_equal(seconds, 0);
	assert_int_equal(log_counter_add(&counter, 2, 1001, &seconds), 0);
	assert_int_equal(log_counter_add(&counter, 1, 999 + period_ms, &seconds), 0);
	assert_int_equal(log_counter_add(&counter, 4, 1000 + period_ms, &seconds), 7);
	assert_int_equal(seconds, LOG_LIMIT_SECONDS);
	assert_int_equal(log_counter_add(&counter, 0, 1000 + 9 * period_ms, &seconds), 0);
	assert_int_equal(log_counter_add(&counter, 1, 1000 + 9 * period_ms, &seconds), 1);
}

static void test_destroy_writes_buffered_lines(void **state)
{
	struct fixture *f = *state;
	unsigned lines = 0;

	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 100; i++)
		log_info(f->log, "line %d", i);
	log_destroy(f->log, 5000);
	read_pipe(f);
	for (const char *line = f->text; (line = strstr(line, "info: line ")); line++)
		lines++;
	assert_int_equal(lines, 100);
}

/* Counts the complete lines, and the lines that the log reports as lost. */
static void count_lines(const char *text, unsigned *written, unsigned *lost)
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

static void test_full_pipe_does_not_block_callers(void **state)
{
	struct fixture *f = *state;
	unsigned written = 0, lost = 0;

	fcntl(f->fds[1], F_SETPIPE_SZ, 4096);
	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 5000; i++)
		log_info(f->log, "line %d", i);
	for (uint64_t end = clock_monotonic_ms() + 5000; written + lost < 5000 && clock_monotonic_ms() < end;) {
		read_pipe(f);
		count_lines(f->text, &written, &lost);
	}
	assert_true(lost > 1);
	assert_int_equal(written + lost, 5000);
	log_destroy(f->log, 5000);
}

static void test_destroy_gives_up_on_blocked_thread(void **state)
{
	struct fixture *f = *state;
	uint64_t before = clock_monotonic_ms();

	fcntl(f->fds[1], F_SETPIPE_SZ, 4096);
	create_log(f, LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	assert_int_equal(log_start(f->log), 0);
	for (int i = 0; i < 1000; i++)
		log_info(f->log, "line %d", i);
	log_destroy(f->log, 20);
	assert_in_range(clock_monotonic_ms() - before, 20, 5000);
	for (uint64_t end = clock_monotonic_ms() + 5000; !strstr(f->text, "line 999\n") && clock_monotonic_ms() < end;)
		read_pipe(f);
	assert_non_null(strstr(f->text, "line 999\n"));
	log_destroy(f->log, 5000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_line_has_time_level_and_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lower_levels_are_dropped, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_configure_applies_to_later_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_begin_output_excludes_the_log, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_journal_lines_have_priorities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_streams_have_no_priorities, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_repeated_lines_are_held_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_events_are_counted_between_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_destroy_writes_buffered_lines, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full_pipe_does_not_block_callers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_destroy_gives_up_on_blocked_thread, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

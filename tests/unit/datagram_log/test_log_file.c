/* Files, pipes and standard streams as outputs of the datagram log. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "datagram_log/log_file.h"

struct fixture {
	char directory[32], path[64], moved[64];
	struct log_file file;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->directory, "/tmp/log_file.XXXXXX");
	*state = f;
	if (!mkdtemp(f->directory))
		return -1;
	sprintf(f->path, "%s/log", f->directory);
	sprintf(f->moved, "%s/log.1", f->directory);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	unlink(f->moved);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void assert_holds(const char *path, const char *text)
{
	char got[256] = "";
	FILE *file = fopen(path, "r");

	assert_non_null(file);
	assert_int_equal(fread(got, 1, sizeof(got), file), strlen(text));
	fclose(file);
	assert_string_equal(got, text);
}

static void test_a_file_is_appended_to(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->path), 0);
		assert_true(f->file.regular && !f->file.shared);
		assert_int_equal(log_file_write(&f->file, "line\n", 5, 0), 5);
		log_file_close(&f->file);
	}
	assert_holds(f->path, "line\nline\n");
}

static void test_reopen_creates_a_moved_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->path), 0);
	log_file_write(&f->file, "old\n", 4, 0);
	assert_int_equal(log_file_reopen(&f->file), 0); /* the same file */
	assert_int_equal(rename(f->path, f->moved), 0);
	assert_int_equal(log_file_reopen(&f->file), 1);
	log_file_write(&f->file, "new\n", 4, 0);
	log_file_close(&f->file);
	assert_holds(f->moved, "old\n");
	assert_holds(f->path, "new\n");
}

static void test_a_failed_reopen_keeps_the_old_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->path), 0);
	assert_int_equal(rename(f->path, f->moved), 0);
	assert_int_equal(mkdir(f->path, 0700), 0);
	assert_int_equal(log_file_reopen(&f->file), -EISDIR);
	assert_int_equal(log_file_write(&f->file, "on\n", 3, 0), 3);
	log_file_close(&f->file);
	rmdir(f->path);
	assert_holds(f->moved, "on\n");
}

static void test_open_reports_errors(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->directory), -EISDIR);
	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, "/nowhere/log"), -ENOENT);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->path), -ENXIO);
}

static void test_a_full_disk_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, "/dev/full"), 0);
	assert_int_equal(log_file_write(&f->file, "x", 1, 0), -ENOSPC);
	log_file_close(&f->file);
}

static void test_write_to_a_full_pipe_times_out(void **state)
{
	struct fixture *f = *state;
	char bytes[8192] = {0};
	ssize_t written, sum = 0;
	int reader;

	assert_int_equal(mkfifo(f->path, 0600), 0);
	reader = open(f->path, O_RDONLY | O_NONBLOCK);
	assert_int_equal(log_file_open(&f->file, LOG_TARGET_FILE, f->path), 0);
	assert_false(f->file.regular);
	while ((written = log_file_write(&f->file, bytes, sizeof(bytes), 1)) > 0)
		sum += written;
	assert_int_equal(written, -EAGAIN);
	assert_true(sum >= 4096);
	close(reader);
	assert_int_equal(log_file_write(&f->file, "x", 1, 1), -EPIPE);
	log_file_close(&f->file);
}

static void test_standard_streams_have_names(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(log_file_open(&f->file, LOG_TARGET_STDERR, NULL), 0);
	assert_string_equal(f->file.name, "stderr");
	assert_true(f->file.shared);
	log_file_close(&f->file);
	assert_int_equal(log_file_open(&f->file, LOG_TARGET_STDOUT, NULL), 0);
	assert_string_equal(f->file.name, "stdout");
	assert_int_equal(log_file_reopen(&f->file), 0);
	log_file_close(&f->file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_file_is_appended_to, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reopen_creates_a_moved_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_failed_reopen_keeps_the_old_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_open_reports_errors, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_full_disk_is_an_error, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_write_to_a_full_pipe_times_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_standard_streams_have_names, set_up, tear_down),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

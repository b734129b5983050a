/* Reading of the configuration at a reload: errors in the log, and warnings for keys that need a restart. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config_reload.h"
#include "tests/unit/support/captured_log.h"

struct fixture {
	struct captured_log log;
	char path[40];
	struct config active, next;
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.path = "/tmp/config_reload.XXXXXX"};
	close(mkstemp(f.path));
	captured_log_open(&f.log, LOG_LEVEL_INFO);
	f.active = f.next = (struct config){.path = (char *)"t.ini",
					    .workers = 2,
					    .http = {.text = (char *)"127.0.0.1:80"},
					    .user = {.name = (char *)"someone", .gid = 5}};
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	captured_log_close(&f->log);
	unlink(f->path);
	return 0;
}

static struct config *read_file(struct fixture *f, const char *text)
{
	FILE *file = fopen(f->path, "w");

	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
	return config_reload_read(f->path, f->log.log);
}

static unsigned count_lines(struct fixture *f)
{
	unsigned lines = 0;

	for (const char *at = captured_log_text(&f->log); (at = strchr(at, '\n')); at++)
		lines++;
	return lines;
}

static void valid_file_is_read_without_a_log_line(void **state)
{
	struct fixture *f = *state;
	struct config *config = read_file(f, "[listener:e]\naddress = 127.0.0.1:7\naction = sink\n");

	assert_non_null(config);
	assert_int_equal(config->listener_count, 1);
	assert_string_equal(captured_log_text(&f->log), "");
	config_destroy(config);
}

static void each_error_has_a_log_line(void **state)
{
	struct fixture *f = *state;
	char expected[80];

	assert_null(read_file(f, "[listener:e]\naddress = wrong\naction = juggle\n"));
	snprintf(expected, sizeof(expected), " error: %s:2: [listener:e] address: ", f->path);
	assert_logged(&f->log, expected);
	snprintf(expected, sizeof(expected), " error: %s:3: [listener:e] action: ", f->path);
	assert_logged(&f->log, expected);
	assert_int_equal(count_lines(f), 2);
}

static void missing_file_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_null(config_reload_read("/nonexistent/t.ini", f->log.log));
	assert_logged(&f->log, " error: /nonexistent/t.ini: ");
}

static char *copy_of(const char *text)
{
	return text ? strdup(text) : NULL;
}

static void assert_same_text(const char *a, const char *b)
{
	assert_int_equal(!a, !b);
	if (a)
		assert_string_equal(a, b);
}

/* Afterwards the next configuration has the values of the active one. */
static void check_keys(struct fixture *f)
{
	struct config next = f->next;

	next.http.text = copy_of(next.http.text);
	next.user.name = copy_of(next.user.name);
	config_reload_keep_fixed_keys(&f->active, &next, 4, f->log.log);
	assert_int_equal(next.workers, f->active.workers);
	assert_same_text(next.http.text, f->active.http.text);
	assert_same_text(next.user.name, f->active.user.name);
	assert_int_equal(next.user.gid, f->active.user.gid);
	free(next.http.text);
	free(next.user.name);
}

static void each_warning_has_a_log_line(void **state)
{
	struct fixture *f = *state;

	f->next.warnings = (char *)"t.ini:1: one\nt.ini:2: two\n";
	config_reload_log_warnings(&f->next, f->log.log);
	assert_logged(&f->log, "warning: t.ini:1: one\n");
	assert_logged(&f->log, "warning: t.ini:2: two\n");
	assert_int_equal(count_lines(f), 2);
}

static void unchanged_keys_log_nothing(void **state)
{
	struct fixture *f = *state;
	char address[] = "127.0.0.1:80", name[] = "someone";

	f->next.http.text = address;
	f->next.user.name = name;
	check_keys(f);
	f->active.http.text = f->next.http.text = NULL;
	f->active.user.name = f->next.user.name = NULL;
	check_keys(f);
	assert_string_equal(captured_log_text(&f->log), "");
}

static void changed_worker_count_is_logged(void **state)
{
	struct fixture *f = *state;

	f->next.workers = 3;
	check_keys(f);
	assert_logged(&f->log, "warning: t.ini: [udprelayd] workers: a reload cannot change it: 4 ");
	assert_int_equal(count_lines(f), 1);
}

static void changed_http_address_is_logged(void **state)
{
	struct fixture *f = *state;

	f->next.http.text = (char *)"127.0.0.1:81";
	check_keys(f);
	assert_logged(&f->log, "warning: t.ini: [http] listen: ");
	f->next.http.text = NULL;
	check_keys(f);
	f->next.http.text = f->active.http.text;
	f->active.http.text = NULL;
	check_keys(f);
	assert_int_equal(count_lines(f), 3);
}

static void changed_user_or_group_is_logged(void **state)
{
	struct fixture *f = *state;

	f->next.user.name = (char *)"other";
	check_keys(f);
	assert_logged(&f->log, "warning: t.ini: [udprelayd] user, group: ");
	f->next.user.name = f->active.user.name;
	f->next.user.gid = 6;
	check_keys(f);
	assert_int_equal(count_lines(f), 2);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(valid_file_is_read_without_a_log_line),
		test(each_error_has_a_log_line),
		test(missing_file_is_an_error),
		test(each_warning_has_a_log_line),
		test(unchanged_keys_log_nothing),
		test(changed_worker_count_is_logged),
		test(changed_http_address_is_logged),
		test(changed_user_or_group_is_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

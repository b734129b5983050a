/* The listening socket of HTTP: bind, errors, and the file of an AF_UNIX socket. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/http_socket.h"
#include "tests/unit/support/captured_log.h"

struct fixture {
	struct config config;
	struct captured_log log;
	struct http_socket socket;
	char directory[40], path[64], address[80];
};

/* --- unlink(2) that can fail --- */

static int unlink_error;

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);

int __wrap_unlink(const char *path)
{
	if (!unlink_error)
		return __real_unlink(path);
	errno = unlink_error;
	return -1;
}

/* --- Fixture --- */

static void set_address(struct fixture *f, const char *text)
{
	snprintf(f->address, sizeof(f->address), "%s", text);
	f->config.http.text = f->address;
	f->config.http.line = 3;
	assert_int_equal(address_parse(&f->config.http.address, text), 0);
}

static void set_path(struct fixture *f, const char *name)
{
	char text[80];

	snprintf(f->path, sizeof(f->path), "%s/%s", f->directory, name);
	snprintf(text, sizeof(text), "unix:%s", f->path);
	set_address(f, text);
}

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.config = {.path = (char *)"t.ini"}, .directory = "/tmp/http_socket.XXXXXX"};
	assert_non_null(mkdtemp(f.directory));
	captured_log_open(&f.log, LOG_LEVEL_INFO);
	unlink_error = 0;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink_error = 0;
	http_socket_close(&f->socket, f->log.log);
	captured_log_close(&f->log);
	unlink(f->path);
	rmdir(f->directory);
	return 0;
}

static int open_socket(struct fixture *f)
{
	return http_socket_open(&f->socket, &f->config, f->log.log);
}

static bool accepts_connections(const struct address *address)
{
	int fd = socket(address->any.sa_family, SOCK_STREAM, 0);
	bool connected = !connect(fd, &address->any, address->length);

	close(fd);
	return connected;
}

static bool file_exists(const char *path)
{
	struct stat status;

	return !lstat(path, &status);
}

/* --- Tests --- */

static void nothing_is_opened_without_an_address(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_socket(f), 0);
	assert_int_equal(f->socket.fd, -1);
	assert_string_equal(captured_log_text(&f->log), "");
}

static void chosen_port_is_logged(void **state)
{
	struct fixture *f = *state;
	char expected[80];

	set_address(f, "127.0.0.1:0");
	assert_int_equal(open_socket(f), 0);
	assert_true(address_port(&f->socket.local) != 0);
	assert_true(accepts_connections(&f->socket.local));
	snprintf(expected, sizeof(expected), "notice: http: listening on 127.0.0.1:%u\n",
		 address_port(&f->socket.local));
	assert_logged(&f->log, expected);
}

static void busy_port_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct http_socket second;
	char text[ADDRESS_TEXT_MAX], expected[ADDRESS_TEXT_MAX + 64];

	set_address(f, "127.0.0.1:0");
	assert_int_equal(open_socket(f), 0);
	set_address(f, address_format(&f->socket.local, text));
	assert_int_equal(http_socket_open(&second, &f->config, f->log.log), -EADDRINUSE);
	assert_int_equal(second.fd, -1);
	snprintf(expected, sizeof(expected), "error: t.ini:3: [http] listen: %s: another program uses it", text);
	assert_logged(&f->log, expected);
	assert_logged(&f->log, "(bind: Address already in use)\n");
}

static void missing_directory_is_an_error(void **state)
{
	struct fixture *f = *state;

	set_path(f, "missing/socket");
	assert_int_equal(open_socket(f), -ENOENT);
	assert_int_equal(f->socket.fd, -1);
	assert_logged(&f->log, "error: t.ini:3: [http] listen: unix:");
}

static void close_ends_the_socket_and_removes_its_file(void **state)
{
	struct fixture *f = *state;
	struct address local;

	set_path(f, "socket");
	assert_int_equal(open_socket(f), 0);
	local = f->socket.local;
	assert_true(accepts_connections(&local));
	http_socket_close(&f->socket, f->log.log);
	assert_false(accepts_connections(&local));
	assert_false(file_exists(f->path));
	assert_int_equal(f->socket.fd, -1);
	http_socket_close(&f->socket, f->log.log);
	assert_not_logged(&f->log, "warning");
}

static void file_is_removed_after_the_descriptor_moved(void **state)
{
	struct fixture *f = *state;
	int fd;

	set_path(f, "socket");
	assert_int_equal(open_socket(f), 0);
	fd = f->socket.fd;
	f->socket.fd = -1;
	http_socket_close(&f->socket, f->log.log);
	assert_false(file_exists(f->path));
	assert_int_equal(close(fd), 0);
}

static void file_of_another_program_stays(void **state)
{
	struct fixture *f = *state;
	struct http_socket other;
	char moved[80];

	set_path(f, "socket");
	assert_int_equal(open_socket(f), 0);
	/* The first file keeps its inode under another name. Otherwise the second file could get the same inode. */
	snprintf(moved, sizeof(moved), "%s.old", f->path);
	assert_int_equal(rename(f->path, moved), 0);
	assert_int_equal(http_socket_open(&other, &f->config, f->log.log), 0);
	http_socket_close(&f->socket, f->log.log);
	assert_true(file_exists(f->path));
	assert_not_logged(&f->log, "warning");
	http_socket_close(&other, f->log.log);
	assert_false(file_exists(f->path));
	unlink(moved);
}

static void file_that_stays_is_logged(void **state)
{
	struct fixture *f = *state;
	char expected[160];

	set_path(f, "socket");
	assert_int_equal(open_socket(f), 0);
	unlink_error = EACCES;
	http_socket_close(&f->socket, f->log.log);
	snprintf(expected, sizeof(expected), "warning: http: cannot remove unix:%s: Permission denied: ", f->path);
	assert_logged(&f->log, expected);
	unlink_error = 0;
	assert_int_equal(open_socket(f), 0);
	assert_int_equal(unlink(f->path), 0);
	http_socket_close(&f->socket, f->log.log);
	assert_not_logged(&f->log, "No such file");
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(nothing_is_opened_without_an_address),
		test(chosen_port_is_logged),
		test(busy_port_is_an_error),
		test(missing_directory_is_an_error),
		test(close_ends_the_socket_and_removes_its_file),
		test(file_is_removed_after_the_descriptor_moved),
		test(file_of_another_program_stays),
		test(file_that_stays_is_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Closing a listener's socket, and its duplicate in systemd's file descriptor store. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/inherited_sockets.h"
#include "net/listen_socket.h"
#include "tests/unit/support/loopback.h"

int __real_unlink(const char *path);
int __wrap_unlink(const char *path);
bool __wrap_systemd_store_add(const char *name, int fd);
void __wrap_systemd_store_remove(const char *name);

static char name[] = "a";
static const struct listener_config config = {.name = name, .receive_buffer = 65536, .send_buffer = 65536};

struct fixture {
	char directory[32], path[64];
	struct listen_socket socket;
};

/* Calls that the tests observe. */
static struct {
	int unlink_error;
	bool no_systemd;
	unsigned added, removed;
	int added_fd;
	char name[STORE_NAME_MAX];
} calls;

int __wrap_unlink(const char *path)
{
	if (!calls.unlink_error)
		return __real_unlink(path);
	errno = calls.unlink_error;
	return -1;
}

bool __wrap_systemd_store_add(const char *store_name, int fd)
{
	calls.added++;
	calls.added_fd = fd;
	strcpy(calls.name, store_name);
	return !calls.no_systemd;
}

void __wrap_systemd_store_remove(const char *store_name)
{
	calls.removed++;
	assert_string_equal(calls.name, store_name);
}

static int set_up(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	memset(&calls, 0, sizeof(calls));
	strcpy(f->directory, "/tmp/listen_socket.XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	sprintf(f->path, "%s/socket", f->directory);
	f->socket.config = &config;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->socket.fd);
	__real_unlink(f->path);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void bind_udp(struct fixture *f)
{
	f->socket.fd = bound(&f->socket.local);
	f->socket.configured_address = f->socket.local;
}

static void bind_path(struct fixture *f)
{
	char text[80];
	struct socket_error error;

	sprintf(text, "unix:%s", f->path);
	assert_int_equal(address_parse(&f->socket.local, text), 0);
	f->socket.fd = socket_bind(&config, &f->socket.local, true, false, &error);
	assert_true(f->socket.fd >= 0);
	f->socket.configured_address = f->socket.local;
	f->socket.file = socket_file_read(&f->socket.local);
	assert_true(f->socket.file.inode);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static void test_close_closes_the_descriptor_once(void **state)
{
	struct fixture *f = *state;
	int fd;

	bind_udp(f);
	fd = f->socket.fd;
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_false(is_open(fd));
	assert_int_equal(f->socket.fd, -1);
	assert_int_equal(listen_socket_close(&f->socket), 0);
}

static void test_close_keeps_a_shared_socket_open(void **state)
{
	struct fixture *f = *state;
	struct listen_socket previous = {0};

	bind_path(f);
	f->socket.shared_with = &previous;
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_true(is_open(f->socket.fd));
	assert_int_equal(access(f->path, F_OK), 0);
}

static void test_close_removes_the_socket_file(void **state)
{
	struct fixture *f = *state;

	bind_path(f);
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_close_keeps_the_file_of_an_inherited_socket(void **state)
{
	struct fixture *f = *state;

	bind_path(f);
	f->socket.inherited = true;
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), 0);
}

/* The old file exists under another name, so that the new one cannot get its inode. */
static void test_close_keeps_a_replaced_file(void **state)
{
	struct fixture *f = *state;
	char moved[80];
	FILE *file;

	bind_path(f);
	sprintf(moved, "%s.old", f->path);
	assert_int_equal(rename(f->path, moved), 0);
	assert_non_null(file = fopen(f->path, "w"));
	fclose(file);
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), 0);
	__real_unlink(moved);
}

static void test_close_returns_why_the_file_remains(void **state)
{
	struct fixture *f = *state;
	int fd;

	bind_path(f);
	fd = f->socket.fd;
	calls.unlink_error = EACCES;
	assert_int_equal(listen_socket_close(&f->socket), -EACCES);
	assert_false(is_open(fd));
}

static void test_store_gets_one_duplicate(void **state)
{
	struct fixture *f = *state;

	bind_udp(f);
	listen_socket_save_to_fdstore(&f->socket);
	listen_socket_save_to_fdstore(&f->socket);
	assert_int_equal(calls.added, 1);
	assert_int_equal(calls.added_fd, f->socket.fd);
	assert_true(f->socket.stored);
	listen_socket_remove_from_fdstore(&f->socket);
	listen_socket_remove_from_fdstore(&f->socket);
	assert_int_equal(calls.removed, 1);
	assert_false(f->socket.stored);
}

static void test_file_of_a_stored_socket_stays(void **state)
{
	struct fixture *f = *state;

	bind_path(f);
	listen_socket_save_to_fdstore(&f->socket);
	assert_int_equal(calls.added, 1);
	assert_true(f->socket.stored);
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), 0);
}

static void test_file_is_removed_if_the_socket_left_the_store(void **state)
{
	struct fixture *f = *state;

	bind_path(f);
	listen_socket_save_to_fdstore(&f->socket);
	listen_socket_remove_from_fdstore(&f->socket);
	assert_int_equal(calls.removed, 1);
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_file_is_removed_without_systemd(void **state)
{
	struct fixture *f = *state;

	calls.no_systemd = true;
	bind_path(f);
	listen_socket_save_to_fdstore(&f->socket);
	assert_false(f->socket.stored);
	assert_int_equal(listen_socket_close(&f->socket), 0);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void test_store_gets_no_inherited_or_any_port_socket(void **state)
{
	struct fixture *f = *state;

	bind_udp(f);
	f->socket.inherited = true;
	listen_socket_save_to_fdstore(&f->socket);
	f->socket.inherited = false;
	address_set_port(&f->socket.configured_address, 0);
	listen_socket_save_to_fdstore(&f->socket);
	assert_int_equal(calls.added, 0);
	assert_false(f->socket.stored);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_close_closes_the_descriptor_once),
		test(test_close_keeps_a_shared_socket_open),
		test(test_close_removes_the_socket_file),
		test(test_close_keeps_the_file_of_an_inherited_socket),
		test(test_close_keeps_a_replaced_file),
		test(test_close_returns_why_the_file_remains),
		test(test_store_gets_one_duplicate),
		test(test_file_of_a_stored_socket_stays),
		test(test_file_is_removed_if_the_socket_left_the_store),
		test(test_file_is_removed_without_systemd),
		test(test_store_gets_no_inherited_or_any_port_socket),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

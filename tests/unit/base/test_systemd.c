/* What the service manager would read from NOTIFY_SOCKET. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/systemd.h"

struct fixture {
	char directory[32], path[64];
	int fd;
};

static int set_up(void **state)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	strcpy(f->directory, "/tmp/systemd.XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	sprintf(f->path, "%s/notify", f->directory);
	strcpy(name.sun_path, f->path);
	f->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	setenv("NOTIFY_SOCKET", f->path, 1);
	return bind(f->fd, (struct sockaddr *)&name, sizeof(name));
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unsetenv("NOTIFY_SOCKET");
	close(f->fd);
	unlink(f->path);
	rmdir(f->directory);
	free(f);
	return 0;
}

static void assert_told(struct fixture *f, const char *expected)
{
	char text[256] = "";

	if (!systemd_built_in()) {
		assert_int_equal(recv(f->fd, text, sizeof(text) - 1, 0), -1);
		return;
	}
	assert_true(recv(f->fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, expected);
}

static void it_is_told_that_we_are_ready(void **state)
{
	systemd_notify_ready("listeners: 1");
	assert_told(*state, "READY=1\nSTATUS=listeners: 1");
}

static void it_is_told_that_we_end(void **state)
{
	systemd_notify_stopping();
	assert_told(*state, "STOPPING=1\nSTATUS=ending");
}

/* The descriptor that came with the last message, or -1. */
static int receive_with_fd(int fd, char *text, size_t size)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {.iov_base = text, .iov_len = size - 1};
	struct msghdr message = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	ssize_t length = recvmsg(fd, &message, 0);
	const struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	int passed = -1;

	text[length > 0 ? length : 0] = '\0';
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&passed, CMSG_DATA(header), sizeof(passed));
	return passed;
}

static void a_socket_is_stored_and_removed(void **state)
{
	struct fixture *f = *state;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), copy;
	struct stat first, second;
	char text[256];

	systemd_store_add("stored 0", fd);
	copy = receive_with_fd(f->fd, text, sizeof(text));
	if (systemd_built_in()) {
		assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=stored 0");
		assert_int_equal(fstat(fd, &first) | fstat(copy, &second), 0);
		assert_int_equal(first.st_ino, second.st_ino);
		close(copy);
	} else {
		assert_int_equal(copy, -1);
	}
	close(fd);
	systemd_store_remove("stored 0");
	assert_told(f, "FDSTOREREMOVE=1\nFDNAME=stored 0");
}

static void without_systemd_nothing_is_passed(void **state)
{
	char **names;
	int first;

	(void)state;
	assert_int_equal(systemd_listen_fds(&first, &names), 0);
	assert_null(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_told_that_we_are_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_told_that_we_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(a_socket_is_stored_and_removed, set_up, tear_down),
		cmocka_unit_test(without_systemd_nothing_is_passed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

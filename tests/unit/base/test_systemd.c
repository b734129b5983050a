/* The test reads the messages for systemd from its socket, whose address is in NOTIFY_SOCKET. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
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

static void assert_message(struct fixture *f, const char *expected)
{
	char text[256] = "";

	if (!systemd_is_built_in()) {
		assert_int_equal(recv(f->fd, text, sizeof(text) - 1, 0), -1);
		return;
	}
	assert_true(recv(f->fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, expected);
}

static void test_ready(void **state)
{
	systemd_notify_ready("listeners: 1");
	assert_message(*state, "READY=1\nSTATUS=listeners: 1");
}

static void test_stopping(void **state)
{
	systemd_notify_stopping();
	assert_message(*state, "STOPPING=1\nSTATUS=ending");
}

/* Receives a message and returns its descriptor, or -1. */
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

static void test_socket_is_stored_and_removed(void **state)
{
	struct fixture *f = *state;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), copy;
	struct stat first, second;
	char text[256];

	assert_int_equal(systemd_store_add("stored 0", fd), systemd_is_built_in());
	copy = receive_with_fd(f->fd, text, sizeof(text));
	if (systemd_is_built_in()) {
		assert_string_equal(text, "FDSTORE=1\nFDPOLL=0\nFDNAME=stored 0");
		assert_int_equal(fstat(fd, &first) | fstat(copy, &second), 0);
		assert_int_equal(first.st_ino, second.st_ino);
		close(copy);
	} else {
		assert_int_equal(copy, -1);
	}
	unsetenv("NOTIFY_SOCKET");
	assert_false(systemd_store_add("stored 0", fd));
	setenv("NOTIFY_SOCKET", f->path, 1);
	close(fd);
	systemd_store_remove("stored 0");
	assert_message(f, "FDSTOREREMOVE=1\nFDNAME=stored 0");
}

static void test_reloading_has_the_time(void **state)
{
	struct fixture *f = *state;
	char text[256] = "";
	uint64_t before_us = clock_monotonic_us(), sent_us = 0;

	systemd_notify_reloading();
	recv(f->fd, text, sizeof(text) - 1, 0);
	if (!systemd_is_built_in()) {
		assert_string_equal(text, "");
		return;
	}
	assert_int_equal(sscanf(text, "RELOADING=1\nMONOTONIC_USEC=%" SCNu64 "\n", &sent_us), 1);
	assert_in_range(sent_us, before_us, clock_monotonic_us());
	assert_non_null(strstr(text, "\nSTATUS=loading the configuration"));
}

static void test_watchdog(void **state)
{
	unsetenv("WATCHDOG_PID");
	unsetenv("WATCHDOG_USEC");
	assert_int_equal(systemd_watchdog_ms(), 0);
	setenv("WATCHDOG_USEC", "2500000", 1);
	assert_int_equal(systemd_watchdog_ms(), systemd_is_built_in() ? 2500 : 0);
	unsetenv("WATCHDOG_USEC");
	systemd_notify_watchdog();
	assert_message(*state, "WATCHDOG=1");
}

/* Runs in a child, because systemd passes fixed descriptor numbers. Returns 0, or the number of the failed check. */
static int check_passed_descriptors(void)
{
	char **names, pid[16];
	int first, fds[2];

	if (pipe(fds) || dup2(fds[0], 3) != 3 || dup2(fds[1], 4) != 4)
		return 1;
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "2", 1);
	setenv("LISTEN_FDNAMES", "one:two", 1);
	systemd_claim_fds();
	if (systemd_listen_fds(&first, &names) != 2 || first != 3)
		return 2;
	if (strcmp(names[0], "one") || strcmp(names[1], "two") || names[2])
		return 3;
	if (!(fcntl(3, F_GETFD) & FD_CLOEXEC) || !(fcntl(4, F_GETFD) & FD_CLOEXEC))
		return 4;
	free(names[0]);
	free(names[1]);
	free(names);
	return systemd_listen_fds(&first, &names) || names ? 5 : 0;
}

/* Opens something after the claim, as the program does. */
static int check_missing_descriptors(void)
{
	char **names, pid[16];
	int first, fd;

	close(3);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	setenv("LISTEN_PID", pid, 1);
	setenv("LISTEN_FDS", "1", 1);
	systemd_claim_fds();
	fd = dup2(0, 3);
	if (fd != 3 || systemd_listen_fds(&first, &names) != -EBADF || names)
		return 1;
	return systemd_listen_fds(&first, &names) || names ? 2 : 0;
}

static void run_in_child(int (*check)(void))
{
	int status;
	pid_t child;

	if (!systemd_is_built_in())
		return;
	child = fork();
	if (!child)
		_exit(check());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_passed_descriptors_have_names(void **state)
{
	(void)state;
	run_in_child(check_passed_descriptors);
}

static void test_missing_descriptors_are_not_used(void **state)
{
	(void)state;
	run_in_child(check_missing_descriptors);
}

static void test_no_descriptors_without_systemd(void **state)
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
		cmocka_unit_test_setup_teardown(test_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stopping, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_socket_is_stored_and_removed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_reloading_has_the_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_watchdog, set_up, tear_down),
		cmocka_unit_test(test_passed_descriptors_have_names),
		cmocka_unit_test(test_missing_descriptors_are_not_used),
		cmocka_unit_test(test_no_descriptors_without_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

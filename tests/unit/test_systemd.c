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
#include <sys/un.h>
#include <unistd.h>

#include "systemd.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(it_is_told_that_we_are_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(it_is_told_that_we_end, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

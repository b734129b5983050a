/* The effect of the filter on calls that are not allowed. Each call runs in its own process. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/seccomp.h"

/* Runs call() with the filter in a child process. Returns the wait status; the exit status is the result of call(). */
static int status_after(int (*call)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct log *log;

		setrlimit(RLIMIT_CORE, &(struct rlimit){0});
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (log_create(&log, STDERR_FILENO, LOG_LEVEL_ERROR, LOG_FORMAT_TEXT))
			_exit(100);
		seccomp_install(log);
		_exit(call());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void assert_killed(int (*call)(void))
{
	int status = status_after(call);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
}

static void assert_ends(int (*call)(void), int expected)
{
	int status = status_after(call);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), expected);
}

static int execute(void)
{
	char *const arguments[] = {(char *)"true", NULL};

	return execve("/bin/true", arguments, arguments + 1);
}

static int fork_process(void)
{
	return (int)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL) & 1;
}

static int enter_namespace(void)
{
	return (int)syscall(SYS_setns, -1, 0) & 1;
}

static int change_mode(void)
{
	return chmod("/nowhere", 0) ? errno : 0;
}

static int become_root(void)
{
	return setuid(0) ? errno : 0;
}

static int set_up_io_uring(void)
{
	return syscall(425, 1, NULL) ? errno : 0; /* io_uring_setup */
}

static int open_packet_socket(void)
{
	return socket(AF_PACKET, SOCK_DGRAM, 0) < 0 ? errno : 0;
}

static void *thread_main(void *data)
{
	pthread_setname_np(pthread_self(), "nothing");
	return data;
}

static int use_allowed_calls(void)
{
	struct rlimit limit;
	pthread_t thread;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), file = open("/etc/passwd", O_RDONLY);

	if (fd < 0 || file < 0 || getrlimit(RLIMIT_NOFILE, &limit) || setrlimit(RLIMIT_NOFILE, &limit))
		return 1;
	return pthread_create(&thread, NULL, thread_main, NULL) || pthread_join(thread, NULL);
}

static void lethal_calls_kill_the_process(void **state)
{
	(void)state;
	assert_killed(execute);
	assert_killed(fork_process);
	assert_killed(enter_namespace);
}

static void denied_calls_fail_with_eperm(void **state)
{
	(void)state;
	assert_ends(change_mode, EPERM);
	assert_ends(become_root, EPERM);
}

static void unknown_calls_fail_with_enosys(void **state)
{
	(void)state;
	assert_ends(set_up_io_uring, ENOSYS);
	assert_ends(open_packet_socket, ENOSYS);
}

static void calls_of_the_daemon_are_allowed(void **state)
{
	(void)state;
	assert_ends(use_allowed_calls, 0);
}

/* If the process already has a filter, the daemon does not install its own. */
static int has_filter(void)
{
	return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) == 2;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lethal_calls_kill_the_process),
		cmocka_unit_test(denied_calls_fail_with_eperm),
		cmocka_unit_test(unknown_calls_fail_with_enosys),
		cmocka_unit_test(calls_of_the_daemon_are_allowed),
	};

	if (!seccomp_is_built_in() || has_filter()) {
		puts("1..0 # SKIP built without libseccomp, or under another filter");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Each test raises the limit in a child process, because a process may be unable to restore its hard limit. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <linux/capability.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd_limit.h"

#define SOFT 64
#define HARD 128

struct result {
	uint64_t granted; /* returned by fd_limit_raise() */
	uint64_t soft, hard; /* limits afterwards */
};

static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};

	if (syscall(SYS_capset, &header, none))
		_exit(1);
}

static bool has_sys_resource(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {0};

	assert_int_equal(syscall(SYS_capget, &header, sets), 0);
	return sets[0].effective >> CAP_SYS_RESOURCE & 1;
}

static void run_child(int fd, uint64_t needed, bool keep_capabilities)
{
	struct rlimit limit = {SOFT, HARD};
	struct result result;

	if (setrlimit(RLIMIT_NOFILE, &limit))
		_exit(1);
	if (!keep_capabilities)
		drop_capabilities();
	result.granted = fd_limit_raise(needed);
	getrlimit(RLIMIT_NOFILE, &limit);
	result.soft = limit.rlim_cur;
	result.hard = limit.rlim_max;
	_exit(write(fd, &result, sizeof(result)) != sizeof(result));
}

/* Checks the result of fd_limit_raise() in a process with the limits SOFT and HARD. */
static void assert_raise(uint64_t needed, bool keep_capabilities, uint64_t soft, uint64_t hard)
{
	struct result result = {0};
	int fds[2], status;
	pid_t child;

	assert_int_equal(pipe(fds), 0);
	child = fork();
	if (!child)
		run_child(fds[1], needed, keep_capabilities);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(fds[0], &result, sizeof(result)), sizeof(result));
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(result.granted, soft);
	assert_int_equal(result.soft, soft);
	assert_int_equal(result.hard, hard);
}

static void test_limit_is_never_lowered(void **state)
{
	(void)state;
	assert_raise(SOFT - 1, false, SOFT, HARD);
	assert_raise(SOFT, false, SOFT, HARD);
}

static void test_soft_limit_is_raised_to_needed(void **state)
{
	(void)state;
	assert_raise(SOFT + 1, false, SOFT + 1, HARD);
	assert_raise(HARD, false, HARD, HARD);
}

static void test_unprivileged_process_stops_at_hard_limit(void **state)
{
	(void)state;
	assert_raise(HARD + 1, false, HARD, HARD);
}

static void test_hard_limit_is_raised_with_capability(void **state)
{
	uint64_t expected = has_sys_resource() ? HARD + 1 : HARD;

	(void)state;
	assert_raise(HARD + 1, true, expected, expected);
}

/* No process may exceed fs.nr_open, whose maximum is below 2^31. */
static void test_impossible_limit_falls_back_to_hard_limit(void **state)
{
	(void)state;
	assert_raise(UINT64_C(1) << 40, true, HARD, HARD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_limit_is_never_lowered),
		cmocka_unit_test(test_soft_limit_is_raised_to_needed),
		cmocka_unit_test(test_unprivileged_process_stops_at_hard_limit),
		cmocka_unit_test(test_hard_limit_is_raised_with_capability),
		cmocka_unit_test(test_impossible_limit_falls_back_to_hard_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

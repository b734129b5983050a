/* The order in which privileges are dropped, and the checks afterwards. The test replaces the system calls
 * (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "daemon/privileges.h"
#include "tests/unit/support/captured_log.h"

/* --- System calls --- */

static struct {
	uid_t uid, saved_uid;
	gid_t gid;
	int groups;
	uint32_t capabilities;
	bool can_regain_root; /* setuid(0) succeeds */
	const char *failing_call; /* name of the call that fails; NULL: none */
	char calls[128];
} process;

uid_t __wrap_geteuid(void);
gid_t __wrap_getegid(void);
int __wrap_setgroups(size_t count, const gid_t *groups);
int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved);
int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved);
int __wrap_getresuid(uid_t *real, uid_t *effective, uid_t *saved);
int __wrap_getresgid(gid_t *real, gid_t *effective, gid_t *saved);
int __wrap_getgroups(int size, gid_t *list);
int __wrap_setuid(uid_t uid);
long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *data);

static int called(const char *name)
{
	strcat(strcat(process.calls, name), " ");
	if (!process.failing_call || strcmp(process.failing_call, name))
		return 0;
	errno = EPERM;
	return -1;
}

uid_t __wrap_geteuid(void)
{
	return process.uid;
}

gid_t __wrap_getegid(void)
{
	return process.gid;
}

int __wrap_setgroups(size_t count, const gid_t *groups)
{
	(void)groups;
	if (called("setgroups"))
		return -1;
	process.groups = (int)count;
	return 0;
}

int __wrap_setresgid(gid_t real, gid_t effective, gid_t saved)
{
	assert_true(real == effective && real == saved);
	if (called("setresgid"))
		return -1;
	process.gid = real;
	return 0;
}

int __wrap_setresuid(uid_t real, uid_t effective, uid_t saved)
{
	assert_true(real == effective && real == saved);
	if (called("setresuid"))
		return -1;
	process.uid = real;
	return 0;
}

int __wrap_getresuid(uid_t *real, uid_t *effective, uid_t *saved)
{
	*real = *effective = process.uid;
	*saved = process.saved_uid ? process.saved_uid : process.uid;
	return 0;
}

int __wrap_getresgid(gid_t *real, gid_t *effective, gid_t *saved)
{
	*real = *effective = *saved = process.gid;
	return 0;
}

int __wrap_getgroups(int size, gid_t *list)
{
	(void)list;
	assert_int_equal(size, 0);
	return process.groups;
}

int __wrap_setuid(uid_t uid)
{
	assert_int_equal(uid, 0);
	return process.can_regain_root ? 0 : -1;
}

long __wrap_syscall(long number, void *header, struct __user_cap_data_struct *data)
{
	(void)number;
	(void)header;
	data[0].permitted = process.capabilities;
	return 0;
}

/* --- Fixture --- */

struct fixture {
	struct config config;
	struct captured_log log;
};

static int set_up(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	memset(&process, 0, sizeof(process));
	process.groups = 3;
	f->config = (struct config){.path = (char *)"t.ini",
				    .user = {.name = (char *)"someone", .line = 7, .uid = 1234, .gid = 5678}};
	captured_log_open(&f->log, LOG_LEVEL_INFO);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	captured_log_close(&f->log);
	free(f);
	return 0;
}

/* --- Tests --- */

static void groups_change_before_the_user(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(privileges_drop(&f->config, f->log.log), 0);
	assert_string_equal(process.calls, "setgroups setresgid setresuid ");
	assert_int_equal(process.uid, 1234);
	assert_int_equal(process.gid, 5678);
	assert_int_equal(process.groups, 0);
	assert_logged(&f->log, "info: running as user someone (1234), group 5678");
}

static void failed_call_is_logged(void **state)
{
	static const char *const calls[] = {"setgroups", "setresgid", "setresuid"};

	for (int i = 0; i < 3; i++) {
		struct fixture *f;
		char expected[128];

		tear_down(state);
		assert_int_equal(set_up(state), 0);
		f = *state;
		process.failing_call = calls[i];
		snprintf(expected, sizeof(expected),
			 "error: t.ini:7: [udprelayd] user: cannot become `someone`: %s: Operation not permitted",
			 calls[i]);
		assert_int_equal(privileges_drop(&f->config, f->log.log), -EPERM);
		assert_logged(&f->log, expected);
	}
}

static void assert_root_is_regained(struct fixture *f)
{
	assert_int_equal(privileges_drop(&f->config, f->log.log), -EPERM);
	assert_logged(&f->log, "error: t.ini:7: [udprelayd] user: became `someone`, but not permanently: ");
}

static void successful_setuid_0_is_an_error(void **state)
{
	process.can_regain_root = true;
	assert_root_is_regained(*state);
}

static void another_saved_user_is_an_error(void **state)
{
	process.saved_uid = 1;
	assert_root_is_regained(*state);
}

static void remaining_capabilities_are_an_error(void **state)
{
	process.capabilities = 1 << CAP_NET_RAW;
	assert_root_is_regained(*state);
}

static void root_without_a_user_logs_a_warning(void **state)
{
	struct fixture *f = *state;

	f->config.user.name = NULL;
	assert_int_equal(privileges_drop(&f->config, f->log.log), 0);
	assert_string_equal(process.calls, "");
	assert_logged(&f->log, "warning: running as root, with more rights than needed: write `user = nobody`");
}

static void without_root_the_user_must_match(void **state)
{
	struct fixture *f = *state;

	process.uid = 1234;
	process.gid = 5678;
	assert_int_equal(privileges_drop(&f->config, f->log.log), 0);
	assert_string_equal(captured_log_text(&f->log), "");
	process.gid = 5;
	assert_int_equal(privileges_drop(&f->config, f->log.log), -EPERM);
	assert_logged(&f->log,
		      "error: t.ini:7: [udprelayd] user: only root can become `someone` (user 1234, group 5678): ");
	process.uid = 5;
	process.gid = 5678;
	assert_int_equal(privileges_drop(&f->config, f->log.log), -EPERM);
	f->config.user.name = NULL;
	assert_int_equal(privileges_drop(&f->config, f->log.log), 0);
	assert_string_equal(process.calls, "");
}

static void files_writable_by_others_are_logged(void **state)
{
	struct fixture *f = *state;
	char directory[] = "/tmp/privileges.XXXXXX", path[32], expected[160];

	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/log", directory);
	close(creat(path, 0600));
	chmod(path, 0620);
	f->config.path = path;
	process.uid = 1;
	privileges_check_files(&f->config, f->log.log);
	assert_string_equal(captured_log_text(&f->log), "");
	process.uid = 0;
	privileges_check_files(&f->config, f->log.log);
	snprintf(expected, sizeof(expected), "%s can be changed by users other than its owner: run `chmod go-w %s`",
		 path, path);
	assert_logged(&f->log, expected);
	snprintf(expected, sizeof(expected), "%s can be changed", directory);
	assert_not_logged(&f->log, expected);
	chmod(directory, 0702);
	f->config.path = (char *)"/nowhere/t.ini";
	f->config.datagram_log.target = LOG_TARGET_FILE;
	f->config.datagram_log.path = path;
	privileges_check_files(&f->config, f->log.log);
	assert_logged(&f->log, expected);
	unlink(path);
	rmdir(directory);
}

static void no_new_privileges_is_set(void **state)
{
	(void)state;
	assert_int_equal(privileges_forbid_gain(), 0);
	assert_int_equal(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(groups_change_before_the_user),
		test(failed_call_is_logged),
		test(successful_setuid_0_is_an_error),
		test(another_saved_user_is_an_error),
		test(remaining_capabilities_are_an_error),
		test(root_without_a_user_logs_a_warning),
		test(without_root_the_user_must_match),
		test(files_writable_by_others_are_logged),
		test(no_new_privileges_is_set),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

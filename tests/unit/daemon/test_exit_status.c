/* The exit status of a start that failed. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sysexits.h>

#include "daemon/exit_status.h"

static void test_success(void **state)
{
	(void)state;
	assert_int_equal(exit_status(0), 0);
}

static void test_missing_permission(void **state)
{
	(void)state;
	assert_int_equal(exit_status(-EACCES), EX_NOPERM);
	assert_int_equal(exit_status(-EPERM), EX_NOPERM);
}

static void test_missing_address(void **state)
{
	(void)state;
	assert_int_equal(exit_status(-EADDRNOTAVAIL), EX_UNAVAILABLE);
	assert_int_equal(exit_status(-ENODEV), EX_UNAVAILABLE);
}

static void test_missing_socket_of_systemd(void **state)
{
	(void)state;
	assert_int_equal(exit_status(-EBADF), EX_CONFIG);
}

static void test_wrong_directory(void **state)
{
	static const int errors[] = {EEXIST, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, EROFS};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_int_equal(exit_status(-errors[i]), EX_CANTCREAT);
}

static void test_other_errors(void **state)
{
	static const int errors[] = {EADDRINUSE, EAGAIN, EINVAL, EMFILE, ENOMEM};

	(void)state;
	for (size_t i = 0; i < sizeof(errors) / sizeof(*errors); i++)
		assert_int_equal(exit_status(-errors[i]), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_success),         cmocka_unit_test(test_missing_permission),
		cmocka_unit_test(test_missing_address), cmocka_unit_test(test_wrong_directory),
		cmocka_unit_test(test_other_errors),    cmocka_unit_test(test_missing_socket_of_systemd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

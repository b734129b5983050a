#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file_access.h"

static void creates_no_file(void **state)
{
	char directory[] = "/tmp/file-access-XXXXXX", path[64];

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/new", directory);
	assert_int_equal(file_access_check_creation(path), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(directory), 0);
	assert_int_equal(file_access_check_creation(path), -ENOENT);
}

static void a_file_is_no_directory(void **state)
{
	(void)state;
	assert_int_equal(file_access_check_creation("/dev/null/new"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(creates_no_file),
		cmocka_unit_test(a_file_is_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

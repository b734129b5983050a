#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket_file.h"

struct fixture {
	char directory[32];
	struct address address;
};

static const char *path_of(const struct fixture *f)
{
	return f->address.local.sun_path;
}

static void create_file(const struct fixture *f)
{
	FILE *file = fopen(path_of(f), "w");

	assert_non_null(file);
	fclose(file);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	char text[64];

	strcpy(fixture.directory, "/tmp/socket_file.XXXXXX");
	assert_non_null(mkdtemp(fixture.directory));
	snprintf(text, sizeof(text), "unix:%s/socket", fixture.directory);
	assert_int_equal(address_parse(&fixture.address, text), 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unlink(path_of(f));
	return rmdir(f->directory);
}

static void test_no_file(void **state)
{
	struct fixture *f = *state;
	struct address udp;

	assert_int_equal(socket_file_read(&f->address).inode, 0);
	assert_int_equal(address_parse(&udp, "127.0.0.1:1"), 0);
	assert_int_equal(socket_file_read(&udp).inode, 0);
	assert_int_equal(socket_file_remove(&(struct socket_file){0}, &udp), 0);
}

static void test_file_is_removed_once(void **state)
{
	struct fixture *f = *state;
	struct socket_file file;

	create_file(f);
	file = socket_file_read(&f->address);
	assert_true(file.inode);
	assert_int_equal(socket_file_remove(&file, &f->address), 0);
	assert_int_equal(access(path_of(f), F_OK), -1);
	assert_int_equal(socket_file_remove(&file, &f->address), 0);
}

/* The first file keeps its inode under another name. Otherwise the second one could get the same inode. */
static void test_other_file_stays(void **state)
{
	struct fixture *f = *state;
	struct socket_file file;
	char moved[128];

	create_file(f);
	file = socket_file_read(&f->address);
	snprintf(moved, sizeof(moved), "%s.old", path_of(f));
	assert_int_equal(rename(path_of(f), moved), 0);
	create_file(f);
	assert_int_equal(socket_file_remove(&file, &f->address), 0);
	assert_int_equal(access(path_of(f), F_OK), 0);
	unlink(moved);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_is_removed_once, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_file_stays, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

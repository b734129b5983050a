/* Names of drop reasons, and the reasons for errors of the kernel. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "net/drop_reason.h"

/* The names are labels in the metrics. */
static void test_each_reason_has_its_own_name(void **state)
{
	(void)state;
	for (unsigned i = 0; i < DROP_REASONS; i++) {
		const char *name = drop_reason_name(i);

		assert_non_null(name);
		assert_true(*name);
		assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
		for (unsigned j = 0; j < i; j++)
			assert_string_not_equal(name, drop_reason_name(j));
	}
	assert_string_equal(drop_reason_name(DROP_TOO_LARGE), "too_large");
	assert_string_equal(drop_reason_name(DROP_SEND_ERROR), "send_error");
}

static void test_reason_of_a_failed_send(void **state)
{
	(void)state;
	assert_int_equal(drop_reason_from_send(EAGAIN), DROP_CONGESTED);
	assert_int_equal(drop_reason_from_send(ENOBUFS), DROP_NO_MEMORY);
	assert_int_equal(drop_reason_from_send(EMSGSIZE), DROP_MESSAGE_SIZE);
	assert_int_equal(drop_reason_from_send(ECONNREFUSED), DROP_REFUSED);
	assert_int_equal(drop_reason_from_send(EPERM), DROP_DENIED);
	assert_int_equal(drop_reason_from_send(EADDRNOTAVAIL), DROP_UNREACHABLE);
	assert_int_equal(drop_reason_from_send(ENETDOWN), DROP_UNREACHABLE);
	assert_int_equal(drop_reason_from_send(EINVAL), DROP_SEND_ERROR);
}

/* EAGAIN means a full buffer when sending, and no free port when connecting. */
static void test_reason_of_a_failed_open(void **state)
{
	(void)state;
	assert_int_equal(drop_reason_from_open(EAGAIN), DROP_NO_PORT);
	assert_int_equal(drop_reason_from_open(EADDRINUSE), DROP_NO_PORT);
	assert_int_equal(drop_reason_from_open(EMFILE), DROP_NO_DESCRIPTOR);
	assert_int_equal(drop_reason_from_open(ENOSPC), DROP_NO_DESCRIPTOR);
	assert_int_equal(drop_reason_from_open(ENOENT), DROP_REFUSED);
	assert_int_equal(drop_reason_from_open(EACCES), DROP_DENIED);
	assert_int_equal(drop_reason_from_open(ENOBUFS), DROP_NO_MEMORY);
	assert_int_equal(drop_reason_from_open(ENETUNREACH), DROP_UNREACHABLE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_reason_has_its_own_name),
		cmocka_unit_test(test_reason_of_a_failed_send),
		cmocka_unit_test(test_reason_of_a_failed_open),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

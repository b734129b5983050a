#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/xalloc.h"

static void test_array_grows_and_keeps_its_elements(void **state)
{
	unsigned *array = NULL;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		array = xgrow(array, i, sizeof(*array));
		array[i] = i;
	}
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(array[i], i);
	free(array);
}

/* Between two powers of two the array has space left and stays where it is. */
static void test_array_doubles(void **state)
{
	char *array = xgrow(NULL, 0, 100), *grown;

	(void)state;
	array = xgrow(array, 1, 100);
	array = xgrow(array, 2, 100);
	grown = xgrow(array, 3, 100);
	assert_ptr_equal(grown, array);
	array = xgrow(array, 4, 100);
	for (size_t count = 5; count < 8; count++)
		assert_ptr_equal(xgrow(array, count, 100), array);
	assert_true(malloc_usable_size(array) >= 8 * 100);
	free(array);
}

static void test_memory_is_zeroed(void **state)
{
	static const char zeros[3000];
	char *memory = xcalloc(30, 100);

	(void)state;
	assert_memory_equal(memory, zeros, sizeof(zeros));
	free(memory);
}

static void test_text_is_copied(void **state)
{
	char text[] = "text", *copy = xstrdup(text);

	(void)state;
	text[0] = 'n';
	assert_string_equal(copy, "text");
	free(copy);
}

static void test_failed_allocation_aborts(void **state)
{
	int status;
	pid_t child;

	(void)state;
	child = fork();
	if (!child) {
		signal(SIGABRT, SIG_DFL);
		xcheck(NULL);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_array_grows_and_keeps_its_elements),
		cmocka_unit_test(test_array_doubles),
		cmocka_unit_test(test_memory_is_zeroed),
		cmocka_unit_test(test_text_is_copied),
		cmocka_unit_test(test_failed_allocation_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

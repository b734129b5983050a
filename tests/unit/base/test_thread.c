#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>

#include "base/thread.h"

static void *get_blocked_signals(void *data)
{
	sigset_t *blocked = data;

	pthread_sigmask(SIG_SETMASK, NULL, blocked);
	return data;
}

static void test_signals_are_blocked(void **state)
{
	sigset_t before, after, blocked;
	pthread_t thread;

	(void)state;
	pthread_sigmask(SIG_SETMASK, NULL, &before);
	assert_int_equal(thread_start(&thread, "test", get_blocked_signals, &blocked), 0);
	pthread_join(thread, NULL);
	assert_true(sigismember(&blocked, SIGTERM) && sigismember(&blocked, SIGUSR1));
	pthread_sigmask(SIG_SETMASK, NULL, &after);
	assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
}

static void *wait_for_mutex(void *data)
{
	pthread_mutex_lock(data);
	pthread_mutex_unlock(data);
	return NULL;
}

static void test_thread_has_name(void **state)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pthread_t thread;
	char name[16];

	(void)state;
	pthread_mutex_lock(&mutex);
	assert_int_equal(thread_start(&thread, "named", wait_for_mutex, &mutex), 0);
	assert_int_equal(pthread_getname_np(thread, name, sizeof(name)), 0);
	pthread_mutex_unlock(&mutex);
	pthread_join(thread, NULL);
	assert_string_equal(name, "named");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals_are_blocked),
		cmocka_unit_test(test_thread_has_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

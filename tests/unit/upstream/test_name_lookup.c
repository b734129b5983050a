/* Name look-ups. The test wraps getaddrinfo(), which blocks until the test lets it return, except for FAST_NAME. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "upstream/name_lookup.h"

#define DEADLINE_S 20 /* of every wait */
#define FAST_NAME "fast.test"

struct fixture {
	uv_loop_t loop;
	struct name_lookup *lookups; /* `count` of them */
	unsigned count;
};

static unsigned done_count, closed_count;
static struct name_lookup_result last; /* list is only compared with NULL */
static struct name_lookup *last_lookup;

/* --- Wrapped functions --- */

static sem_t entered, may_return; /* one post for each call of getaddrinfo() */
static int error_to_return, errno_to_set;
static atomic_uint lists; /* not freed yet */
static int create_error;
static pthread_mutex_t attributes_mutex = PTHREAD_MUTEX_INITIALIZER;
static size_t stack_size;
static sigset_t blocked_signals;

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list);
void __wrap_freeaddrinfo(struct addrinfo *list);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *data), void *data);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *data), void *data);

static void wait_for(sem_t *semaphore)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += DEADLINE_S;
	while (sem_timedwait(semaphore, &end)) {
		if (errno != EINTR)
			abort(); /* cmocka cannot fail a test from another thread */
	}
}

static void read_thread_attributes(void)
{
	pthread_attr_t attributes;

	if (pthread_getattr_np(pthread_self(), &attributes))
		abort();
	pthread_mutex_lock(&attributes_mutex);
	pthread_attr_getstacksize(&attributes, &stack_size);
	pthread_sigmask(SIG_SETMASK, NULL, &blocked_signals);
	pthread_mutex_unlock(&attributes_mutex);
	pthread_attr_destroy(&attributes);
}

int __wrap_getaddrinfo(const char *node, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	bool fast = !strcmp(node, FAST_NAME);

	if ((!fast && strcmp(node, "host.test") != 0) || service || hints->ai_socktype != SOCK_DGRAM ||
	    hints->ai_family)
		abort();
	if (!fast && sem_trywait(&may_return)) {
		read_thread_attributes();
		sem_post(&entered);
		wait_for(&may_return);
	}
	if (!error_to_return) {
		*list = calloc(1, sizeof(**list));
		atomic_fetch_add(&lists, 1);
	}
	errno = errno_to_set;
	return error_to_return;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
	atomic_fetch_sub(&lists, 1);
	free(list);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *data), void *data)
{
	return create_error ? create_error : __real_pthread_create(thread, attributes, run, data);
}

/* --- Fixture --- */

static void on_done(struct name_lookup *lookup, const struct name_lookup_result *result)
{
	done_count++;
	last = *result;
	last_lookup = lookup;
}

static void on_closed(struct name_lookup *lookup)
{
	(void)lookup;
	closed_count++;
}

static int set_up(void **state)
{
	static struct fixture fixture;

	fixture = (struct fixture){0};
	done_count = closed_count = 0;
	error_to_return = errno_to_set = create_error = 0;
	last = (struct name_lookup_result){0};
	sem_init(&entered, 0, 0);
	sem_init(&may_return, 0, 0);
	assert_int_equal(uv_loop_init(&fixture.loop), 0);
	*state = &fixture;
	return 0;
}

static void create_lookups(struct fixture *f, unsigned count)
{
	f->lookups = calloc(count, sizeof(*f->lookups));
	assert_non_null(f->lookups);
	f->count = count;
	for (unsigned i = 0; i < count; i++)
		name_lookup_init(&f->lookups[i], &f->loop, on_done);
}

static int start(struct fixture *f, unsigned i)
{
	char name[] = "host.test";
	int error = name_lookup_start(&f->lookups[i], name);

	name[0] = '?'; /* the look-up has copied the name */
	return error;
}

static void let_return(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		sem_post(&may_return);
}

static void wait_until_entered(unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		wait_for(&entered);
}

static void on_deadline(uv_timer_t *timer)
{
	(void)timer;
	fail_msg("no result comes");
}

static void run_until_done(struct fixture *f, unsigned count)
{
	uv_timer_t deadline;

	uv_timer_init(&f->loop, &deadline);
	uv_timer_start(&deadline, on_deadline, DEADLINE_S * 1000, 0);
	while (done_count < count)
		uv_run(&f->loop, UV_RUN_ONCE);
	uv_close((uv_handle_t *)&deadline, NULL);
	uv_run(&f->loop, UV_RUN_NOWAIT);
}

/* Closes the look-ups and frees their memory. */
static void destroy_lookups(struct fixture *f)
{
	for (unsigned i = 0; i < f->count; i++)
		name_lookup_close(&f->lookups[i], on_closed);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(closed_count, f->count);
	free(f->lookups);
	f->lookups = NULL;
	f->count = 0;
}

static void wait_until_threads_end(void)
{
	uint64_t end = uv_hrtime() + DEADLINE_S * UINT64_C(1000000000);

	while (name_lookup_threads_running()) {
		assert_true(uv_hrtime() < end);
		sched_yield();
	}
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->lookups)
		destroy_lookups(f);
	wait_until_threads_end();
	assert_int_equal(atomic_load(&lists), 0);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	sem_destroy(&entered);
	sem_destroy(&may_return);
	return 0;
}

/* --- Results --- */

static void test_result_arrives_on_the_loop(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	assert_int_equal(start(f, 0), 0);
	wait_until_entered(1);
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_int_equal(done_count, 0);
	assert_true(name_lookup_threads_running());
	let_return(1);
	run_until_done(f, 1);
	assert_int_equal(last.error, 0);
	assert_non_null(last.list);
	assert_ptr_equal(last_lookup, &f->lookups[0]);
	assert_int_equal(atomic_load(&lists), 0); /* freed after on_done() */
}

static void test_error_arrives_without_a_list(void **state)
{
	struct fixture *f = *state;

	error_to_return = EAI_AGAIN;
	errno_to_set = EMFILE;
	create_lookups(f, 1);
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 1);
	assert_int_equal(last.error, EAI_AGAIN);
	assert_int_equal(last.system_error, 0);
	assert_null(last.list);
	assert_string_equal(name_lookup_error_text(&last), gai_strerror(EAI_AGAIN));
}

static void test_system_error_has_the_text_of_errno(void **state)
{
	struct fixture *f = *state;

	error_to_return = EAI_SYSTEM;
	errno_to_set = EMFILE;
	create_lookups(f, 1);
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 1);
	assert_int_equal(last.error, EAI_SYSTEM);
	assert_int_equal(last.system_error, EMFILE);
	assert_string_equal(name_lookup_error_text(&last), "Too many open files");
}

static void on_done_again(struct name_lookup *lookup, const struct name_lookup_result *result)
{
	on_done(lookup, result);
	if (done_count < 3)
		assert_int_equal(name_lookup_start(lookup, "host.test"), 0);
}

static void test_next_look_up_may_start_in_the_callback(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	f->lookups[0].done = on_done_again;
	let_return(3);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 3);
}

static void test_blocked_look_ups_do_not_delay_another(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 101);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(start(f, i), 0);
	wait_until_entered(100);
	assert_int_equal(name_lookup_start(&f->lookups[100], FAST_NAME), 0);
	run_until_done(f, 1);
	assert_ptr_equal(last_lookup, &f->lookups[100]);
	let_return(100);
	run_until_done(f, 101);
}

/* --- Closing --- */

static void test_closed_look_up_is_not_done(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	assert_int_equal(start(f, 0), 0);
	wait_until_entered(1);
	destroy_lookups(f); /* although getaddrinfo() does not return */
	assert_int_equal(uv_loop_alive(&f->loop), 0);
	assert_true(name_lookup_threads_running());
	let_return(1); /* the orphan frees its list: see tear_down() */
	wait_until_threads_end();
	assert_int_equal(done_count, 0);
}

static void test_close_with_a_waiting_result(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	wait_until_threads_end();
	destroy_lookups(f);
	assert_int_equal(done_count, 0);
}

/* Closing and the end of the thread happen at about the same time. */
static void test_close_while_results_arrive(void **state)
{
	struct fixture *f = *state;

	for (int round = 0; round < 20; round++) {
		create_lookups(f, 10);
		closed_count = 0;
		for (unsigned i = 0; i < 10; i++)
			assert_int_equal(start(f, i), 0);
		wait_until_entered(10);
		let_return(10);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		destroy_lookups(f);
		wait_until_threads_end();
		assert_int_equal(atomic_load(&lists), 0);
	}
}

static void on_done_close(struct name_lookup *lookup, const struct name_lookup_result *result)
{
	on_done(lookup, result);
	name_lookup_close(lookup, on_closed);
}

static void test_close_in_the_callback(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	f->lookups[0].done = on_done_close;
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 1);
	assert_int_equal(closed_count, 1);
	free(f->lookups);
	f->lookups = NULL;
}

/* --- Threads --- */

static void test_number_of_threads_is_limited(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, NAME_LOOKUP_THREADS_MAX);
	for (unsigned i = 0; i < NAME_LOOKUP_THREADS_MAX; i++)
		assert_int_equal(start(f, i), 0);
	destroy_lookups(f); /* orphans count */
	closed_count = 0;
	create_lookups(f, 1);
	assert_int_equal(start(f, 0), -EAGAIN);
	let_return(NAME_LOOKUP_THREADS_MAX);
	wait_until_threads_end();
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 1);
}

static void test_thread_that_cannot_be_created(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	create_error = EAGAIN;
	assert_int_equal(start(f, 0), -EAGAIN);
	assert_false(name_lookup_threads_running());
	create_error = 0;
	let_return(1);
	assert_int_equal(start(f, 0), 0);
	run_until_done(f, 1);
}

static void test_thread_has_small_stack_and_blocks_signals(void **state)
{
	struct fixture *f = *state;

	create_lookups(f, 1);
	assert_int_equal(start(f, 0), 0);
	wait_until_entered(1);
	assert_in_range(stack_size, 1024 * 1024, 1024 * 1024 + 65536);
	assert_true(sigismember(&blocked_signals, SIGTERM));
	assert_true(sigismember(&blocked_signals, SIGHUP));
	let_return(1);
	run_until_done(f, 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_result_arrives_on_the_loop),
		test(test_error_arrives_without_a_list),
		test(test_system_error_has_the_text_of_errno),
		test(test_next_look_up_may_start_in_the_callback),
		test(test_blocked_look_ups_do_not_delay_another),
		test(test_closed_look_up_is_not_done),
		test(test_close_with_a_waiting_result),
		test(test_close_while_results_arrive),
		test(test_close_in_the_callback),
		test(test_number_of_threads_is_limited),
		test(test_thread_that_cannot_be_created),
		test(test_thread_has_small_stack_and_blocks_signals),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The set of listeners of a worker. The data path is a fake, and the linker replaces the clock and uv_sleep(), so that
 * a drain takes no time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/unit/support/captured_log.h"
#include "tests/unit/support/loopback.h"
#include "tests/unit/worker/fake_data_path.h"
#include "worker/listeners.h"

#define LISTENERS 3
#define LIMIT_MS 100

static uint64_t now_ms;
static unsigned pauses;

int __real_clock_gettime(clockid_t clock, struct timespec *time);
int __wrap_clock_gettime(clockid_t clock, struct timespec *time);
void __wrap_uv_sleep(unsigned ms);

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
	if (clock != CLOCK_MONOTONIC)
		return __real_clock_gettime(clock, time);
	*time = (struct timespec){.tv_sec = (time_t)(now_ms / 1000), .tv_nsec = (long)(now_ms % 1000) * 1000000};
	return 0;
}

void __wrap_uv_sleep(unsigned ms)
{
	pauses++;
	now_ms += ms;
}

struct fixture {
	uv_loop_t loop;
	struct batch_scheduler scheduler;
	struct listeners set, other_set;
	struct listener_config configs[LISTENERS];
	struct action action;
	struct pipeline pipelines[LISTENERS];
	struct listen_socket sockets[LISTENERS];
	struct captured_log log;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *names[LISTENERS] = {(char *)"a", (char *)"b", (char *)"c"};
	struct fixture *f = &fixture;

	fake_reset();
	now_ms = 1000;
	pauses = 0;
	memset(f, 0, sizeof(*f));
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	batch_scheduler_init(&f->scheduler, &f->loop, NULL, NULL);
	for (int i = 0; i < LISTENERS; i++) {
		f->configs[i].name = names[i];
		f->pipelines[i] = (struct pipeline){.action = &f->action, .delivery = {.batch_limit = RX_BATCH_TRAINS}};
		f->sockets[i].config = &f->configs[i];
		f->sockets[i].fd = bound(&f->sockets[i].local);
	}
	assert_int_equal(listeners_init(&f->set, &f->scheduler, LISTENERS, f->log.log), 0);
	assert_int_equal(listeners_init(&f->other_set, &f->scheduler, LISTENERS, f->log.log), 0);
	*state = f;
	return 0;
}

/* As worker_destroy() does: a listener that could not be added may leave a handle. */
static void close_unused(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fake.full = false;
	batch_scheduler_close(&f->scheduler);
	listeners_close(&f->set);
	listeners_close(&f->other_set);
	uv_walk(&f->loop, close_unused, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	listeners_finish(&f->set);
	listeners_finish(&f->other_set);
	for (int i = 0; i < LISTENERS; i++)
		close(f->sockets[i].fd);
	captured_log_close(&f->log);
	return 0;
}

static struct listener *add(struct listeners *set, struct fixture *f, int i)
{
	assert_int_equal(listeners_add(set, &f->sockets[i], &f->pipelines[i]), 0);
	return &set->items[set->count - 1];
}

static void add_all(struct fixture *f)
{
	for (int i = 0; i < LISTENERS; i++)
		add(&f->set, f, i);
}

static unsigned *waiting(struct fixture *f, int i)
{
	return &fake.waiting[f->set.items[i].tx.fd];
}

static int *receive_error(struct fixture *f, int i)
{
	return &fake.errors[f->set.items[i].tx.fd];
}

/* --- Creation --- */

static void listener_reads_a_copy_of_the_descriptor(void **state)
{
	struct fixture *f = *state;
	struct listener *listener = add(&f->set, f, 0);
	struct address local = {.length = sizeof(local.v6)};
	int on;
	socklen_t size = sizeof(on);

	assert_int_not_equal(listener->tx.fd, f->sockets[0].fd);
	assert_int_equal(getsockname(listener->tx.fd, &local.any, &local.length), 0);
	assert_true(address_equal(&local, &listener->local));
	assert_int_equal(fcntl(listener->tx.fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(getsockopt(listener->tx.fd, SOL_SOCKET, SO_REUSEADDR, &on, &size), 0);
	assert_int_equal(on, 0); /* libuv sets it */
	assert_true(listener->tx.gso);
	assert_false(listener->tx.connected);
	assert_ptr_equal(listener->config, &f->configs[0]);
	assert_ptr_equal(listener->pipeline, &f->pipelines[0]);
}

static void only_worker_0_gets_broadcasts(void **state)
{
	struct fixture *f = *state;

	f->sockets[1].worker = 1;
	assert_false(add(&f->set, f, 0)->ignores_broadcasts);
	assert_true(add(&f->set, f, 1)->ignores_broadcasts);
}

static void closed_descriptor_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct listen_socket closed = {.config = &f->configs[0], .fd = -1};

	assert_int_equal(listeners_add(&f->set, &closed, &f->pipelines[0]), -EBADF);
	assert_int_equal(f->set.count, 0);
}

static void descriptor_that_is_no_datagram_socket_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct listen_socket file = {.config = &f->configs[0], .fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	int free_fd;

	assert_true(file.fd >= 0);
	free_fd = fcntl(file.fd, F_DUPFD_CLOEXEC, 0);
	close(free_fd);
	assert_true(listeners_add(&f->set, &file, &f->pipelines[0]) < 0);
	assert_int_equal(f->set.count, 0);
	assert_int_equal(fcntl(free_fd, F_GETFD), -1); /* the copy is closed */
	close(file.fd);
}

/* --- Search --- */

static void replacement_has_the_same_name_and_address(void **state)
{
	struct fixture *f = *state;
	struct listener *before;

	add_all(f);
	before = add(&f->other_set, f, 1);
	assert_ptr_equal(listeners_find_socket(&f->set, &before->tx), &f->set.items[1].tx);
}

static void another_name_is_no_replacement(void **state)
{
	struct fixture *f = *state;
	struct listener *before;

	add_all(f);
	before = add(&f->other_set, f, 1);
	before->config = &f->configs[0];
	assert_null(listeners_find_socket(&f->set, &before->tx));
}

static void another_port_is_no_replacement(void **state)
{
	struct fixture *f = *state;
	struct listener *before;

	add_all(f);
	before = add(&f->other_set, f, 1);
	address_set_port(&before->local, address_port(&f->sockets[2].local));
	assert_null(listeners_find_socket(&f->set, &before->tx));
}

/* --- Drain --- */

static void drain_empties_all_sockets(void **state)
{
	struct fixture *f = *state;

	add_all(f);
	*waiting(f, 0) = 1000;
	*waiting(f, 2) = 3;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(fake.trains_completed, 1003);
	assert_int_equal(*waiting(f, 0), 0);
	assert_int_equal(*waiting(f, 2), 0);
	assert_int_equal(pauses, 0);
}

static void drain_waits_for_no_full_buffer(void **state)
{
	struct fixture *f = *state;

	add_all(f);
	fake.full = true;
	*waiting(f, 0) = 100;
	*waiting(f, 1) = 10;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(fake.trains_completed, 110);
	assert_int_equal(fake.dropped_batches, fake.completed);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
}

static void drain_completes_the_batch_that_is_pending_before_it(void **state)
{
	struct fixture *f = *state;

	add_all(f);
	fake.full = true;
	*waiting(f, 0) = 5;
	assert_int_equal(listener_run_batch(&f->set.items[0]), 5);
	assert_int_equal(fake.completed, 0);
	listeners_drain(&f->set, 0);
	assert_int_equal(fake.completed, 1);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
}

static void add_a_train_and_a_millisecond(int fd)
{
	fake.waiting[fd]++;
	now_ms++;
}

static void drain_of_a_busy_socket_ends_after_its_limit(void **state)
{
	struct fixture *f = *state;

	add(&f->set, f, 0);
	fake.on_receive = add_a_train_and_a_millisecond;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(fake.receives, LIMIT_MS);
}

static unsigned failures_left;

static void recover_after_some_failures(int fd)
{
	if (!failures_left--)
		fake.errors[fd] = 0;
}

static void drain_tries_a_failing_socket_again_after_a_pause(void **state)
{
	struct fixture *f = *state;

	add(&f->set, f, 0);
	*receive_error(f, 0) = ENOMEM;
	*waiting(f, 0) = 7;
	failures_left = 10;
	fake.on_receive = recover_after_some_failures;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(fake.trains_completed, 7);
	assert_int_equal(fake.errors_returned, 10);
	assert_int_equal(pauses, 10);
}

/* With a pause after each batch, the limit would be too short. */
static void drain_does_not_pause_while_another_socket_has_datagrams(void **state)
{
	struct fixture *f = *state;

	add_all(f);
	*receive_error(f, 1) = EIO;
	*waiting(f, 2) = 2 * LIMIT_MS * RX_BATCH_TRAINS;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(*waiting(f, 2), 0);
}

static void drain_of_a_failing_socket_ends_after_its_limit(void **state)
{
	struct fixture *f = *state;

	add_all(f);
	*receive_error(f, 1) = EIO;
	*waiting(f, 2) = 100;
	listeners_drain(&f->set, LIMIT_MS);
	assert_int_equal(fake.trains_completed, 100);
	assert_int_equal(pauses, LIMIT_MS);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(listener_reads_a_copy_of_the_descriptor),
		test(only_worker_0_gets_broadcasts),
		test(closed_descriptor_is_an_error),
		test(descriptor_that_is_no_datagram_socket_is_an_error),
		test(replacement_has_the_same_name_and_address),
		test(another_name_is_no_replacement),
		test(another_port_is_no_replacement),
		test(drain_empties_all_sockets),
		test(drain_waits_for_no_full_buffer),
		test(drain_completes_the_batch_that_is_pending_before_it),
		test(drain_of_a_busy_socket_ends_after_its_limit),
		test(drain_tries_a_failing_socket_again_after_a_pause),
		test(drain_does_not_pause_while_another_socket_has_datagrams),
		test(drain_of_a_failing_socket_ends_after_its_limit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

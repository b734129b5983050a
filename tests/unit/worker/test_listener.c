/* The turn of one listener. The data path is a fake, the loop and the sockets are real. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/support/captured_log.h"
#include "tests/unit/support/loopback.h"
#include "tests/unit/worker/fake_data_path.h"
#include "worker/listeners.h"

#define BATCH_LIMIT RX_BATCH_TRAINS

struct fixture {
	uv_loop_t loop;
	struct batch_scheduler scheduler;
	struct listeners set;
	struct listener_config config;
	struct action action;
	struct pipeline pipeline;
	struct listen_socket socket;
	struct captured_log log;
	struct listener *listener;
};

/* For fake.on_receive, which has no argument for the fixture. */
static struct fixture *current;

static void create(struct fixture *f, unsigned worker)
{
	f->socket.worker = worker;
	assert_int_equal(listeners_init(&f->set, &f->scheduler, 1, f->log.log), 0);
	assert_int_equal(listeners_add(&f->set, &f->socket, &f->pipeline), 0);
	f->listener = &f->set.items[0];
	assert_int_equal(batch_scheduler_start(&f->scheduler), 0);
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	fake_reset();
	memset(f, 0, sizeof(*f));
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	batch_scheduler_init(&f->scheduler, &f->loop, NULL, NULL);
	f->config.name = (char *)"test";
	f->pipeline = (struct pipeline){.action = &f->action, .delivery = {.batch_limit = BATCH_LIMIT}};
	f->socket.config = &f->config;
	f->socket.fd = bound(&f->socket.local);
	current = f;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fake.full = false;
	batch_scheduler_close(&f->scheduler);
	listeners_close(&f->set);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	listeners_finish(&f->set);
	close(f->socket.fd);
	captured_log_close(&f->log);
	return 0;
}

/* The number of trains that wait in the listener's socket. */
static unsigned *waiting(struct fixture *f)
{
	return &fake.waiting[f->listener->tx.fd];
}

static int *receive_error(struct fixture *f)
{
	return &fake.errors[f->listener->tx.fd];
}

static void turn(struct fixture *f)
{
	listener_on_readable(&f->listener->watcher, 0);
}

static bool is_watched(const struct fixture *f)
{
	return uv_is_active((const uv_handle_t *)&f->listener->watcher.poll);
}

/* --- The length of a turn --- */

static void turn_reads_until_the_socket_is_empty(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = BATCH_LIMIT + 10;
	turn(f);
	assert_int_equal(*waiting(f), 0);
	assert_int_equal(fake.receives, 3); /* the last one finds nothing */
	assert_int_equal(fake.submitted, 2);
	assert_int_equal(fake.completed, 2);
	assert_int_equal(fake.trains_completed, BATCH_LIMIT + 10);
}

static void turn_ends_after_256_trains(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = 1000;
	turn(f);
	assert_int_equal(fake.trains_completed, 256);
	turn(f);
	assert_int_equal(fake.trains_completed, 512);
}

static void turn_in_small_batches_has_the_same_share(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	f->pipeline.delivery.batch_limit = DELIVERY_CONVERTED_TRAINS;
	*waiting(f) = 1000;
	turn(f);
	assert_int_equal(fake.trains_completed, 256);
	assert_int_equal(fake.submitted, 256 / DELIVERY_CONVERTED_TRAINS);
}

static void short_turn_ends_with_a_batch_that_is_not_full(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	f->action.short_turns = true;
	*waiting(f) = BATCH_LIMIT + 10;
	turn(f);
	assert_int_equal(fake.receives, 2);
	assert_int_equal(*waiting(f), 0);
	*waiting(f) = BATCH_LIMIT - 1;
	turn(f);
	assert_int_equal(fake.receives, 3);
}

static void turn_ends_when_a_batch_becomes_pending(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	fake.full = true;
	*waiting(f) = 1000;
	turn(f);
	assert_int_equal(fake.receives, 1);
	assert_int_equal(fake.completed, 0);
	assert_false(is_watched(f));
	batch_scheduler_finish_pending(&f->scheduler);
	assert_int_equal(fake.completed, 1);
	assert_int_equal(fake.trains_completed, BATCH_LIMIT);
}

/* --- Saturated sockets --- */

static bool watched_during_receive;

static void note_whether_watched(int fd)
{
	(void)fd;
	watched_during_receive = is_watched(current);
}

static void saturated_socket_is_not_watched_during_its_next_turn(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	fake.on_receive = note_whether_watched;
	*waiting(f) = 64;
	turn(f);
	assert_true(watched_during_receive); /* the first turn does not know yet */
	*waiting(f) = 63;
	turn(f);
	assert_false(watched_during_receive);
	assert_true(is_watched(f));
	*waiting(f) = 1;
	turn(f);
	assert_true(watched_during_receive); /* 63 trains are too few */
	assert_true(is_watched(f));
}

static void saturated_socket_stays_unwatched_while_its_batch_is_pending(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = 256;
	turn(f);
	fake.full = true;
	*waiting(f) = 10;
	turn(f);
	assert_false(is_watched(f));
	fake.full = false;
	while (batch_scheduler_has_pending(&f->scheduler)) /* the retry timer completes it */
		uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_true(is_watched(f));
}

/* --- Errors --- */

static void receive_error_is_logged_and_backs_off(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*receive_error(f) = ENOMEM;
	turn(f);
	assert_int_equal(fake.receives, 1);
	assert_int_equal(fake.submitted, 0);
	assert_false(is_watched(f));
	assert_true(uv_is_active((uv_handle_t *)&f->scheduler.back_off));
	assert_logged(&f->log, "error: listener test: receiving: Cannot allocate memory");
}

static void receive_error_after_some_batches_ends_the_turn(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = 10;
	assert_int_equal(listener_run_batch(f->listener), 10);
	*receive_error(f) = EIO;
	assert_int_equal(listener_run_batch(f->listener), -EIO);
	assert_int_equal(fake.completed, 1);
	assert_true(is_watched(f)); /* the caller decides */
}

static void receive_error_of_a_saturated_socket_backs_off(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = 256;
	turn(f);
	*receive_error(f) = ENOMEM;
	turn(f);
	assert_false(is_watched(f));
}

static void watcher_error_is_logged_and_the_socket_is_read_and_watched(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	watcher_stop(&f->listener->watcher); /* libuv does so after an error */
	*waiting(f) = 1;
	listener_on_readable(&f->listener->watcher, UV_EBADF);
	assert_logged(&f->log, "listener test: socket error: bad file descriptor");
	assert_int_equal(fake.trains_completed, 1);
	assert_true(is_watched(f));
}

/* --- Context --- */

static void batch_has_the_socket_and_the_time_of_the_loop(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	*waiting(f) = 1;
	turn(f);
	assert_ptr_equal(fake.last_pipeline, &f->pipeline);
	assert_ptr_equal(fake.last_rx.tx, &f->listener->tx);
	assert_ptr_equal(fake.last_rx.local, &f->listener->local);
	assert_int_equal(fake.last_rx.now_ms, uv_now(&f->loop));
	assert_int_equal(fake.last_rx.time_us, 0); /* without records it is not needed */
	f->pipeline.delivery.ring = (struct record_ring *)f; /* never dereferenced */
	*waiting(f) = 1;
	turn(f);
	assert_true(fake.last_rx.time_us > UINT64_C(1700000000) * 1000000);
}

/* --- Broadcasts --- */

static void set_pktinfo(struct pktinfo *info, const char *destination, const char *reply_source)
{
	assert_int_equal(address_from_ip(&info->destination, destination, 0), 0);
	assert_int_equal(address_from_ip(&info->reply_source, reply_source, 0), 0);
}

/* Trains to a broadcast address, a host address, a multicast group, an IPv6 address, and without pktinfo. */
static void receive_addressed_trains(struct fixture *f)
{
	static struct pktinfo info[4];

	set_pktinfo(&info[0], "192.0.2.255", "192.0.2.1");
	set_pktinfo(&info[1], "192.0.2.1", "192.0.2.1");
	set_pktinfo(&info[2], "239.1.2.3", "192.0.2.1");
	set_pktinfo(&info[3], "2001:db8::1", "2001:db8::2");
	for (int i = 0; i < 4; i++)
		fake.trains[i].local = &info[i];
	*waiting(f) = 5;
	turn(f);
	assert_int_equal(fake.trains_submitted, 5);
}

static void worker_0_processes_broadcasts(void **state)
{
	struct fixture *f = *state;

	create(f, 0);
	receive_addressed_trains(f);
	for (int i = 0; i < 5; i++) {
		assert_false(fake.submitted_ignored[i]);
		assert_int_equal(fake.submitted_drops[i], DROP_NONE);
	}
}

static void other_workers_ignore_broadcasts_only(void **state)
{
	struct fixture *f = *state;

	create(f, 1);
	receive_addressed_trains(f);
	assert_true(fake.submitted_ignored[0]);
	assert_int_equal(fake.submitted_drops[0], DROP_LOOP);
	for (int i = 1; i < 5; i++) {
		assert_false(fake.submitted_ignored[i]);
		assert_int_equal(fake.submitted_drops[i], DROP_NONE);
	}
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(turn_reads_until_the_socket_is_empty),
		test(turn_ends_after_256_trains),
		test(turn_in_small_batches_has_the_same_share),
		test(short_turn_ends_with_a_batch_that_is_not_full),
		test(turn_ends_when_a_batch_becomes_pending),
		test(saturated_socket_is_not_watched_during_its_next_turn),
		test(saturated_socket_stays_unwatched_while_its_batch_is_pending),
		test(receive_error_is_logged_and_backs_off),
		test(receive_error_after_some_batches_ends_the_turn),
		test(receive_error_of_a_saturated_socket_backs_off),
		test(watcher_error_is_logged_and_the_socket_is_read_and_watched),
		test(batch_has_the_socket_and_the_time_of_the_loop),
		test(worker_0_processes_broadcasts),
		test(other_workers_ignore_broadcasts_only),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

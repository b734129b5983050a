#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/load/receivers.h"
#include "tests/unit/support/loopback.h"

#define DEADLINE_MS 20000
#define SOCKETS_MAX 8

struct fixture {
	struct receivers receivers;
	int fds[SOCKETS_MAX], sender;
	struct address addresses[SOCKETS_MAX];
	unsigned count;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->sender = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	*state = f;
	return receivers_init(&f->receivers, SOCKETS_MAX, false);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	receivers_finish(&f->receivers);
	for (unsigned i = 0; i < f->count; i++)
		close(f->fds[i]);
	close(f->sender);
	free(f);
	return 0;
}

/* Adds sockets that receive the datagrams of their flow only. */
static void add(struct fixture *f, unsigned count, unsigned group_size)
{
	for (unsigned i = 0; i < count; i++) {
		unsigned n = f->count++;

		f->fds[n] = bound(&f->addresses[n]);
		assert_int_equal(receivers_add(&f->receivers, f->fds[n], group_size, n, 1), 0);
	}
}

/* Sends a datagram to a socket and waits until it arrives. */
static void send_to(struct fixture *f, unsigned i)
{
	struct pollfd event = {.fd = f->fds[i], .events = POLLIN};

	assert_int_equal(sendto(f->sender, "x", 1, 0, &f->addresses[i].any, f->addresses[i].length), 1);
	assert_int_equal(poll(&event, 1, DEADLINE_MS), 1);
}

/* The sockets with a bit in mask are ready, and no other. */
static void assert_ready(struct fixture *f, unsigned mask)
{
	struct receiver *ready[RECEIVERS_READY_MAX];
	unsigned count = receivers_ready(&f->receivers, ready), found = 0;

	for (unsigned i = 0; i < count; i++) {
		assert_int_equal(ready[i]->fd, f->fds[ready[i]->only_flow]);
		assert_int_equal(found & 1U << ready[i]->only_flow, 0);
		found |= 1U << ready[i]->only_flow;
	}
	assert_int_equal(found, mask);
}

static void test_small_group_is_always_ready(void **state)
{
	struct fixture *f = *state;

	add(f, RECEIVERS_UNWATCHED_PER_GROUP, RECEIVERS_UNWATCHED_PER_GROUP);
	assert_ready(f, 0xf);
	send_to(f, 1);
	assert_ready(f, 0xf);
}

static void test_large_group_is_ready_with_data(void **state)
{
	struct fixture *f = *state;

	add(f, RECEIVERS_UNWATCHED_PER_GROUP + 1, RECEIVERS_UNWATCHED_PER_GROUP + 1);
	assert_ready(f, 0);
	send_to(f, 1);
	send_to(f, 4);
	assert_ready(f, 1U << 1 | 1U << 4);
}

static void test_groups_are_independent(void **state)
{
	struct fixture *f = *state;

	add(f, 2, 2);
	add(f, 1, UINT32_MAX);
	assert_ready(f, 3);
	send_to(f, 2);
	assert_ready(f, 7);
}

static void test_all_sockets_can_be_watched(void **state)
{
	struct fixture *f = *state;
	struct pollfd event;

	f->receivers.watch_all = true;
	add(f, 1, 1);
	assert_ready(f, 0);
	event = (struct pollfd){.fd = f->receivers.epoll_fd, .events = POLLIN};
	assert_int_equal(poll(&event, 1, 0), 0);
	send_to(f, 0);
	assert_int_equal(poll(&event, 1, 0), 1);
	assert_ready(f, 1);
}

static void test_echo_peer_has_no_trackers(void **state)
{
	struct fixture *f = *state;
	struct receiver *ready[RECEIVERS_READY_MAX];

	f->count = 2;
	for (unsigned i = 0; i < 2; i++)
		f->fds[i] = bound(&f->addresses[i]);
	assert_int_equal(receivers_add(&f->receivers, f->fds[0], 1, RECEIVER_ALL_FLOWS, 0), 0);
	assert_int_equal(receivers_add(&f->receivers, f->fds[1], 1, RECEIVER_ALL_FLOWS, 3), 0);
	assert_int_equal(receivers_ready(&f->receivers, ready), 2);
	assert_null(ready[0]->trackers);
	assert_non_null(ready[1]->trackers);
	assert_int_equal(ready[1]->trackers[2].next, 0);
}

static void test_closed_descriptor_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(receivers_add(&f->receivers, -1, UINT32_MAX, 0, 1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_small_group_is_always_ready, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_large_group_is_ready_with_data, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_groups_are_independent, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_all_sockets_can_be_watched, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_peer_has_no_trackers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_closed_descriptor_is_an_error, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

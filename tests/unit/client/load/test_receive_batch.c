#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/load/flows.h"
#include "client/load/receive_batch.h"
#include "client/load/send_batch.h"

#define DEADLINE_MS 20000

/* Limits of the kernel; 0: no limit. */
struct kernel {
	unsigned rejected_calls, messages_per_call;
	unsigned calls;
};

static struct kernel kernel;

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
int __real_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	if (kernel.calls++ < kernel.rejected_calls) {
		errno = EMSGSIZE;
		return -1;
	}
	if (kernel.messages_per_call && count > kernel.messages_per_call)
		count = kernel.messages_per_call;
	return __real_sendmmsg(fd, messages, count, flags);
}

struct fixture {
	struct receive_batch *batch;
	struct address address; /* address of the receiver */
	int receiver, sender; /* the sender is connected to the receiver */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || receive_batch_create(&f->batch))
		return -1;
	*state = f;
	kernel = (struct kernel){0};
	address_from_ip(&f->address, "127.0.0.1", 0);
	f->receiver = flows_open_socket(AF_INET, &f->address);
	f->sender = flows_open_socket(AF_INET, &f->address);
	getsockname(f->receiver, &f->address.any, &f->address.length);
	return connect(f->sender, &f->address.any, f->address.length);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	receive_batch_destroy(f->batch);
	close(f->receiver);
	close(f->sender);
	free(f);
	return 0;
}

static int receive(struct fixture *f, int fd)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&event, 1, DEADLINE_MS), 1);
	return receive_batch_receive(f->batch, fd);
}

static void assert_message(struct fixture *f, unsigned i, const char *text)
{
	struct received_message message = receive_batch_get(f->batch, i);

	assert_int_equal(message.size, strlen(text));
	assert_int_equal(message.segment, strlen(text));
	assert_memory_equal(message.data, text, strlen(text));
}

static void send_text(struct fixture *f, const char *text)
{
	assert_int_equal(send(f->sender, text, strlen(text), 0), strlen(text));
}

/* Sends a train of count datagrams of 100 bytes. */
static void send_train(struct fixture *f, unsigned count)
{
	struct send_batch *train;

	assert_int_equal(send_batch_create(&train, 100, count), 0);
	assert_int_equal(send_batch_send(train, f->sender, (struct probe){.run_id = 1}, count), count);
	send_batch_destroy(train);
}

/* Returns the number of datagrams in all messages, each of 100 bytes with the next sequence number. */
static unsigned count_datagrams(struct fixture *f, int message_count)
{
	unsigned datagrams = 0;

	for (int i = 0; i < message_count; i++) {
		struct received_message message = receive_batch_get(f->batch, (unsigned)i);

		assert_int_equal(message.segment, 100);
		for (size_t at = 0; at < message.size; at += message.segment) {
			struct probe probe;

			assert_true(probe_read(message.data + at, message.size - at, 1, &probe));
			assert_int_equal(probe.seq, datagrams);
			datagrams++;
		}
	}
	return datagrams;
}

static void test_messages_are_received_in_order(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(receive_batch_receive(f->batch, f->receiver), -EAGAIN);
	send_text(f, "one");
	send_text(f, "");
	send_text(f, "three");
	assert_int_equal(receive(f, f->receiver), 3);
	assert_message(f, 0, "one");
	assert_message(f, 1, "");
	assert_message(f, 2, "three");
	assert_int_equal(receive_batch_receive(f->batch, f->receiver), -EAGAIN);
}

static void test_batch_is_limited(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < RECEIVE_BATCH_MAX + 1; i++)
		send_text(f, i < RECEIVE_BATCH_MAX ? "a" : "last");
	assert_int_equal(receive(f, f->receiver), RECEIVE_BATCH_MAX);
	assert_int_equal(receive(f, f->receiver), 1);
	assert_message(f, 0, "last");
}

static void test_train_is_one_message(void **state)
{
	struct fixture *f = *state;

	send_train(f, 10);
	assert_int_equal(receive(f, f->receiver), 1);
	assert_int_equal(count_datagrams(f, 1), 10);
}

static void test_echo_returns_messages_to_their_sender(void **state)
{
	struct fixture *f = *state;

	send_text(f, "one");
	send_text(f, "");
	assert_int_equal(receive(f, f->receiver), 2);
	receive_batch_echo(f->batch, f->receiver);
	assert_int_equal(receive(f, f->sender), 2);
	assert_message(f, 0, "one");
	assert_message(f, 1, "");
}

static void test_echo_returns_a_train_as_a_train(void **state)
{
	struct fixture *f = *state;

	send_train(f, 10);
	assert_int_equal(receive(f, f->receiver), 1);
	receive_batch_echo(f->batch, f->receiver);
	assert_int_equal(receive(f, f->sender), 1);
	assert_int_equal(count_datagrams(f, 1), 10);
}

/* An echo shortens the buffers and removes the space for control messages. */
static void test_receive_after_echo(void **state)
{
	struct fixture *f = *state;

	send_text(f, "short");
	assert_int_equal(receive(f, f->receiver), 1);
	receive_batch_echo(f->batch, f->receiver);
	send_train(f, 10);
	assert_int_equal(receive(f, f->receiver), 1);
	assert_int_equal(count_datagrams(f, 1), 10);
}

static void test_echo_skips_rejected_messages(void **state)
{
	struct fixture *f = *state;

	send_text(f, "one");
	send_text(f, "two");
	send_text(f, "three");
	assert_int_equal(receive(f, f->receiver), 3);
	kernel = (struct kernel){.rejected_calls = 1, .messages_per_call = 1};
	receive_batch_echo(f->batch, f->receiver);
	assert_int_equal(kernel.calls, 3);
	assert_int_equal(receive(f, f->sender), 2);
	assert_message(f, 0, "two");
	assert_message(f, 1, "three");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_messages_are_received_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_batch_is_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_train_is_one_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_returns_messages_to_their_sender, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_returns_a_train_as_a_train, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_receive_after_echo, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_echo_skips_rejected_messages, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "client/load/load_plan.h"
#include "client/load/send_batch.h"
#include "tests/unit/support/loopback.h"

#define DEADLINE_MS 20000
#define RUN_ID 7

/* Returns a socket that is connected to the server. */
static int connected(const struct address *server)
{
	int fd = socket(server->any.sa_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, &server->any, server->length), 0);
	return fd;
}

static void assert_datagram(int fd, size_t size, uint64_t seq)
{
	struct pollfd event = {.fd = fd, .events = POLLIN};
	uint8_t data[LOAD_BYTES_MAX];
	struct probe probe;

	assert_int_equal(poll(&event, 1, DEADLINE_MS), 1);
	assert_int_equal(recv(fd, data, sizeof(data), 0), size);
	assert_true(probe_read(data, size, RUN_ID, &probe));
	assert_int_equal(probe.flow, 3);
	assert_int_equal(probe.seq, seq);
	assert_int_equal(probe.time_ns, 99);
	for (size_t i = PROBE_SIZE; i < size; i++)
		assert_int_equal(data[i], 'x');
}

/* Sends count datagrams from sequence number 5 on, and checks what arrives. */
static void assert_sent(unsigned size, unsigned train, unsigned count)
{
	struct probe first = {.run_id = RUN_ID, .flow = 3, .seq = 5, .time_ns = 99};
	struct send_batch *batch;
	struct address server;
	int receiver = bound(&server), sender = connected(&server);
	char byte;

	assert_int_equal(send_batch_create(&batch, size, train), 0);
	assert_int_equal(send_batch_send(batch, sender, first, count), count);
	for (unsigned i = 0; i < count; i++)
		assert_datagram(receiver, size, 5 + i);
	assert_int_equal(recv(receiver, &byte, 1, MSG_DONTWAIT), -1);
	send_batch_destroy(batch);
	close(receiver);
	close(sender);
}

static void test_capacity(void **state)
{
	static const struct {
		unsigned size, train, capacity;
	} cases[] = {{PROBE_SIZE, 1, SEND_BATCH_MAX},
		     {1000, 1, SEND_BATCH_MAX},
		     {LOAD_BYTES_MAX / SEND_BATCH_MAX + 1, 1, SEND_BATCH_MAX - 1},
		     {LOAD_BYTES_MAX, 1, 1},
		     {100, 10, 10}};
	struct send_batch *batch;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(send_batch_create(&batch, cases[i].size, cases[i].train), 0);
		assert_int_equal(send_batch_capacity(batch), cases[i].capacity);
		send_batch_destroy(batch);
	}
	send_batch_destroy(NULL);
}

static void test_datagrams_are_numbered(void **state)
{
	(void)state;
	assert_sent(PROBE_SIZE, 1, 1);
	assert_sent(100, 1, SEND_BATCH_MAX);
	assert_sent(LOAD_BYTES_MAX, 1, 1);
}

static void test_train_arrives_as_datagrams(void **state)
{
	(void)state;
	assert_sent(100, 10, 10);
	assert_sent(100, 10, 3);
}

static void test_segment_size_is_in_the_control_message(void **state)
{
	_Alignas(struct cmsghdr) uint8_t control[SEND_BATCH_CONTROL_SIZE];
	struct msghdr message = {0};
	struct cmsghdr *c;
	uint16_t segment;

	(void)state;
	send_batch_set_segment(&message, control, 1400);
	c = CMSG_FIRSTHDR(&message);
	assert_non_null(c);
	assert_int_equal(c->cmsg_level, SOL_UDP);
	assert_int_equal(c->cmsg_type, UDP_SEGMENT);
	assert_int_equal(c->cmsg_len, CMSG_LEN(sizeof(segment)));
	memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	assert_int_equal(segment, 1400);
	assert_null(CMSG_NXTHDR(&message, c));
}

static void test_error_is_negative_errno(void **state)
{
	struct send_batch *batch;

	(void)state;
	assert_int_equal(send_batch_create(&batch, 100, 1), 0);
	assert_int_equal(send_batch_send(batch, -1, (struct probe){0}, 2), -EBADF);
	send_batch_destroy(batch);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_capacity),
		cmocka_unit_test(test_datagrams_are_numbered),
		cmocka_unit_test(test_train_arrives_as_datagrams),
		cmocka_unit_test(test_segment_size_is_in_the_control_message),
		cmocka_unit_test(test_error_is_negative_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

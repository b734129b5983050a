/* Control messages, valid and invalid ones, and batches from real sockets. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/udp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "datapath/rx_batch.h"

struct control {
	_Alignas(struct cmsghdr) uint8_t bytes[256];
	struct msghdr message;
};

static void control_begin(struct control *control)
{
	memset(control, 0, sizeof(*control));
	control->message.msg_control = control->bytes;
}

static void control_put(struct control *control, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)(control->bytes + control->message.msg_controllen);

	*c = (struct cmsghdr){.cmsg_len = CMSG_LEN(size), .cmsg_level = level, .cmsg_type = type};
	memcpy(CMSG_DATA(c), data, size);
	control->message.msg_controllen += CMSG_SPACE(size);
}

static void put_segment(struct control *control, int segment)
{
	control_put(control, SOL_UDP, UDP_GRO, &segment, sizeof(segment));
}

static void read_control(struct train *train, struct msghdr *message, uint32_t size)
{
	static struct pktinfo local;

	rx_batch_parse_cmsgs(train, &local, message, size);
}

static void single_datagram_is_a_train_of_one(void **state)
{
	(void)state;
	struct control control;
	struct train train = {0};

	control_begin(&control);
	read_control(&train, &control.message, 12);
	assert_int_equal(train.count, 1);
	assert_int_equal(train.segment, 12);
	assert_int_equal(train.drop, DROP_NONE);
	assert_null(train.local);

	read_control(&train, &control.message, 0);
	assert_int_equal(train.count, 1);
	assert_int_equal(train.segment, 0);
	assert_int_equal(train_datagram_size(&train, 0), 0);
}

static void segment_size_makes_a_train(void **state)
{
	(void)state;
	struct control control;
	struct train train = {0};

	control_begin(&control);
	put_segment(&control, 100);
	read_control(&train, &control.message, 450);
	assert_int_equal(train.count, 5);
	assert_int_equal(train_datagram_size(&train, 0), 100);
	assert_int_equal(train_datagram_size(&train, 3), 100);
	assert_int_equal(train_datagram_size(&train, 4), 50);

	read_control(&train, &control.message, 400);
	assert_int_equal(train.count, 4);
	assert_int_equal(train_datagram_size(&train, 3), 100);

	read_control(&train, &control.message, 100);
	assert_int_equal(train.count, 1);
}

static void impossible_segment_size_is_malformed(void **state)
{
	(void)state;
	struct control control;
	struct train train = {0};

	control_begin(&control);
	put_segment(&control, -1);
	read_control(&train, &control.message, 450);
	assert_int_equal(train.drop, DROP_MALFORMED);
	assert_int_equal(train.count, 1);

	control_begin(&control);
	put_segment(&control, 1);
	read_control(&train, &control.message, TRAIN_MAX);
	assert_int_equal(train.drop, DROP_NONE);
	read_control(&train, &control.message, TRAIN_MAX + 1);
	assert_int_equal(train.drop, DROP_MALFORMED);

	control_begin(&control);
	control.message.msg_flags = MSG_CTRUNC;
	read_control(&train, &control.message, 10);
	assert_int_equal(train.drop, DROP_MALFORMED);

	control.message.msg_flags = MSG_TRUNC;
	read_control(&train, &control.message, 70000);
	assert_int_equal(train.drop, DROP_TOO_LARGE);
	assert_int_equal(train.size, 70000);
}

static void control_message_of_a_wrong_length_is_ignored(void **state)
{
	(void)state;
	struct control control;
	struct train train = {0};
	uint8_t little = 7;

	control_begin(&control);
	control_put(&control, SOL_UDP, UDP_GRO, &little, sizeof(little));
	control_put(&control, IPPROTO_IP, IP_PKTINFO, &little, sizeof(little));
	control_put(&control, IPPROTO_IPV6, IPV6_PKTINFO, &little, sizeof(little));
	read_control(&train, &control.message, 100);
	assert_int_equal(train.count, 1);
	assert_null(train.local);
}

static void pktinfo_has_destination_and_reply_source(void **state)
{
	(void)state;
	struct control control;
	struct train train = {0};
	struct in_pktinfo v4 = {.ipi_ifindex = 2};
	struct in6_pktinfo v6 = {.ipi6_ifindex = 3};

	inet_pton(AF_INET, "239.1.2.3", &v4.ipi_addr);
	inet_pton(AF_INET, "192.0.2.7", &v4.ipi_spec_dst);
	control_begin(&control);
	control_put(&control, IPPROTO_IP, IP_PKTINFO, &v4, sizeof(v4));
	read_control(&train, &control.message, 1);
	assert_memory_equal(&train.local->destination.v4.sin_addr, &v4.ipi_addr, 4);
	assert_memory_equal(&train.local->reply_source.v4.sin_addr, &v4.ipi_spec_dst, 4);

	inet_pton(AF_INET6, "fe80::1", &v6.ipi6_addr);
	control_begin(&control);
	control_put(&control, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	read_control(&train, &control.message, 1);
	assert_memory_equal(&train.local->reply_source.v6.sin6_addr, &v6.ipi6_addr, 16);
	assert_int_equal(train.local->reply_source.v6.sin6_scope_id, 3);

	inet_pton(AF_INET6, "ff02::5", &v6.ipi6_addr);
	control_begin(&control);
	control_put(&control, IPPROTO_IPV6, IPV6_PKTINFO, &v6, sizeof(v6));
	read_control(&train, &control.message, 1);
	assert_memory_equal(&train.local->destination.v6.sin6_addr, &v6.ipi6_addr, 16);
	assert_int_equal(train.local->reply_source.length, 0);
}

static void batch_has_the_waiting_datagrams_up_to_its_limit(void **state)
{
	(void)state;
	struct rx_batch *batch;
	struct train *trains;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, fds), 0);
	assert_int_equal(rx_batch_create(&batch), 0);
	assert_int_equal(rx_batch_recv(batch, 0, fds[1], false, RX_BATCH_TRAINS, &trains), 0);
	assert_int_equal(write(fds[0], "one", 3), 3);
	assert_int_equal(write(fds[0], "", 0), 0);
	assert_int_equal(write(fds[0], "three", 5), 5);
	assert_int_equal(rx_batch_recv(batch, 0, fds[1], false, 2, &trains), 2);
	assert_memory_equal(trains[0].data, "one", 3);
	assert_int_equal(trains[1].size, 0);
	assert_int_equal(trains[0].source.any.sa_family, AF_UNIX);
	assert_int_equal(rx_batch_recv(batch, 0, fds[1], false, RX_BATCH_TRAINS, &trains), 1);
	assert_memory_equal(trains[0].data, "three", 5);
	rx_batch_destroy(batch);
	close(fds[0]);
	close(fds[1]);
	assert_true(rx_batch_create(&batch) == 0);
	assert_true(rx_batch_recv(batch, 0, -1, true, 1, &trains) < 0);
	rx_batch_destroy(batch);
}

#define MANY 50000

static void *write_many(void *fd)
{
	for (uint32_t i = 0; i < MANY; i++) {
		if (write(*(int *)fd, &i, sizeof(i)) != sizeof(i))
			break;
	}
	return NULL;
}

/* A thread writes while the batches are read. */
static void concurrent_datagrams_arrive_in_order(void **state)
{
	(void)state;
	struct rx_batch *batch;
	struct train *trains;
	pthread_t writer;
	uint32_t expected = 0, number;
	int fds[2], received;

	assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, fds), 0);
	assert_int_equal(rx_batch_create(&batch), 0);
	assert_int_equal(pthread_create(&writer, NULL, write_many, &fds[0]), 0);
	while (expected < MANY) {
		received = rx_batch_recv(batch, 0, fds[1], false, RX_BATCH_TRAINS, &trains);
		assert_in_range(received, 0, RX_BATCH_TRAINS);
		for (int i = 0; i < received; i++, expected++) {
			assert_int_equal(trains[i].size, sizeof(number));
			memcpy(&number, trains[i].data, sizeof(number));
			assert_int_equal(number, expected);
		}
	}
	pthread_join(writer, NULL);
	rx_batch_destroy(batch);
	close(fds[0]);
	close(fds[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_datagram_is_a_train_of_one),
		cmocka_unit_test(segment_size_makes_a_train),
		cmocka_unit_test(impossible_segment_size_is_malformed),
		cmocka_unit_test(control_message_of_a_wrong_length_is_ignored),
		cmocka_unit_test(pktinfo_has_destination_and_reply_source),
		cmocka_unit_test(batch_has_the_waiting_datagrams_up_to_its_limit),
		cmocka_unit_test(concurrent_datagrams_arrive_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

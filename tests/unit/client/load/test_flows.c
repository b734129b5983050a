#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "client/load/flows.h"

/* A replacement for the kernel, which records the datagrams. */
struct kernel {
	int error; /* errno of every call; 0: success */
	unsigned capacity; /* messages that one call accepts */
	unsigned calls, datagrams, segment;
	uint64_t last_seq, last_time_ns;
};

static struct kernel kernel;

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

static void record_message(const struct msghdr *message)
{
	const struct iovec *data = message->msg_iov;
	struct probe probe;

	kernel.segment = 0;
	if (message->msg_controllen)
		memcpy(&kernel.segment, CMSG_DATA((struct cmsghdr *)message->msg_control), sizeof(uint16_t));
	size_t each = kernel.segment ? kernel.segment : data->iov_len;

	assert_int_equal(data->iov_len % each, 0);
	for (size_t at = 0; at < data->iov_len; at += each) {
		memcpy(&probe, (uint8_t *)data->iov_base + at, sizeof(probe));
		kernel.last_seq = probe.seq;
		kernel.last_time_ns = probe.time_ns;
		kernel.datagrams++;
	}
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	(void)fd;
	assert_true(flags & MSG_DONTWAIT);
	kernel.calls++;
	errno = kernel.error;
	if (kernel.error)
		return -1;
	if (count > kernel.capacity)
		count = kernel.capacity;
	for (unsigned i = 0; i < count; i++)
		record_message(&messages[i].msg_hdr);
	return (int)count;
}

struct fixture {
	struct load_plan plan;
	struct load_result *result;
	struct flows flows;
};

static void set_up(struct fixture *fixture, struct load_plan plan)
{
	kernel = (struct kernel){.capacity = UINT32_MAX};
	fixture->plan = plan;
	fixture->plan.size = 100;
	assert_int_equal(address_parse(&fixture->plan.target, "127.0.0.1:9"), 0);
	fixture->result = calloc(1, sizeof(*fixture->result));
	assert_non_null(fixture->result);
	assert_int_equal(flows_open(&fixture->flows, &fixture->plan, fixture->result), 0);
}

static void tear_down(struct fixture *fixture)
{
	flows_close(&fixture->flows);
	free(fixture->result);
}

static void test_window_is_filled(void **state)
{
	struct fixture fixture;
	struct flow *flow;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 2, .train = 1, .depth = 100});
	flow = &fixture.flows.all[1];
	flows_fill_window(&fixture.flows, 1);
	assert_int_equal(kernel.datagrams, 100);
	assert_int_equal(kernel.calls, 2); /* at most 64 in one call */
	assert_int_equal(kernel.last_seq, 99);
	assert_int_equal(fixture.flows.all[0].sent, 0);
	flow->replies = 24; /* less than a quarter of the window */
	flows_fill_window(&fixture.flows, 1);
	assert_int_equal(flow->sent, 100);
	flow->replies = 25;
	flows_fill_window(&fixture.flows, 1);
	assert_int_equal(flow->sent, 125);
	flows_time_out(&fixture.flows);
	flows_fill_window(&fixture.flows, 1);
	assert_int_equal(flow->sent, 225);
	flow->replies = 300; /* includes duplicates and replies that timed out */
	flows_fill_window(&fixture.flows, 1);
	assert_int_equal(flow->sent, 325);
	assert_int_equal(fixture.result->sent, 325);
	tear_down(&fixture);
}

/* Every receiver gets each datagram. */
static void test_window_waits_for_all_receivers(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 1, .train = 1, .depth = 8, .receivers = 3});
	flows_fill_window(&fixture.flows, 0);
	fixture.flows.all[0].replies = 5;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(kernel.datagrams, 8);
	fixture.flows.all[0].replies = 6;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(kernel.datagrams, 10);
	tear_down(&fixture);
}

static void test_only_whole_trains_are_sent(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 1, .train = 7, .depth = 20});
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(kernel.datagrams, 14);
	assert_int_equal(kernel.calls, 2);
	assert_int_equal(kernel.segment, 100);
	fixture.flows.all[0].replies = 1;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(kernel.datagrams, 21);
	tear_down(&fixture);
}

/* Datagrams that the kernel did not accept are sent again with the same sequence numbers. */
static void test_rejected_datagrams_are_sent_again(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 1, .train = 1, .depth = 10});
	kernel.capacity = 3;
	kernel.error = EAGAIN;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(fixture.flows.all[0].sent, 0);
	assert_int_equal(kernel.calls, 1);
	assert_int_equal(fixture.result->error + fixture.result->refused_errno, 0);
	kernel.error = 0;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(fixture.flows.all[0].sent, 10);
	assert_int_equal(kernel.last_seq, 9);
	tear_down(&fixture);
}

static void test_icmp_errors_are_not_fatal(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 1, .train = 1, .depth = 1});
	for (int i = 0; i < 2; i++) {
		kernel.error = i ? EHOSTUNREACH : ECONNREFUSED;
		flows_fill_window(&fixture.flows, 0);
	}
	assert_int_equal(fixture.result->refused, 2);
	assert_int_equal(fixture.result->refused_errno, ECONNREFUSED);
	assert_int_equal(fixture.result->error, 0);
	kernel.error = EMSGSIZE;
	flows_fill_window(&fixture.flows, 0);
	assert_int_equal(fixture.result->error, EMSGSIZE);
	tear_down(&fixture);
}

/* The flows send one after another. The first datagram is due at once. Each carries the time at which it was due,
 * even if it is sent later. */
static void test_due_datagrams_are_sent(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 3, .train = 1, .rate = 1000});
	flows_send_due(&fixture.flows, 5000, 0);
	assert_int_equal(kernel.datagrams, 1);
	assert_int_equal(flows_next_due_ns(&fixture.flows), 1000000);
	flows_send_due(&fixture.flows, 5000, 999999);
	assert_int_equal(kernel.datagrams, 1);
	flows_send_due(&fixture.flows, 5000, 3999999);
	assert_int_equal(kernel.datagrams, 4);
	assert_int_equal(kernel.last_time_ns, 5000 + 3000000);
	assert_int_equal(fixture.flows.all[0].sent, 2);
	assert_int_equal(fixture.flows.all[2].sent, 1);
	kernel.error = EAGAIN;
	flows_send_due(&fixture.flows, 5000, 4500000);
	kernel.error = 0;
	flows_send_due(&fixture.flows, 5000, 9000000);
	assert_int_equal(kernel.datagrams, 10);
	assert_int_equal(kernel.last_time_ns, 5000 + 9000000);
	tear_down(&fixture);
}

static void test_train_is_due_as_a_whole(void **state)
{
	struct fixture fixture;

	(void)state;
	set_up(&fixture, (struct load_plan){.flows = 1, .train = 10, .rate = 1000});
	flows_send_due(&fixture.flows, 0, 9999999);
	assert_int_equal(kernel.datagrams, 10);
	assert_int_equal(flows_next_due_ns(&fixture.flows), 10000000);
	flows_send_due(&fixture.flows, 0, 10000000);
	assert_int_equal(kernel.datagrams, 20);
	assert_int_equal(kernel.last_time_ns, 10000000);
	tear_down(&fixture);
}

/* The number is the one that would have been sent in time. No datagram is due exactly at the end. */
static void test_unsent_datagrams_are_counted(void **state)
{
	static const struct {
		unsigned rate, train;
		uint64_t end_ns;
	} cases[] = {{1000, 1, 500000000},    {1000, 1, 500000001}, {3, 1, 1000000000}, {7, 2, 1000000000}, {1, 1, 1},
		     {333, 64, 3600000000000}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct fixture fixture;
		uint64_t unsent, most = cases[i].end_ns - 1;

		set_up(&fixture, (struct load_plan){.flows = 1, .train = cases[i].train, .rate = cases[i].rate});
		unsent = flows_count_unsent(&fixture.flows, cases[i].end_ns);
		while (flows_next_due_ns(&fixture.flows) <= most)
			flows_send_due(&fixture.flows, 0, most);
		assert_int_equal(unsent, kernel.datagrams);
		assert_int_equal(flows_count_unsent(&fixture.flows, cases[i].end_ns), 0);
		tear_down(&fixture);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_window_is_filled),
		cmocka_unit_test(test_window_waits_for_all_receivers),
		cmocka_unit_test(test_only_whole_trains_are_sent),
		cmocka_unit_test(test_rejected_datagrams_are_sent_again),
		cmocka_unit_test(test_icmp_errors_are_not_fatal),
		cmocka_unit_test(test_due_datagrams_are_sent),
		cmocka_unit_test(test_train_is_due_as_a_whole),
		cmocka_unit_test(test_unsent_datagrams_are_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

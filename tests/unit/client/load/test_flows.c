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

/* What the kernel is given, and what it makes of that. */
struct kernel {
	int error; /* of every call */
	unsigned most; /* messages that a call takes */
	unsigned calls, datagrams, segment;
	uint64_t last_seq, last_time_ns;
};

static struct kernel kernel;

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);

static void note(const struct msghdr *message)
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
	if (count > kernel.most)
		count = kernel.most;
	for (unsigned i = 0; i < count; i++)
		note(&messages[i].msg_hdr);
	return (int)count;
}

struct setting {
	struct load_plan plan;
	struct load_result *result;
	struct flows flows;
};

static void begin(struct setting *setting, struct load_plan plan)
{
	kernel = (struct kernel){.most = UINT32_MAX};
	setting->plan = plan;
	setting->plan.size = 100;
	assert_int_equal(address_parse(&setting->plan.target, "127.0.0.1:9"), 0);
	setting->result = calloc(1, sizeof(*setting->result));
	assert_non_null(setting->result);
	assert_int_equal(flows_open(&setting->flows, &setting->plan, setting->result), 0);
}

static void end(struct setting *setting)
{
	flows_close(&setting->flows);
	free(setting->result);
}

static void a_window_is_filled(void **state)
{
	struct setting setting;
	struct flow *flow;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 2, .train = 1, .depth = 100});
	flow = &setting.flows.all[1];
	flows_fill(&setting.flows, 1);
	assert_int_equal(kernel.datagrams, 100);
	assert_int_equal(kernel.calls, 2); /* of at most 64 each */
	assert_int_equal(kernel.last_seq, 99);
	assert_int_equal(setting.flows.all[0].sent, 0);
	flow->answers = 24; /* not yet a quarter */
	flows_fill(&setting.flows, 1);
	assert_int_equal(flow->sent, 100);
	flow->answers = 25;
	flows_fill(&setting.flows, 1);
	assert_int_equal(flow->sent, 125);
	flows_write_off(&setting.flows);
	flows_fill(&setting.flows, 1);
	assert_int_equal(flow->sent, 225);
	flow->answers = 300; /* duplicates, and what was given up */
	flows_fill(&setting.flows, 1);
	assert_int_equal(flow->sent, 325);
	assert_int_equal(setting.result->sent, 325);
	end(&setting);
}

/* Every datagram comes to each receiver. */
static void room_is_made_by_all_receivers(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 1, .train = 1, .depth = 8, .receivers = 3});
	flows_fill(&setting.flows, 0);
	setting.flows.all[0].answers = 5;
	flows_fill(&setting.flows, 0);
	assert_int_equal(kernel.datagrams, 8);
	setting.flows.all[0].answers = 6;
	flows_fill(&setting.flows, 0);
	assert_int_equal(kernel.datagrams, 10);
	end(&setting);
}

static void only_whole_trains_leave(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 1, .train = 7, .depth = 20});
	flows_fill(&setting.flows, 0);
	assert_int_equal(kernel.datagrams, 14);
	assert_int_equal(kernel.calls, 2);
	assert_int_equal(kernel.segment, 100);
	setting.flows.all[0].answers = 1;
	flows_fill(&setting.flows, 0);
	assert_int_equal(kernel.datagrams, 21);
	end(&setting);
}

/* What the kernel has no room for is tried again, and gets the same numbers. */
static void what_is_not_taken_is_not_sent(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 1, .train = 1, .depth = 10});
	kernel.most = 3;
	kernel.error = EAGAIN;
	flows_fill(&setting.flows, 0);
	assert_int_equal(setting.flows.all[0].sent, 0);
	assert_int_equal(kernel.calls, 1);
	assert_int_equal(setting.result->error + setting.result->refusal, 0);
	kernel.error = 0;
	flows_fill(&setting.flows, 0);
	assert_int_equal(setting.flows.all[0].sent, 10);
	assert_int_equal(kernel.last_seq, 9);
	end(&setting);
}

static void errors_are_told_apart(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 1, .train = 1, .depth = 1});
	for (int i = 0; i < 2; i++) {
		kernel.error = i ? EHOSTUNREACH : ECONNREFUSED;
		flows_fill(&setting.flows, 0);
	}
	assert_int_equal(setting.result->refused, 2);
	assert_int_equal(setting.result->refusal, ECONNREFUSED);
	assert_int_equal(setting.result->error, 0);
	kernel.error = EMSGSIZE;
	flows_fill(&setting.flows, 0);
	assert_int_equal(setting.result->error, EMSGSIZE);
	end(&setting);
}

/* By turns, the first at once, and each with the time when it was due, however late it leaves. */
static void what_is_due_is_sent(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 3, .train = 1, .rate = 1000});
	flows_pace(&setting.flows, 5000, 0);
	assert_int_equal(kernel.datagrams, 1);
	assert_int_equal(flows_next_due(&setting.flows), 1000000);
	flows_pace(&setting.flows, 5000, 999999);
	assert_int_equal(kernel.datagrams, 1);
	flows_pace(&setting.flows, 5000, 3999999);
	assert_int_equal(kernel.datagrams, 4);
	assert_int_equal(kernel.last_time_ns, 5000 + 3000000);
	assert_int_equal(setting.flows.all[0].sent, 2);
	assert_int_equal(setting.flows.all[2].sent, 1);
	kernel.error = EAGAIN;
	flows_pace(&setting.flows, 5000, 4500000);
	kernel.error = 0;
	flows_pace(&setting.flows, 5000, 9000000);
	assert_int_equal(kernel.datagrams, 10);
	assert_int_equal(kernel.last_time_ns, 5000 + 9000000);
	end(&setting);
}

static void a_train_is_due_as_one(void **state)
{
	struct setting setting;

	(void)state;
	begin(&setting, (struct load_plan){.flows = 1, .train = 10, .rate = 1000});
	flows_pace(&setting.flows, 0, 9999999);
	assert_int_equal(kernel.datagrams, 10);
	assert_int_equal(flows_next_due(&setting.flows), 10000000);
	flows_pace(&setting.flows, 0, 10000000);
	assert_int_equal(kernel.datagrams, 20);
	assert_int_equal(kernel.last_time_ns, 10000000);
	end(&setting);
}

/* As many as would have left, had there been the time: no more are due at the very end. */
static void what_is_unsent_is_known(void **state)
{
	static const struct {
		unsigned rate, train;
		uint64_t end_ns;
	} cases[] = {{1000, 1, 500000000},    {1000, 1, 500000001}, {3, 1, 1000000000}, {7, 2, 1000000000}, {1, 1, 1},
		     {333, 64, 3600000000000}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct setting setting;
		uint64_t unsent, most = cases[i].end_ns - 1;

		begin(&setting, (struct load_plan){.flows = 1, .train = cases[i].train, .rate = cases[i].rate});
		unsent = flows_unsent(&setting.flows, cases[i].end_ns);
		while (flows_next_due(&setting.flows) <= most)
			flows_pace(&setting.flows, 0, most);
		assert_int_equal(unsent, kernel.datagrams);
		assert_int_equal(flows_unsent(&setting.flows, cases[i].end_ns), 0);
		end(&setting);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_window_is_filled),      cmocka_unit_test(room_is_made_by_all_receivers),
		cmocka_unit_test(only_whole_trains_leave), cmocka_unit_test(what_is_not_taken_is_not_sent),
		cmocka_unit_test(errors_are_told_apart),   cmocka_unit_test(what_is_due_is_sent),
		cmocka_unit_test(a_train_is_due_as_one),   cmocka_unit_test(what_is_unsent_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

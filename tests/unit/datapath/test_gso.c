/* Messages for sendmmsg(2). They are only built, not sent. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#include "datapath/gso.h"

#define CHUNKS 8

struct fixture {
	struct tx_chunk chunks[CHUNKS];
	uint8_t data[CHUNKS][1000];
	struct address to, from;
	struct tx_socket tx;
	struct tx_flow flow;
	struct tx_messages messages;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	if (!f)
		return -1;
	address_parse(&f->to, "192.0.2.1:9");
	address_parse(&f->from, "192.0.2.2:9");
	f->tx = (struct tx_socket){.gso = true, .first = &f->flow, .last = &f->flow};
	f->flow = (struct tx_flow){.destination = {.socket = &f->tx, .to = &f->to}};
	f->messages.chunks = f->chunks;
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

/* Fills in count chunks of one datagram each, with these sizes. */
static void fill(struct fixture *f, const uint32_t *sizes, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		f->chunks[i] = (struct tx_chunk){.data = f->data[i],
						 .size = sizes[i],
						 .segment = sizes[i],
						 .count = 1,
						 .next = i + 1 < count ? i + 1 : TX_NONE};
}

static uint16_t segment_of(const struct tx_messages *messages, unsigned i)
{
	struct msghdr message = messages->headers[i].msg_hdr;
	uint16_t segment = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	return segment;
}

static void equal_datagrams_and_a_shorter_last_one_are_one_message(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {100, 100, 100, 40};

	fill(f, sizes, 4);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 1);
	assert_int_equal(f->messages.headers[0].msg_hdr.msg_iovlen, 4);
	assert_int_equal(segment_of(&f->messages, 0), 100);
	assert_int_equal(f->messages.items[0].count, 4);
	assert_ptr_equal(f->messages.headers[0].msg_hdr.msg_name, &f->to.any);
}

static void another_size_begins_a_new_message(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {100, 40, 100, 200, 200};

	fill(f, sizes, 5);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 3);
	assert_int_equal(f->messages.items[0].count, 2);
	assert_int_equal(f->messages.items[1].count, 1);
	assert_int_equal(segment_of(&f->messages, 1), 0);
	assert_int_equal(f->messages.items[2].count, 2);
	assert_int_equal(segment_of(&f->messages, 2), 200);
}

static void empty_datagram_is_a_message_of_its_own(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {0, 0, 100, 0};

	fill(f, sizes, 4);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 4);
}

static void refused_size_is_sent_as_single_datagrams_for_a_while(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {100, 100, 50, 50};

	fill(f, sizes, 4);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 2);
	gso_disable(&f->messages, &f->messages.items[0], false);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 3); /* smaller segments are still sent with GSO */
	gso_disable(&f->messages, &f->messages.items[2], true);
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 4);
	f->messages.now_ms += 24 * 3600 * 1000;
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 2);
}

static void source_address_is_in_the_control_message(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {100};
	struct in_pktinfo info;
	struct cmsghdr *c;

	fill(f, sizes, 1);
	f->flow.destination.from = &f->from;
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 1);
	c = CMSG_FIRSTHDR(&f->messages.headers[0].msg_hdr);
	assert_int_equal(c->cmsg_type, IP_PKTINFO);
	memcpy(&info, CMSG_DATA(c), sizeof(info));
	assert_int_equal(info.ipi_spec_dst.s_addr, f->from.v4.sin_addr.s_addr);
	assert_int_equal(info.ipi_ifindex, 0);
}

static void messages_of_a_long_chunk_are_contiguous(void **state)
{
	struct fixture *f = *state;
	const uint32_t sizes[] = {0, 100};
	const struct tx_message *items = f->messages.items;

	fill(f, sizes, 2);
	f->chunks[0] = (struct tx_chunk){.size = 50 * 2000, .segment = 2000, .count = 50, .next = 1};
	assert_int_equal(gso_build_messages(&f->messages, &f->tx), 2);
	assert_int_equal(items[0].count, 32); /* at most 64 KB in a message */
	assert_int_equal(items[0].end.chunk, 0);
	assert_int_equal(items[0].end.datagram, 32);
	assert_memory_equal(&items[1].begin, &items[0].end, sizeof(struct tx_cursor));
	assert_int_equal(items[1].count, 19);
	assert_int_equal(items[1].end.chunk, TX_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(equal_datagrams_and_a_shorter_last_one_are_one_message, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(another_size_begins_a_new_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(empty_datagram_is_a_message_of_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(refused_size_is_sent_as_single_datagrams_for_a_while, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(source_address_is_in_the_control_message, set_up, tear_down),
		cmocka_unit_test_setup_teardown(messages_of_a_long_chunk_are_contiguous, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The transmit batch with a simulated kernel: the linker replaces send() and sendmmsg(), which store the messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>

#include "datapath/tx_batch.h"

#define SENT_MAX 512
#define FD 77

/* One message that the kernel accepted. */
struct sent {
	int fd;
	char data[1024];
	size_t size;
	int segment; /* 0: no GSO */
	struct address to;
	bool pktinfo;
};

static struct {
	struct sent sent[SENT_MAX];
	int count;
	int calls;
	int take; /* messages that one call accepts at most */
	int errors[32]; /* errno of the next calls; 0: the call succeeds */
	int error_count, error_next;
	int refuse_gso; /* the errno for messages with UDP_SEGMENT, or 0 */
	uint16_t bad_port; /* a destination that fails with bad_error */
	int bad_error;
} kernel;

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t size, int flags);

static void keep(int fd, const struct msghdr *message)
{
	struct sent *sent = &kernel.sent[kernel.count++];

	*sent = (struct sent){.fd = fd};
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		assert_true(sent->size + message->msg_iov[i].iov_len <= sizeof(sent->data));
		memcpy(sent->data + sent->size, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
		sent->size += message->msg_iov[i].iov_len;
	}
	if (message->msg_name)
		memcpy(&sent->to.any, message->msg_name, message->msg_namelen);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR((struct msghdr *)message, c)) {
		uint16_t segment;

		sent->pktinfo |= c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO;
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT) {
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
			sent->segment = segment;
		}
	}
}

static int error_of(const struct msghdr *message)
{
	struct sockaddr_in to = {0};

	if (message->msg_name)
		memcpy(&to, message->msg_name, sizeof(to));
	if (kernel.bad_port && ntohs(to.sin_port) == kernel.bad_port)
		return kernel.bad_error;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR((struct msghdr *)message, c)) {
		if (c->cmsg_level == SOL_UDP && kernel.refuse_gso)
			return kernel.refuse_gso;
	}
	return 0;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	int taken = 0;

	(void)flags;
	kernel.calls++;
	if (kernel.error_next < kernel.error_count && kernel.errors[kernel.error_next++]) {
		errno = kernel.errors[kernel.error_next - 1];
		return -1;
	}
	for (; taken < (int)count && taken < kernel.take; taken++) {
		int error = error_of(&messages[taken].msg_hdr);

		if (error && !taken) {
			errno = error;
			return -1;
		}
		if (error)
			break;
		keep(fd, &messages[taken].msg_hdr);
	}
	return taken;
}

ssize_t __wrap_send(int fd, const void *data, size_t size, int flags)
{
	struct iovec vector = {(void *)data, size};
	struct mmsghdr message = {.msg_hdr = {.msg_iov = &vector, .msg_iovlen = 1}};

	return __wrap_sendmmsg(fd, &message, 1, flags) == 1 ? (ssize_t)size : -1;
}

struct fixture {
	struct tx_batch *batch;
	struct tx_socket tx;
	struct address to[64];
};

static int set_up(void **state)
{
	static struct fixture fixture;

	memset(&kernel, 0, sizeof(kernel));
	kernel.take = 1024;
	memset(&fixture, 0, sizeof(fixture));
	fixture.tx = (struct tx_socket){.fd = FD, .gso = true};
	for (uint16_t i = 0; i < 64; i++)
		address_from_ip(&fixture.to[i], "127.0.0.1", (uint16_t)(1000 + i));
	*state = &fixture;
	return tx_batch_create(&fixture.batch, 256, 80);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	tx_batch_destroy(f->batch);
	return 0;
}

static struct tx_chunk *add(struct fixture *f, int to, const char *data)
{
	struct tx_chunk *chunk;
	uint32_t size = (uint32_t)strlen(data);

	chunk = tx_batch_add(f->batch, &(struct tx_destination){.socket = &f->tx, .to = &f->to[to]},
			     (struct tx_payload){(const uint8_t *)data, size, size, 1});
	return chunk;
}

static void errors(int count, const int *list)
{
	memcpy(kernel.errors, list, (size_t)count * sizeof(*list));
	kernel.error_count = count;
}

static void run_to_one_destination_is_one_message(void **state)
{
	struct fixture *f = *state;

	add(f, 0, "aaaa");
	add(f, 1, "xx");
	add(f, 0, "bbbb");
	add(f, 0, "cc"); /* a shorter datagram ends the run */
	add(f, 0, "dddd");
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.calls, 1);
	assert_int_equal(kernel.count, 3);
	assert_int_equal(kernel.sent[0].segment, 4);
	assert_memory_equal(kernel.sent[0].data, "aaaabbbbcc", 10);
	assert_int_equal(kernel.sent[1].segment, 0);
	assert_memory_equal(kernel.sent[1].data, "dddd", 4);
	assert_memory_equal(kernel.sent[2].data, "xx", 2);
	assert_int_equal(address_port(&kernel.sent[2].to), 1001);
}

static void empty_datagram_is_a_message_of_its_own(void **state)
{
	struct fixture *f = *state;

	add(f, 0, "");
	add(f, 0, "");
	add(f, 0, "aa");
	add(f, 0, "");
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 4);
	for (int i = 0; i < 4; i++)
		assert_int_equal(kernel.sent[i].segment, 0);
	assert_int_equal(kernel.sent[2].size, 2);
}

static void long_train_is_cut_into_chunks(void **state)
{
	struct fixture *f = *state;
	struct tx_chunk *chunk;
	static const uint8_t data[640];

	chunk = tx_batch_add(f->batch, &(struct tx_destination){.socket = &f->tx, .to = &f->to[0]},
			     (struct tx_payload){data, 637, 5, 128});
	assert_int_equal(chunk[0].count, 64);
	assert_int_equal(chunk[0].size, 320);
	assert_int_equal(chunk[1].count, 64);
	assert_int_equal(chunk[1].size, 317);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 2);
	assert_int_equal(kernel.sent[0].size + kernel.sent[1].size, 637);
}

static void source_address_is_in_the_control_message(void **state)
{
	struct fixture *f = *state;
	struct address from;

	address_from_ip(&from, "127.0.0.2", 0);
	tx_batch_add(f->batch, &(struct tx_destination){.socket = &f->tx, .to = &f->to[0], .from = &from},
		     (struct tx_payload){(const uint8_t *)"a", 1, 1, 1});
	tx_batch_add(f->batch, &(struct tx_destination){.socket = &f->tx, .to = &f->to[0]},
		     (struct tx_payload){(const uint8_t *)"b", 1, 1, 1});
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 2);
	assert_true(kernel.sent[0].pktinfo);
	assert_false(kernel.sent[1].pktinfo);
}

static void partial_sendmmsg_loses_nothing(void **state)
{
	struct fixture *f = *state;

	kernel.take = 3;
	for (int i = 0; i < 10; i++)
		add(f, i, &"0123456789"[i]);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(address_port(&kernel.sent[i].to), 1000 + i);
}

static void refused_gso_is_repeated_as_single_datagrams_and_remembered(void **state)
{
	struct fixture *f = *state;
	static const int refusals[] = {EIO, EINVAL, EMSGSIZE};

	for (size_t r = 0; r < 3; r++) {
		int to = (int)r;

		kernel.count = 0;
		kernel.refuse_gso = refusals[r];
		struct tx_chunk *first = add(f, to, "aaaa");
		add(f, to, "bbbb");
		assert_true(tx_batch_flush(f->batch, 1));
		assert_int_equal(kernel.count, 2);
		assert_memory_equal(kernel.sent[0].data, "aaaa", 4);
		assert_memory_equal(kernel.sent[1].data, "bbbb", 4);
		assert_int_equal(first->dropped, 0);
		tx_batch_clear(f->batch);

		/* The refusal counts only for this destination. */
		kernel.refuse_gso = 0;
		kernel.count = 0;
		add(f, to, "aaaa");
		add(f, to, "bbbb");
		add(f, 40, "cccc");
		add(f, 40, "dddd");
		assert_true(tx_batch_flush(f->batch, 2));
		assert_int_equal(kernel.count, 3);
		assert_int_equal(kernel.sent[0].segment, 0);
		assert_int_equal(kernel.sent[2].segment, 4);
		tx_batch_clear(f->batch);

		/* Smaller segments fit a smaller MTU. A device without offload (EIO) accepts no GSO at all. */
		kernel.count = 0;
		add(f, to, "aa");
		add(f, to, "bb");
		assert_true(tx_batch_flush(f->batch, 3));
		assert_int_equal(kernel.count, refusals[r] == EIO ? 2 : 1);
		tx_batch_clear(f->batch);

		/* The refusal ends after some time. */
		kernel.count = 0;
		add(f, to, "aaaa");
		add(f, to, "bbbb");
		assert_true(tx_batch_flush(f->batch, 3600 * 1000));
		assert_int_equal(kernel.count, 1);
		tx_batch_clear(f->batch);
	}
}

static void unreachable_destination_drops_only_its_own_datagrams(void **state)
{
	struct fixture *f = *state;
	struct tx_chunk *chunks[5];

	kernel.bad_port = 1002;
	kernel.bad_error = ENETUNREACH;
	for (int i = 0; i < 5; i++)
		chunks[i] = add(f, i, "hello");
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 4);
	for (int i = 0; i < 5; i++)
		assert_int_equal((int)__builtin_popcountll(chunks[i]->dropped), i == 2);
	assert_int_equal(chunks[2]->reason, DROP_UNREACHABLE);
}

static void each_errno_has_its_drop_reason(void **state)
{
	struct fixture *f = *state;
	static const struct {
		int error;
		enum drop_reason reason;
	} cases[] = {{EMSGSIZE, DROP_MESSAGE_SIZE},
		     {EPERM, DROP_DENIED},
		     {EACCES, DROP_DENIED},
		     {ENETUNREACH, DROP_UNREACHABLE},
		     {EHOSTUNREACH, DROP_UNREACHABLE},
		     {EADDRNOTAVAIL, DROP_UNREACHABLE},
		     {ECONNREFUSED, DROP_REFUSED},
		     {EINVAL, DROP_SEND_ERROR},
		     {EDESTADDRREQ, DROP_SEND_ERROR}};

	kernel.bad_port = 1000;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		kernel.bad_error = cases[i].error;
		struct tx_chunk *chunk = add(f, 0, "x");
		assert_true(tx_batch_flush(f->batch, 1));
		assert_int_equal(chunk->dropped, 1);
		assert_int_equal(chunk->reason, cases[i].reason);
		tx_batch_clear(f->batch);
	}
}

static void full_send_buffer_waits_for_the_next_flush(void **state)
{
	struct fixture *f = *state;
	static const int full[] = {EAGAIN, ENOBUFS, 0};

	errors(3, full);
	struct tx_chunk *chunk = add(f, 0, "hello");
	assert_false(tx_batch_flush(f->batch, 1));
	assert_false(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 0);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 1);
	assert_int_equal(chunk->dropped, 0);
}

static void all_errors(int error)
{
	for (int i = 0; i < (int)(sizeof(kernel.errors) / sizeof(kernel.errors[0])); i++)
		kernel.errors[i] = error;
	kernel.error_count = sizeof(kernel.errors) / sizeof(kernel.errors[0]);
	kernel.error_next = 0;
}

/* Flushes every 10 ms until the batch is complete. Returns the time that this took. */
static uint64_t flush_until_done(struct fixture *f, uint64_t now_ms)
{
	uint64_t begin_ms = now_ms;

	while (!tx_batch_flush(f->batch, now_ms))
		now_ms += 10;
	return now_ms - begin_ms;
}

static void full_send_buffer_drops_after_its_wait_budget(void **state)
{
	struct fixture *f = *state;
	struct tx_chunk *chunk;

	all_errors(EAGAIN);
	chunk = add(f, 0, "hello");
	assert_int_equal(flush_until_done(f, 5000), TX_SOCKET_WAIT_BUDGET_MS);
	assert_int_equal(chunk->dropped, 1);
	assert_int_equal(chunk->reason, DROP_CONGESTED);
	tx_batch_clear(f->batch);

	all_errors(EAGAIN);
	chunk = add(f, 0, "hello"); /* the budget of this second is spent */
	assert_int_equal(flush_until_done(f, 5200), 0);
	assert_int_equal(chunk->dropped, 1);
	tx_batch_clear(f->batch);

	kernel.error_count = 0;
	chunk = add(f, 0, "hello"); /* a buffer with room gets its datagrams */
	assert_int_equal(flush_until_done(f, 5300), 0);
	assert_int_equal(chunk->dropped, 0);
	tx_batch_clear(f->batch);

	all_errors(EAGAIN);
	add(f, 0, "hello");
	assert_int_equal(flush_until_done(f, 6000), TX_SOCKET_WAIT_BUDGET_MS);
}

static void all_sockets_share_one_wait_budget(void **state)
{
	struct fixture *f = *state;
	struct tx_socket slow[4];
	uint64_t now_ms = 5000, waited_ms = 0;

	for (int i = 0; i < 4; i++) {
		slow[i] = (struct tx_socket){.fd = FD + i, .gso = true, .connected = true};
		all_errors(EAGAIN);
		tx_batch_add(f->batch, &(struct tx_destination){.socket = &slow[i]},
			     (struct tx_payload){(const uint8_t *)"hello", 5, 5, 1});
		uint64_t waited = flush_until_done(f, now_ms);

		waited_ms += waited;
		now_ms += waited + 1;
		tx_batch_clear(f->batch);
	}
	assert_int_equal(waited_ms, TX_WAIT_BUDGET_MS);
}

static void full_socket_does_not_delay_another_one(void **state)
{
	struct fixture *f = *state;
	struct tx_socket other = {.fd = FD + 1, .gso = true, .connected = true};
	static const int full[] = {EAGAIN};

	errors(1, full); /* for the first socket that is flushed */
	add(f, 0, "hello");
	tx_batch_add(f->batch, &(struct tx_destination){.socket = &other},
		     (struct tx_payload){(const uint8_t *)"world", 5, 5, 1});
	assert_false(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 1);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 2);
	assert_int_not_equal(kernel.sent[0].fd, kernel.sent[1].fd);
}

static void icmp_error_of_an_earlier_datagram_drops_nothing(void **state)
{
	struct fixture *f = *state;
	struct tx_socket peer = {.fd = FD, .gso = true, .connected = true};
	static const int refused[] = {ECONNREFUSED, ECONNREFUSED};
	struct tx_chunk *chunk;

	errors(2, refused);
	chunk = tx_batch_add(f->batch, &(struct tx_destination){.socket = &peer},
			     (struct tx_payload){(const uint8_t *)"hello", 5, 5, 1});
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(chunk->dropped, 0);
	assert_int_equal(kernel.count, 1);
	assert_int_equal(peer.icmp_errors, 2);
	assert_false(peer.broken);
}

/* The kernel converts ICMP errors to these numbers. */
static void each_pending_error_is_repeated(void **state)
{
	struct fixture *f = *state;
	static const int list[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, ENOPROTOOPT,
				   EPROTO,       EACCES,       EHOSTDOWN,   EMSGSIZE};
	struct tx_socket peer = {.fd = FD, .gso = true, .connected = true};
	struct tx_chunk *chunk;

	errors(8, list);
	chunk = tx_batch_add(f->batch, &(struct tx_destination){.socket = &peer},
			     (struct tx_payload){(const uint8_t *)"hello", 5, 5, 1});
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(chunk->dropped, 0);
	assert_int_equal(peer.icmp_errors, 7); /* a smaller path MTU is not counted */
	assert_false(peer.broken);
}

/* Returns the number of system calls for one datagram. All of them fail. */
static int failing_calls(struct fixture *f, struct tx_socket *peer, uint64_t now_ms)
{
	struct tx_chunk *chunk;

	for (int i = 0; i < 20; i++)
		kernel.errors[i] = ENETUNREACH;
	kernel.error_count = 20;
	kernel.error_next = kernel.calls = 0;
	chunk = tx_batch_add(f->batch, &(struct tx_destination){.socket = peer},
			     (struct tx_payload){(const uint8_t *)"hello", 5, 5, 1});
	assert_true(tx_batch_flush(f->batch, now_ms));
	assert_int_equal(chunk->dropped, 1);
	assert_int_equal(chunk->reason, DROP_UNREACHABLE);
	assert_true(peer->broken);
	tx_batch_clear(f->batch);
	return kernel.calls;
}

static void missing_route_has_a_bounded_cost(void **state)
{
	struct fixture *f = *state;
	struct tx_socket peer = {.fd = FD, .gso = true, .connected = true};

	assert_int_equal(failing_calls(f, &peer, 1000), 9);
	for (uint64_t now_ms = 1000; now_ms < 1100; now_ms += 9)
		assert_int_equal(failing_calls(f, &peer, now_ms), 2);
	assert_int_equal(failing_calls(f, &peer, 1100), 9);
	assert_int_equal(failing_calls(f, &peer, 1101), 2);
}

static void failure_within_a_run_drops_one_datagram(void **state)
{
	struct fixture *f = *state;
	static const int list[] = {EINVAL, 0, EMSGSIZE, 0}; /* the GSO send fails; then the second single datagram
							     * fails */

	errors(4, list);
	kernel.take = 1;
	struct tx_chunk *a = add(f, 0, "aaaa"), *b = add(f, 0, "bbbb"), *c = add(f, 0, "cccc");
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(a->dropped, 0);
	assert_int_equal(b->dropped, 1);
	assert_int_equal(c->dropped, 0);
	assert_int_equal(kernel.count, 2);
}

static void interrupted_send_is_repeated(void **state)
{
	struct fixture *f = *state;
	static const int list[] = {EINTR, EINTR};

	errors(2, list);
	struct tx_chunk *chunk = add(f, 0, "aaaa");
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(chunk->dropped, 0);
	assert_int_equal(kernel.count, 1);
}

static void full_unix_receiver_does_not_delay_another_one(void **state)
{
	struct fixture *f = *state;
	static const int list[] = {EAGAIN, 0, 0};

	f->tx.gso = false;
	errors(1, list);
	add(f, 0, "stalled");
	struct tx_chunk *other = add(f, 1, "well");
	assert_false(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 1);
	assert_memory_equal(kernel.sent[0].data, "well", 4);
	assert_int_equal(other->dropped, 0);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 2);
}

static void each_destination_keeps_its_order(void **state)
{
	struct fixture *f = *state;
	static const char digits[] = "0123";
	int next[64] = {0};

	for (int round = 0; round < 4; round++) {
		for (int to = 0; to < 64; to++) {
			tx_batch_add(f->batch, &(struct tx_destination){.socket = &f->tx, .to = &f->to[to]},
				     (struct tx_payload){(const uint8_t *)&digits[round], 1, 1, 1});
		}
	}
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.count, 64);
	for (int i = 0; i < 64; i++) {
		int to = address_port(&kernel.sent[i].to) - 1000;

		assert_memory_equal(kernel.sent[i].data, digits, 4);
		next[to]++;
	}
	for (int to = 0; to < 64; to++)
		assert_int_equal(next[to], 1);
}

static void dropped_chunk_is_never_sent(void **state)
{
	struct fixture *f = *state;
	struct tx_chunk *chunk;
	static const uint8_t data[300];

	chunk = tx_batch_add_dropped(f->batch, (struct tx_payload){data, 300, 3, 100}, DROP_UNRESOLVED);
	assert_int_equal((uint32_t)__builtin_popcountll(chunk[0].dropped), 64);
	assert_int_equal((uint32_t)__builtin_popcountll(chunk[1].dropped), 36);
	assert_int_equal(chunk[1].reason, DROP_UNRESOLVED);
	assert_true(tx_batch_flush(f->batch, 1));
	assert_int_equal(kernel.calls, 0);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(run_to_one_destination_is_one_message),
		test(empty_datagram_is_a_message_of_its_own),
		test(long_train_is_cut_into_chunks),
		test(source_address_is_in_the_control_message),
		test(partial_sendmmsg_loses_nothing),
		test(refused_gso_is_repeated_as_single_datagrams_and_remembered),
		test(unreachable_destination_drops_only_its_own_datagrams),
		test(each_errno_has_its_drop_reason),
		test(full_send_buffer_waits_for_the_next_flush),
		test(full_send_buffer_drops_after_its_wait_budget),
		test(all_sockets_share_one_wait_budget),
		test(full_socket_does_not_delay_another_one),
		test(icmp_error_of_an_earlier_datagram_drops_nothing),
		test(each_pending_error_is_repeated),
		test(missing_route_has_a_bounded_cost),
		test(failure_within_a_run_drops_one_datagram),
		test(interrupted_send_is_repeated),
		test(full_unix_receiver_does_not_delay_another_one),
		test(each_destination_keeps_its_order),
		test(dropped_chunk_is_never_sent),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

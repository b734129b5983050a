/* The relay of a worker in a real loop. The linker replaces functions so that send buffers are full and sockets cannot
 * be read for as long as a test needs. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <limits.h>

#include "datapath/pipeline.h"
#include "relay/relay_action.h"
#include "tests/unit/relay/relay_fixture.h"
#include "worker/reply_poller.h"

#define TIMEOUT_MS 10000
#define SESSIONS 1000

/* The number of sessions that one tick of the resume timer tries at most (reply_poller.c). */
#define RESUME_SESSIONS 64

/* Flushes find a full send buffer. */
static bool full;

/* A socket that cannot be read. */
#define ANY_FD -2
static int broken_fd, broken_error;
static unsigned attempts, failures_left; /* to read it */

static unsigned ticks; /* runs of the resume timer and pauses of a drain */
static void (*on_tick)(struct paused_sessions *paused); /* called before sessions resume; NULL: none */

bool __real_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms);
bool __wrap_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms);
int __real_rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit,
			 struct train **trains);
int __wrap_rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit,
			 struct train **trains);
int __real_rx_batch_recv_one(struct rx_batch *batch, unsigned offset, int fd, struct train **trains);
int __wrap_rx_batch_recv_one(struct rx_batch *batch, unsigned offset, int fd, struct train **trains);
void __real_paused_sessions_resume(struct paused_sessions *paused, unsigned max);
void __wrap_paused_sessions_resume(struct paused_sessions *paused, unsigned max);

bool __wrap_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms)
{
	return !full && __real_tx_batch_flush(tx_batch, now_ms);
}

static bool read_fails(int fd)
{
	if ((broken_fd != ANY_FD && fd != broken_fd) || !failures_left)
		return false;
	attempts++;
	failures_left--;
	return true;
}

int __wrap_rx_batch_recv(struct rx_batch *batch, unsigned offset, int fd, bool udp, unsigned limit,
			 struct train **trains)
{
	return read_fails(fd) ? -broken_error : __real_rx_batch_recv(batch, offset, fd, udp, limit, trains);
}

int __wrap_rx_batch_recv_one(struct rx_batch *batch, unsigned offset, int fd, struct train **trains)
{
	return read_fails(fd) ? -broken_error : __real_rx_batch_recv_one(batch, offset, fd, trains);
}

void __wrap_paused_sessions_resume(struct paused_sessions *paused, unsigned max)
{
	ticks++;
	if (on_tick)
		on_tick(paused);
	__real_paused_sessions_resume(paused, max);
}

struct fixture {
	struct relay_fixture relay;
	struct pipeline pipeline;
	struct listener_counters counters;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct rx_batch *batch;
	uv_loop_t uv;
	uv_timer_t deadline;
	uv_prepare_t prepare; /* after timers */
	uv_check_t check; /* after the poll */
	bool (*condition)(const struct fixture *f); /* that ends the loop */
	bool timed_out;
	struct batch_scheduler scheduler;
	struct reply_poller poller;
	struct session *session;
	int client;
	struct address client_address;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *encodings[] = {(char *)"utf-8"};
	struct fixture *f = &fixture;

	full = false;
	broken_fd = -1;
	attempts = ticks = 0;
	on_tick = NULL;
	failures_left = UINT_MAX;
	memset(f, 0, sizeof(*f));
	relay_fixture_set_up(&f->relay);
	f->relay.config.encodings = encodings;
	f->relay.config.encoding_count = 1;
	f->relay.config.balance = BALANCE_FAILOVER;
	f->relay.config.idle_timeout_ms = 20;
	f->client = bound(&f->client_address);
	*state = f;
	return rx_batch_create(&f->batch);
}

/* Opens one session, with peer a. */
static void begin(struct fixture *f)
{
	struct relay_client client = {
		.client = &f->client_address, .local = &f->relay.local, .tx = &f->relay.client_tx};

	assert_int_equal(uv_loop_init(&f->uv), 0);
	uv_timer_init(&f->uv, &f->deadline);
	f->deadline.data = f;
	uv_prepare_init(&f->uv, &f->prepare);
	f->prepare.data = f;
	uv_check_init(&f->uv, &f->check);
	f->check.data = f;
	assert_int_equal(pipeline_init(&f->pipeline, &relay_action, &f->relay.config, f->relay.peer_sockets), 0);
	assert_int_equal(
		tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), pipeline_flows_max(&f->pipeline)), 0);
	batch_scheduler_init(&f->scheduler, &f->uv, f->batch, f->tx_batch);
	assert_int_equal(reply_poller_init(&f->poller, &f->scheduler, 1), 0);
	close(f->relay.epoll);
	f->relay.epoll = dup(f->poller.epoll);
	relay_fixture_begin(&f->relay);
	f->pipeline.delivery.tx_batch = f->tx_batch;
	f->pipeline.delivery.arena = &f->arena;
	f->pipeline.counters = &f->counters;
	f->pipeline.action_state = &f->relay.relay;
	f->relay.relay.setup.delivery = &f->pipeline.delivery;
	f->relay.relay.setup.paused = &f->poller.batch.paused;
	reply_poller_add(&f->poller, &f->relay.relay);
	assert_int_equal(batch_scheduler_start(&f->scheduler), 0);
	assert_int_equal(relay_lookup_or_open(&f->relay.relay, &client, uv_now(&f->uv), &f->session), DROP_NONE);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	reply_poller_drain(&f->poller, 10);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	relay_fixture_tear_down(&f->relay);
	batch_scheduler_close(&f->scheduler);
	reply_poller_close(&f->poller);
	uv_close((uv_handle_t *)&f->deadline, NULL);
	uv_close((uv_handle_t *)&f->prepare, NULL);
	uv_close((uv_handle_t *)&f->check, NULL);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->uv), 0);
	reply_poller_finish(&f->poller);
	pipeline_finish(&f->pipeline);
	tx_batch_destroy(f->tx_batch);
	rx_batch_destroy(f->batch);
	close(f->client);
	return 0;
}

static void on_deadline(uv_timer_t *timer)
{
	struct fixture *f = timer->data;

	f->timed_out = true;
	uv_stop(timer->loop);
}

static void stop_on_condition(struct fixture *f)
{
	if (f->condition(f))
		uv_stop(&f->uv);
}

static void on_prepare(uv_prepare_t *prepare)
{
	stop_on_condition(prepare->data);
}

static void on_check(uv_check_t *check)
{
	stop_on_condition(check->data);
}

/* Runs the loop until the condition is true. In this mode of uv_run() each run of the timers is followed by a poll. */
static void run_until(struct fixture *f, bool (*condition)(const struct fixture *f))
{
	f->condition = condition;
	f->timed_out = false;
	uv_timer_start(&f->deadline, on_deadline, TIMEOUT_MS, 0);
	uv_prepare_start(&f->prepare, on_prepare);
	uv_check_start(&f->check, on_check);
	uv_run(&f->uv, UV_RUN_DEFAULT);
	uv_prepare_stop(&f->prepare);
	uv_check_stop(&f->check);
	uv_timer_stop(&f->deadline);
	assert_false(f->timed_out);
}

/* Runs the loop for a time in which something must not happen. */
static void run_for(struct fixture *f, uint64_t ms)
{
	uv_timer_start(&f->deadline, on_deadline, ms, 0);
	uv_run(&f->uv, UV_RUN_DEFAULT);
}

static void reply_to(struct fixture *f, const struct session *session)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(session->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->relay.sinks[0], "abc", 3, 0, &to.any, to.length), 3);
}

static void reply(struct fixture *f)
{
	reply_to(f, f->session);
}

static void break_socket(struct fixture *f, int error)
{
	broken_fd = f->session->tx.fd;
	broken_error = error;
}

static uint64_t replied(const struct fixture *f)
{
	return counter_get(&f->relay.relay.counters.replied);
}

/* --- Conditions --- */

static uint64_t replied_least;

static bool has_replied(const struct fixture *f)
{
	return replied(f) >= replied_least;
}

static void run_until_replied(struct fixture *f, uint64_t least)
{
	replied_least = least;
	run_until(f, has_replied);
}

static bool no_session_is_open(const struct fixture *f)
{
	return alive(&f->relay) == 0;
}

static bool batch_is_pending(const struct fixture *f)
{
	return batch_scheduler_has_pending(&f->scheduler);
}

static bool session_is_paused(const struct fixture *f)
{
	return f->session->paused;
}

static bool some_ticks_have_passed(const struct fixture *f)
{
	(void)f;
	return ticks >= 3;
}

static bool no_session_is_paused(const struct fixture *f)
{
	return !paused_sessions_any(&f->poller.batch.paused);
}

/* --- Replies --- */

static void reply_reaches_the_client(void **state)
{
	struct fixture *f = *state;
	char bytes[8];

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	reply(f);
	run_until_replied(f, 1);
	assert_int_equal(recv(f->client, bytes, sizeof(bytes), MSG_DONTWAIT), 3);
	assert_int_equal(replied(f), 1);
	assert_int_equal(alive(&f->relay), 1);
}

static void idle_session_ends(void **state)
{
	struct fixture *f = *state;

	begin(f);
	run_until(f, no_session_is_open);
}

/* --- Pending batches --- */

/* The chunks of the batch use the session. */
static void session_of_a_pending_batch_does_not_end(void **state)
{
	struct fixture *f = *state;

	begin(f);
	full = true;
	reply(f);
	run_until(f, batch_is_pending);
	run_for(f, 100); /* the idle timeout is 20 ms */
	assert_true(batch_scheduler_has_pending(&f->scheduler));
	assert_int_equal(alive(&f->relay), 1);
	assert_int_equal(replied(f), 0);
	full = false;
	run_until(f, no_session_is_open);
	assert_int_equal(replied(f), 1);
}

static void no_reply_is_read_while_a_batch_is_pending(void **state)
{
	struct fixture *f = *state;

	begin(f);
	full = true;
	reply(f);
	run_until(f, batch_is_pending);
	reply(f);
	run_for(f, 30);
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), 0);
	assert_int_equal(f->poller.batch.count, 1);
	full = false;
	run_until_replied(f, 2);
}

static void new_addresses_do_not_change_a_pending_batch(void **state)
{
	struct fixture *f = *state;

	begin(f);
	full = true;
	reply(f);
	run_until(f, batch_is_pending);
	struct endpoints_snapshot *snapshot = snapshot_of(&f->relay, NULL, 1, 2);
	reply_poller_set_peers(&f->poller, snapshot);
	endpoints_snapshot_put(snapshot);
	full = false;
	run_until_replied(f, 1);
	assert_int_equal(counter_get(&f->relay.peer_sockets[0].counters.replies), 1);
}

/* --- Sockets that cannot be read --- */

/* The session is paused after two failures, and each tick of the resume timer permits one attempt. */
static void broken_session_is_tried_again_at_intervals(void **state)
{
	static const int errors[] = {ENOMEM, EIO, ECONNREFUSED};
	struct fixture *f = *state;
	struct session *other;
	uint64_t expected = 0;

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	assert_int_equal(find(&f->relay, 1, uv_now(&f->uv), &other), DROP_NONE);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		unsigned reads = errors[i] == ECONNREFUSED ? 2 : 1; /* after an ICMP error the socket is read again */

		attempts = ticks = 0;
		break_socket(f, errors[i]);
		reply(f);
		run_until(f, session_is_paused);
		assert_int_equal(attempts, reads * (2 + ticks));
		run_until(f, some_ticks_have_passed);
		assert_in_range(attempts, 2, reads * (2 + ticks));
		assert_int_equal(replied(f), expected);
		reply_to(f, other); /* that is read meanwhile */
		run_until_replied(f, ++expected);
		broken_fd = -1;
		run_until_replied(f, ++expected);
		run_until(f, no_session_is_paused);
	}
	assert_int_equal(alive(&f->relay), 2);
}

/* Ticks while all sessions are paused, and the attempts since the first of them. */
static unsigned measured_ticks, attempts_before, most_per_tick;

static unsigned count_paused(const struct paused_sessions *paused)
{
	const struct session *session;
	unsigned count = 0;

	TAILQ_FOREACH(session, &paused->list, paused_link)
	count++;
	return count;
}

static void measure_tick(struct paused_sessions *paused)
{
	if (!measured_ticks && count_paused(paused) < SESSIONS)
		return;
	if (measured_ticks && attempts - attempts_before > most_per_tick)
		most_per_tick = attempts - attempts_before;
	attempts_before = attempts;
	measured_ticks++;
}

/* Enough ticks to try every session. */
static bool ticks_are_measured(const struct fixture *f)
{
	(void)f;
	return measured_ticks > 1 + SESSIONS / RESUME_SESSIONS + 1;
}

/* The errors of many sessions must not use up the processor. */
static void one_tick_tries_a_limited_number_of_broken_sessions(void **state)
{
	struct fixture *f = *state;

	f->relay.config.idle_timeout_ms = 60000;
	f->relay.config.max_sessions = SESSIONS + 1;
	begin(f);
	broken_error = ENOMEM;
	broken_fd = ANY_FD;
	for (uint16_t i = 0; i < SESSIONS; i++) {
		struct session *session;

		assert_int_equal(find(&f->relay, (uint16_t)(i + 1), uv_now(&f->uv), &session), DROP_NONE);
		reply_to(f, session);
	}
	measured_ticks = most_per_tick = 0;
	on_tick = measure_tick;
	run_until(f, ticks_are_measured);
	assert_in_range(most_per_tick, 1, RESUME_SESSIONS);
	broken_fd = -1;
	run_until(f, no_session_is_paused);
	run_until_replied(f, SESSIONS);
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), SESSIONS);
}

static void broken_session_ends_when_it_is_idle(void **state)
{
	struct fixture *f = *state;

	begin(f);
	break_socket(f, EIO);
	reply(f);
	run_until(f, no_session_is_open);
	assert_false(paused_sessions_any(&f->poller.batch.paused));
	assert_int_equal(counter_get(&f->relay.relay.counters.dropped[DROP_SESSION_ENDED]), 1);
}

/* --- Drain --- */

static void drain_tries_a_broken_session_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	break_socket(f, ENOMEM);
	failures_left = 10;
	reply(f);
	reply_poller_drain(&f->poller, TIMEOUT_MS);
	assert_int_equal(attempts, 10);
	assert_int_equal(replied(f), 1);
}

/* Two attempts before the session is paused, and one after each pause of at least 1 ms. */
static void drain_of_a_broken_session_ends_after_its_limit(void **state)
{
	struct fixture *f = *state;

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	break_socket(f, ENOMEM);
	reply(f);
	reply_poller_drain(&f->poller, 50);
	assert_in_range(attempts, 1, 52);
	assert_int_equal(replied(f), 0);
}

static void drain_leaves_no_pending_batch(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f);
	full = true;
	reply_poller_drain(&f->poller, TIMEOUT_MS);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), 1);
	assert_int_equal(replied(f), 0);
	full = false;
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(reply_reaches_the_client),
		test(idle_session_ends),
		test(session_of_a_pending_batch_does_not_end),
		test(no_reply_is_read_while_a_batch_is_pending),
		test(new_addresses_do_not_change_a_pending_batch),
		test(broken_session_is_tried_again_at_intervals),
		test(one_tick_tries_a_limited_number_of_broken_sessions),
		test(broken_session_ends_when_it_is_idle),
		test(drain_tries_a_broken_session_again),
		test(drain_of_a_broken_session_ends_after_its_limit),
		test(drain_leaves_no_pending_batch),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

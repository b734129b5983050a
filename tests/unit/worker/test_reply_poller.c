/* A worker's relays in a real loop, whose sends find no room for as long as a test wants (-Wl,--wrap). */
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

static bool no_room;
static int broken_fd, broken_error; /* a socket that cannot be read */
static unsigned attempts, failures_left; /* to read it */

#define ANY_FD -2

bool __real_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms);
bool __wrap_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms);

bool __wrap_tx_batch_flush(struct tx_batch *tx_batch, uint64_t now_ms)
{
	return !no_room && __real_tx_batch_flush(tx_batch, now_ms);
}

int __real_rx_batch_recv_one(struct rx_batch *batch, unsigned kept, int fd, struct train **trains);
int __wrap_rx_batch_recv_one(struct rx_batch *batch, unsigned kept, int fd, struct train **trains);

int __wrap_rx_batch_recv_one(struct rx_batch *batch, unsigned kept, int fd, struct train **trains)
{
	if ((broken_fd != ANY_FD && fd != broken_fd) || !failures_left)
		return __real_rx_batch_recv_one(batch, kept, fd, trains);
	attempts++;
	failures_left--;
	return -broken_error;
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
	struct batch_scheduler scheduler;
	struct reply_poller poller;
	struct session *session;
	int client;
	struct address at;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	static char *encodings[] = {(char *)"utf-8"};
	struct fixture *f = &fixture;

	no_room = false;
	broken_fd = -1;
	attempts = 0;
	failures_left = UINT_MAX;
	memset(f, 0, sizeof(*f));
	relay_fixture_set_up(&f->relay);
	f->relay.config.encodings = encodings;
	f->relay.config.encoding_count = 1;
	f->relay.config.balance = BALANCE_FAILOVER;
	f->relay.config.idle_timeout_ms = 20;
	f->client = bound(&f->at);
	*state = f;
	return rx_batch_create(&f->batch);
}

/* One session, with peer a. */
static void begin(struct fixture *f)
{
	struct relay_client client = {.client = &f->at, .local = &f->relay.local, .tx = &f->relay.client_tx};

	assert_int_equal(uv_loop_init(&f->uv), 0);
	uv_timer_init(&f->uv, &f->deadline);
	assert_int_equal(pipeline_init(&f->pipeline, &relay_action, &f->relay.config, f->relay.peer_sockets), 0);
	assert_int_equal(tx_batch_create(&f->tx_batch, pipeline_chunks_max(&f->pipeline), RX_BATCH_TRAINS + PEERS), 0);
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
	uv_stop(timer->loop);
}

static void run_for(struct fixture *f, uint64_t ms)
{
	uv_timer_start(&f->deadline, on_deadline, ms, 0);
	uv_run(&f->uv, UV_RUN_DEFAULT);
}

static void answer_to(struct fixture *f, const struct session *session)
{
	struct address to = {.length = sizeof(to.v6)};

	assert_int_equal(getsockname(session->tx.fd, &to.any, &to.length), 0);
	assert_int_equal(sendto(f->relay.sinks[0], "abc", 3, 0, &to.any, to.length), 3);
}

static void answer(struct fixture *f)
{
	answer_to(f, f->session);
}

static void break_socket(struct fixture *f, int error)
{
	broken_fd = f->session->tx.fd;
	broken_error = error;
}

static uint64_t answered(const struct fixture *f)
{
	return counter_get(&f->relay.relay.counters.replied);
}

static void an_answer_arrives(void **state)
{
	struct fixture *f = *state;
	char bytes[8];

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	answer(f);
	run_for(f, 50);
	assert_int_equal(recv(f->client, bytes, sizeof(bytes), MSG_DONTWAIT), 3);
	assert_int_equal(answered(f), 1);
	assert_int_equal(alive(&f->relay), 1);
}

static void an_idle_session_ends(void **state)
{
	struct fixture *f = *state;

	begin(f);
	run_for(f, 200);
	assert_int_equal(alive(&f->relay), 0);
}

/* Its copies are in the tx_batch. */
static void a_session_of_a_batch_that_waits_does_not_end(void **state)
{
	struct fixture *f = *state;

	begin(f);
	no_room = true;
	answer(f);
	run_for(f, 200);
	assert_true(batch_scheduler_has_pending(&f->scheduler));
	assert_int_equal(alive(&f->relay), 1);
	assert_int_equal(answered(f), 0);
	no_room = false;
	run_for(f, 200);
	assert_int_equal(answered(f), 1);
	assert_int_equal(alive(&f->relay), 0);
}

static void nobody_has_a_turn_while_a_batch_waits(void **state)
{
	struct fixture *f = *state;

	begin(f);
	no_room = true;
	answer(f);
	run_for(f, 30);
	answer(f);
	run_for(f, 30);
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), 0);
	assert_int_equal(f->poller.batch.count, 1);
	no_room = false;
	run_for(f, 50);
	assert_int_equal(answered(f), 2);
}

static void new_addresses_do_not_touch_a_batch_that_waits(void **state)
{
	struct fixture *f = *state;

	begin(f);
	no_room = true;
	answer(f);
	run_for(f, 30);
	struct endpoints_snapshot *snapshot = snapshot_of(&f->relay, NULL, 1, 2);
	reply_poller_set_peers(&f->poller, snapshot);
	endpoints_snapshot_put(snapshot);
	no_room = false;
	run_for(f, 50);
	assert_int_equal(answered(f), 1);
	assert_int_equal(counter_get(&f->relay.peer_sockets[0].counters.replies), 1);
}

static void a_socket_that_cannot_be_read_is_asked_now_and_then(void **state)
{
	static const int errors[] = {ENOMEM, EIO, ECONNREFUSED};
	struct fixture *f = *state;
	struct session *other;
	uint64_t expected = 0;

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	assert_int_equal(find(&f->relay, 1, uv_now(&f->uv), &other), DROP_NONE);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
		attempts = 0;
		break_socket(f, errors[i]);
		answer(f);
		run_for(f, 200);
		assert_in_range(attempts, 2, 30);
		answer_to(f, other);
		run_for(f, 5);
		assert_int_equal(answered(f), expected + 1);
		broken_fd = -1;
		run_for(f, 50);
		expected += 2;
		assert_int_equal(answered(f), expected);
		assert_false(paused_sessions_any(&f->poller.batch.paused));
	}
	assert_int_equal(alive(&f->relay), 2);
}

/* They take turns in being tried, so that their errors cost little. */
static void many_sockets_that_cannot_be_read(void **state)
{
	enum { SESSIONS = 1000 };
	struct fixture *f = *state;
	uint64_t before;

	f->relay.config.idle_timeout_ms = 60000;
	f->relay.config.max_sessions = SESSIONS + 1;
	begin(f);
	broken_error = ENOMEM;
	broken_fd = ANY_FD;
	for (uint16_t i = 0; i < SESSIONS; i++) {
		struct session *session;

		assert_int_equal(find(&f->relay, (uint16_t)(i + 1), uv_now(&f->uv), &session), DROP_NONE);
		answer_to(f, session);
	}
	run_for(f, 100);
	before = attempts;
	run_for(f, 100);
	assert_in_range(attempts - before, 64, 12 * 64);
	broken_fd = -1;
	run_for(f, 400);
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), SESSIONS);
}

static void a_session_that_cannot_be_read_ends_when_it_is_idle(void **state)
{
	struct fixture *f = *state;

	begin(f);
	break_socket(f, EIO);
	answer(f);
	run_for(f, 200);
	assert_int_equal(alive(&f->relay), 0);
	assert_false(paused_sessions_any(&f->poller.batch.paused));
	assert_int_equal(counter_get(&f->relay.relay.counters.dropped[DROP_SESSION_ENDED]), 1);
}

static void at_the_end_it_is_tried_again(void **state)
{
	struct fixture *f = *state;

	begin(f);
	break_socket(f, ENOMEM);
	failures_left = 10;
	answer(f);
	reply_poller_drain(&f->poller, 1000);
	assert_int_equal(attempts, 10);
	assert_int_equal(answered(f), 1);
}

static void at_the_end_it_is_not_tried_for_ever(void **state)
{
	struct fixture *f = *state;

	f->relay.config.idle_timeout_ms = 60000;
	begin(f);
	break_socket(f, ENOMEM);
	answer(f);
	reply_poller_drain(&f->poller, 50);
	assert_in_range(attempts, 5, 52);
	assert_int_equal(answered(f), 0);
}

static void at_the_end_no_batch_waits(void **state)
{
	struct fixture *f = *state;

	begin(f);
	answer(f);
	no_room = true;
	reply_poller_drain(&f->poller, 1000);
	assert_false(batch_scheduler_has_pending(&f->scheduler));
	assert_int_equal(counter_get(&f->relay.relay.counters.replies), 1);
	assert_int_equal(answered(f), 0);
	no_room = false;
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(an_answer_arrives),
		test(an_idle_session_ends),
		test(a_session_of_a_batch_that_waits_does_not_end),
		test(nobody_has_a_turn_while_a_batch_waits),
		test(new_addresses_do_not_touch_a_batch_that_waits),
		test(at_the_end_no_batch_waits),
		test(a_socket_that_cannot_be_read_is_asked_now_and_then),
		test(many_sockets_that_cannot_be_read),
		test(a_session_that_cannot_be_read_ends_when_it_is_idle),
		test(at_the_end_it_is_tried_again),
		test(at_the_end_it_is_not_tried_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

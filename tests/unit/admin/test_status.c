/* Sums over workers, and health. The test replaces the functions of the workers (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/admin/status_fixture.h"

#define WORKERS 3

static struct {
	struct listener_counters listeners[2];
	struct relay_counters relays[2];
	struct peer_counters peers[2];
	struct receive_counters receives;
	uint64_t heartbeat_ms;
} workers[WORKERS];

/* A worker is represented by its index plus 1. */
static size_t worker_index(const struct worker *worker)
{
	return (size_t)(uintptr_t)worker - 1;
}

const struct listener_counters *__wrap_worker_listener_counters(const struct worker *worker, size_t listener);
const struct relay_counters *__wrap_worker_relay_counters(const struct worker *worker, size_t listener);
const struct peer_counters *__wrap_worker_peer_counters(const struct worker *worker, size_t peer);
const struct receive_counters *__wrap_worker_receive_counters(const struct worker *worker);
uint64_t __wrap_listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener);
uint64_t __wrap_worker_heartbeat_ms(const struct worker *worker);

const struct listener_counters *__wrap_worker_listener_counters(const struct worker *worker, size_t listener)
{
	return &workers[worker_index(worker)].listeners[listener];
}

const struct relay_counters *__wrap_worker_relay_counters(const struct worker *worker, size_t listener)
{
	return &workers[worker_index(worker)].relays[listener];
}

const struct peer_counters *__wrap_worker_peer_counters(const struct worker *worker, size_t peer)
{
	return &workers[worker_index(worker)].peers[peer];
}

const struct receive_counters *__wrap_worker_receive_counters(const struct worker *worker)
{
	return &workers[worker_index(worker)].receives;
}

uint64_t __wrap_listen_sockets_kernel_drops(const struct listen_sockets *sockets, size_t listener)
{
	(void)sockets;
	return 600 + 3 * listener;
}

uint64_t __wrap_worker_heartbeat_ms(const struct worker *worker)
{
	return workers[worker_index(worker)].heartbeat_ms;
}

static struct worker *const handles[WORKERS] = {(struct worker *)1, (struct worker *)2, (struct worker *)3};
static struct listener_limits limits[2] = {{.quota = {.max = 10}}, {.quota = {.max = 20}}};

static int set_up(void **state)
{
	static struct status_fixture f;

	fixture_begin(&f);
	f.source.workers = handles;
	f.source.worker_count = WORKERS;
	f.source.limits = limits;
	for (size_t i = 0; i < WORKERS; i++) {
		fill_counters((counter *)&workers[i], offsetof(__typeof__(workers[0]), heartbeat_ms), i);
		workers[i].heartbeat_ms = clock_monotonic_ms();
	}
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	fixture_end(*state);
	return 0;
}

/* A counter has the values n, n + 1 and n + 2 in the workers 0, 1 and 2. */
static void assert_sum(const counter *sum, const counter *of_first)
{
	assert_int_equal(counter_get(sum), 3 * counter_get(of_first) + 3);
}

static void counters_are_summed_over_workers(void **state)
{
	struct status_fixture *f = *state;
	struct status *status = status_collect(&f->source);

	assert_non_null(status);
	assert_int_equal(status->listener_count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct status_listener *listener = &status->listeners[i];

		assert_ptr_equal(listener->config, &f->config->listeners[i]);
		assert_sum(&listener->counters.received, &workers[0].listeners[i].received);
		assert_sum(&listener->counters.dropped[DROP_SEND_ERROR],
			   &workers[0].listeners[i].dropped[DROP_SEND_ERROR]);
		assert_int_equal(listener->dropped, drops_total(listener->counters.dropped));
		assert_int_equal(listener->kernel_dropped, 600 + 3 * i);
		assert_sum(&status->peers[i].counters.reply_bytes, &workers[0].peers[i].reply_bytes);
		assert_int_equal(status->peers[i].dropped, drops_total(status->peers[i].counters.dropped));
	}
	assert_sum(&status->listeners[1].relay.replies, &workers[0].relays[1].replies);
	assert_int_equal(status->listeners[1].replies_dropped, drops_total(status->listeners[1].relay.dropped));
	assert_int_equal(status->listeners[1].sessions_max, 20);
	assert_int_equal(counter_get(&status->listeners[0].relay.replies), 0);
	assert_int_equal(status->listeners[0].sessions_max, 0);
	assert_sum(&status->receives.datagrams, &workers[0].receives.datagrams);
	assert_false(status->datagram_log.on);
	assert_null(status->snapshot);
	status_destroy(status);
}

/* A worker increments started first, but a reader may see the new value of ended before that of started. */
static void session_count_is_never_negative(void **state)
{
	struct status_fixture *f = *state;
	struct status *status;

	for (size_t i = 0; i < WORKERS; i++)
		workers[i].relays[1].started = workers[i].relays[1].ended = 7;
	workers[1].relays[1].started = 9;
	status = status_collect(&f->source);
	assert_int_equal(status->listeners[1].sessions, 2);
	status_destroy(status);
	workers[1].relays[1].started = 6;
	status = status_collect(&f->source);
	assert_int_equal(status->listeners[1].sessions, 0);
	status_destroy(status);
}

static void append_problem(const char *problem, void *data)
{
	char *text = data;

	strcat(text, problem);
	strcat(text, "\n");
}

static void assert_problems(const struct status_source *source, size_t count, const char *expected)
{
	char text[512] = "";
	struct status *status = status_collect(source);

	assert_int_equal(status_health_problems(status, NULL, NULL), count);
	assert_int_equal(status_health_problems(status, append_problem, text), count);
	if (strncmp(text, expected, strlen(expected)))
		fail_msg("expected `%s`, not `%s`", expected, text);
	status_destroy(status);
}

static void listener_needs_all_addresses(void **state)
{
	struct status_fixture *f = *state;
	struct listen_socket sockets[] = {f->bound, f->bound, f->bound};

	assert_problems(&f->source, 1, "listener r: not bound\n");
	f->sockets.items = sockets;
	f->sockets.count = 3;
	sockets[1].config = sockets[2].config = &f->config->listeners[1];
	assert_problems(&f->source, 0, "");
	sockets[0].worker = sockets[1].worker = 1;
	assert_problems(&f->source, 1, "listener e: not bound\n");
}

static void stalled_worker_is_a_problem(void **state)
{
	struct status_fixture *f = *state;
	struct listen_socket sockets[] = {f->bound, f->bound};

	sockets[1].config = &f->config->listeners[1];
	f->sockets.items = sockets;
	f->sockets.count = 2;
	workers[1].heartbeat_ms -= STATUS_STALL_MS - 1000;
	assert_problems(&f->source, 0, "");
	workers[1].heartbeat_ms -= 1001;
	assert_problems(&f->source, 1, "worker 1: no progress for 5");
	workers[1].heartbeat_ms = clock_monotonic_ms() + 1000;
	assert_problems(&f->source, 0, "");
}

static void rate_is_growth_per_second(void **state)
{
	struct status before = {.now_ms = 1000}, now = {.now_ms = 1500};

	(void)state;
	assert_true(status_rate(&before, &now, 10, 20) == 20.0);
	assert_true(status_rate(NULL, &now, 0, 20) == 0.0);
	assert_true(status_rate(&now, &now, 10, 20) == 0.0);
	assert_true(status_rate(&before, &now, 20, 10) == 0.0);
}

#define with_workers(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_workers(counters_are_summed_over_workers), with_workers(session_count_is_never_negative),
		with_workers(listener_needs_all_addresses),     with_workers(stalled_worker_is_a_problem),
		with_workers(rate_is_growth_per_second),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

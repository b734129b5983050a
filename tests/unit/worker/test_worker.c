/* Real workers with real sockets of loopback: start, stop and handover. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "tests/unit/support/captured_log.h"
#include "tests/unit/support/config_text.h"
#include "tests/unit/support/loopback.h"
#include "worker/worker.h"

#define TIMEOUT_MS 5000

/* A configuration with one worker; a reload has two of them. */
struct generation {
	struct config *config;
	struct listen_sockets sockets;
	struct peers *peers;
	struct listener_limits *limits;
	struct own_addresses *own;
	struct worker_setup setup;
	struct worker *worker;
};

struct fixture {
	uv_loop_t loop;
	struct inherited_sockets inherited;
	endpoint_epoch epoch;
	struct captured_log log;
	struct generation old, new;
	int peer, client;
	struct address peer_address, client_address;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	captured_log_open(&f->log, LOG_LEVEL_DEBUG);
	f->peer = bound(&f->peer_address);
	f->client = bound(&f->client_address);
	*state = f;
	return 0;
}

static void on_peers_changed(struct endpoints_snapshot *snapshot, void *data)
{
	(void)data;
	endpoints_snapshot_put(snapshot);
}

static void destroy_generation(struct fixture *f, struct generation *generation)
{
	if (!generation->config)
		return;
	worker_destroy(generation->worker);
	peers_close(generation->peers);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(peers_closed(generation->peers));
	peers_destroy(generation->peers);
	listener_limits_destroy(generation->limits, generation->config);
	own_addresses_destroy(generation->own);
	listen_sockets_close(&generation->sockets);
	config_destroy(generation->config);
	*generation = (struct generation){0};
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	destroy_generation(f, &f->old);
	destroy_generation(f, &f->new);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_not_logged(&f->log, "error:");
	captured_log_close(&f->log);
	close(f->peer);
	close(f->client);
	return 0;
}

/* Creates a worker for an echo and a relay. keys are further keys of the relay. */
static void create(struct fixture *f, struct generation *generation, const char *keys)
{
	const struct generation *before = generation == &f->new ? &f->old : NULL;
	char text[1024], peer[ADDRESS_TEXT_MAX];

	snprintf(text, sizeof(text),
		 "[peer:server]\naddress = %s\n"
		 "[listener:echo]\naddress = 127.0.0.1:0\naction = echo\nlog = none\n"
		 "[listener:relay]\naddress = 127.0.0.1:0\naction = relay\npeers = server\nlog = none\n%s\n",
		 address_format(&f->peer_address, peer), keys);
	generation->config = good(text);
	assert_int_equal(listen_sockets_open(&generation->sockets, generation->config, 1,
					     before ? (struct listen_sockets *)&before->sockets : NULL, &f->inherited,
					     f->log.log),
			 0);
	assert_int_equal(own_addresses_create(&generation->own,
					      (struct address[]){generation->sockets.items[0].local,
								 generation->sockets.items[1].local},
					      2),
			 0);
	assert_int_equal(listener_limits_create(&generation->limits, generation->config, 10000,
						before ? before->limits : NULL, before ? before->config : NULL),
			 0);
	assert_int_equal(peers_create(&generation->peers, &(struct peers_setup){.loop = &f->loop,
										.config = generation->config,
										.epoch = &f->epoch,
										.before = before ? before->peers : NULL,
										.log = f->log.log,
										.changed = on_peers_changed}),
			 0);
	generation->setup = (struct worker_setup){.config = generation->config,
						  .own = generation->own,
						  .sockets = &generation->sockets,
						  .peers = generation->peers,
						  .epoch = &f->epoch,
						  .limits = generation->limits,
						  .log = f->log.log};
	assert_int_equal(worker_create(&generation->worker, &generation->setup, 0), 0);
}

static void start(struct generation *generation)
{
	assert_int_equal(worker_start(generation->worker), 0);
}

static void stop_and_join(struct generation *generation)
{
	worker_stop(generation->worker);
	worker_join(generation->worker);
}

/* The address of listener 0 (the echo) or 1 (the relay). */
static const struct address *listener_address(const struct generation *generation, size_t listener)
{
	return &generation->sockets.items[listener].local;
}

static void send_to(int fd, const struct address *to, const char *data)
{
	assert_int_equal(sendto(fd, data, strlen(data), 0, &to->any, to->length), strlen(data));
}

/* Waits for a datagram. from receives its source; it may be NULL. */
static void expect(int fd, const char *data, struct address *from)
{
	struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
	struct address source = {.length = sizeof(source.v6)};
	char got[64];
	ssize_t size;

	assert_int_equal(poll(&poll_fd, 1, TIMEOUT_MS), 1);
	size = recvfrom(fd, got, sizeof(got), 0, &source.any, &source.length);
	assert_int_equal(size, strlen(data));
	assert_memory_equal(got, data, strlen(data));
	if (from)
		*from = source;
}

static uint64_t count_of(const counter *c)
{
	return counter_get(c);
}

/* --- Start and stop --- */

static void worker_that_never_started_can_be_destroyed(void **state)
{
	struct fixture *f = *state;

	create(f, &f->old, "");
	worker_destroy(f->old.worker);
	f->old.worker = NULL;
	worker_destroy(NULL);
}

static void started_worker_serves_its_listeners(void **state)
{
	struct fixture *f = *state;
	struct address session;

	create(f, &f->old, "");
	start(&f->old);
	send_to(f->client, listener_address(&f->old, 0), "hello");
	expect(f->client, "hello", NULL);
	send_to(f->client, listener_address(&f->old, 1), "question");
	expect(f->peer, "question", &session);
	send_to(f->peer, &session, "answer");
	expect(f->client, "answer", NULL);
	stop_and_join(&f->old);
	assert_int_equal(count_of(&worker_listener_counters(f->old.worker, 0)->echoed), 1);
	assert_int_equal(count_of(&worker_listener_counters(f->old.worker, 1)->relayed), 1);
	assert_int_equal(count_of(&worker_relay_counters(f->old.worker, 1)->replied), 1);
	assert_int_equal(count_of(&worker_peer_counters(f->old.worker, 0)->sent), 1);
	assert_int_equal(count_of(&worker_peer_counters(f->old.worker, 0)->replies), 1);
	assert_int_equal(count_of(&worker_receive_counters(f->old.worker)->datagrams), 3);
}

static void heartbeat_has_the_time_of_the_start(void **state)
{
	struct fixture *f = *state;
	uint64_t before_ms = clock_monotonic_ms();

	create(f, &f->old, "");
	assert_int_equal(worker_heartbeat_ms(f->old.worker), 0);
	start(&f->old);
	assert_true(worker_heartbeat_ms(f->old.worker) >= before_ms);
	stop_and_join(&f->old);
	assert_true(worker_heartbeat_ms(f->old.worker) <= clock_monotonic_ms());
}

/* Datagrams wait in the socket before the worker starts. They differ, because the ring guard drops some equal ones. */
static void stop_processes_waiting_datagrams(void **state)
{
	struct fixture *f = *state;

	char text[16];

	create(f, &f->old, "");
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "waits %d", i);
		send_to(f->client, listener_address(&f->old, 0), text);
	}
	worker_stop(f->old.worker);
	start(&f->old);
	worker_join(f->old.worker);
	assert_int_equal(count_of(&worker_listener_counters(f->old.worker, 0)->echoed), 100);
}

static void stop_ends_all_sessions(void **state)
{
	struct fixture *f = *state;

	create(f, &f->old, "responses = 0");
	start(&f->old);
	send_to(f->client, listener_address(&f->old, 1), "one way");
	expect(f->peer, "one way", NULL);
	stop_and_join(&f->old);
	assert_int_equal(count_of(&worker_relay_counters(f->old.worker, 1)->started), 1);
	assert_int_equal(count_of(&worker_relay_counters(f->old.worker, 1)->ended), 1);
	assert_int_equal(atomic_load(&f->old.limits[1].quota.open), 0);
}

static void new_peers_arrive_while_the_worker_runs(void **state)
{
	struct fixture *f = *state;
	struct address other_address;
	int other = bound(&other_address);
	struct endpoint *endpoint =
		endpoint_create(&(struct peer_config){.name = (char *)"server"}, &other_address, &f->epoch);
	struct peer_endpoints peers[] = {{&endpoint, 1}};
	struct pollfd poll_fd = {.fd = other, .events = POLLIN};
	struct endpoints_snapshot *snapshot = endpoints_snapshot_create(peers, 1);
	uint64_t end_ms = clock_monotonic_ms() + TIMEOUT_MS;

	create(f, &f->old, "responses = 0");
	endpoint->peer = &f->old.config->peers[0];
	endpoint_put(endpoint);
	start(&f->old);
	worker_set_peers(f->old.worker, snapshot);
	do
		send_to(f->client, listener_address(&f->old, 1), "hello");
	while (poll(&poll_fd, 1, 1) == 0 && clock_monotonic_ms() < end_ms);
	expect(other, "hello", NULL);
	stop_and_join(&f->old);
	close(other);
}

/* --- Handover --- */

/* A reload stops the worker of the old configuration, and then hands its state over to the new one. */
static void stop_old(struct fixture *f)
{
	listen_sockets_stop_receiving(&f->new.sockets, &f->old.sockets);
	worker_stop_for_adoption(f->old.worker);
	worker_join(f->old.worker);
}

static void hand_over(struct fixture *f)
{
	worker_adopt(f->new.worker, f->old.worker);
	peers_adopt(f->new.peers);
	listener_limits_adopt(f->new.limits, f->new.config);
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	destroy_generation(f, &f->old);
}

static void open_session(struct fixture *f, struct address *session)
{
	create(f, &f->old, "");
	start(&f->old);
	send_to(f->client, listener_address(&f->old, 1), "before");
	expect(f->peer, "before", session);
}

static void sessions_continue_on_the_next_worker(void **state)
{
	struct fixture *f = *state;
	struct address session, again;

	open_session(f, &session);
	create(f, &f->new, "");
	stop_old(f);
	hand_over(f);
	send_to(f->peer, &session, "meanwhile");
	start(&f->new);
	expect(f->client, "meanwhile", NULL);
	send_to(f->client, listener_address(&f->new, 1), "after");
	expect(f->peer, "after", &again);
	assert_true(address_equal(&again, &session));
	assert_int_equal(atomic_load(&f->new.limits[1].quota.open), 1);
	stop_and_join(&f->new);
	assert_int_equal(count_of(&worker_relay_counters(f->new.worker, 1)->started), 1);
	assert_int_equal(count_of(&worker_relay_counters(f->new.worker, 1)->replied), 1);
}

static void counters_continue_on_the_next_worker(void **state)
{
	struct fixture *f = *state;
	struct address session;

	open_session(f, &session);
	send_to(f->client, listener_address(&f->old, 0), "hello");
	expect(f->client, "hello", NULL);
	create(f, &f->new, "");
	stop_old(f);
	hand_over(f);
	assert_int_equal(count_of(&worker_listener_counters(f->new.worker, 0)->echoed), 1);
	assert_int_equal(count_of(&worker_listener_counters(f->new.worker, 1)->relayed), 1);
	assert_int_equal(count_of(&worker_peer_counters(f->new.worker, 0)->sent), 1);
	assert_int_equal(count_of(&worker_receive_counters(f->new.worker)->datagrams), 2);
}

static void sessions_continue_with_another_max_sessions(void **state)
{
	struct fixture *f = *state;
	struct address session, again;

	open_session(f, &session);
	create(f, &f->new, "max_sessions = 17");
	stop_old(f);
	send_to(f->peer, &session, "meanwhile");
	hand_over(f);
	start(&f->new);
	expect(f->client, "meanwhile", NULL);
	send_to(f->client, listener_address(&f->new, 1), "after");
	expect(f->peer, "after", &again);
	assert_true(address_equal(&again, &session));
	stop_and_join(&f->new);
}

/* Creates the new generation, whose peer has another address. Returns the socket of the previous peer. */
static int create_with_another_peer(struct fixture *f)
{
	int previous = f->peer;

	f->peer = bound(&f->peer_address);
	create(f, &f->new, "");
	return previous;
}

/* Sessions end before the counters of the peer move, so that the unread reply is counted. */
static void sessions_end_if_the_peer_has_another_address(void **state)
{
	struct fixture *f = *state;
	struct address session, again;
	int previous;

	open_session(f, &session);
	previous = create_with_another_peer(f);
	stop_old(f);
	send_to(previous, &session, "late");
	close(previous);
	hand_over(f);
	assert_int_equal(count_of(&worker_peer_counters(f->new.worker, 0)->replies), 1);
	assert_int_equal(atomic_load(&f->new.limits[1].quota.open), 0);
	start(&f->new);
	send_to(f->client, listener_address(&f->new, 1), "after");
	expect(f->peer, "after", &again);
	assert_false(address_equal(&again, &session));
	stop_and_join(&f->new);
}

static void counters_of_a_relay_continue_if_its_sessions_end(void **state)
{
	struct fixture *f = *state;
	struct address session;

	open_session(f, &session);
	close(create_with_another_peer(f));
	stop_old(f);
	hand_over(f);
	assert_int_equal(count_of(&worker_listener_counters(f->new.worker, 1)->relayed), 1);
	assert_int_equal(count_of(&worker_relay_counters(f->new.worker, 1)->started), 1);
	assert_int_equal(count_of(&worker_relay_counters(f->new.worker, 1)->ended), 1);
}

static void failed_reload_leaves_the_running_worker_alone(void **state)
{
	struct fixture *f = *state;
	struct address session, again;

	open_session(f, &session);
	create(f, &f->new, "");
	destroy_generation(f, &f->new);
	send_to(f->client, listener_address(&f->old, 1), "again");
	expect(f->peer, "again", &again);
	assert_true(address_equal(&again, &session));
	stop_and_join(&f->old);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(worker_that_never_started_can_be_destroyed),
		test(started_worker_serves_its_listeners),
		test(heartbeat_has_the_time_of_the_start),
		test(stop_processes_waiting_datagrams),
		test(stop_ends_all_sessions),
		test(new_peers_arrive_while_the_worker_runs),
		test(sessions_continue_on_the_next_worker),
		test(counters_continue_on_the_next_worker),
		test(sessions_continue_with_another_max_sessions),
		test(sessions_end_if_the_peer_has_another_address),
		test(counters_of_a_relay_continue_if_its_sessions_end),
		test(failed_reload_leaves_the_running_worker_alone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

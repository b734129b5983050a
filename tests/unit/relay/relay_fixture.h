/* A relay with two peers, over real sockets of loopback. */
#ifndef UDPRELAYD_TESTS_RELAY_FIXTURE_H
#define UDPRELAYD_TESTS_RELAY_FIXTURE_H

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/socket.h"
#include "relay/relay.h"
#include "tests/unit/support/loopback.h"

#define PEERS 2

struct relay_fixture {
	struct listener_config config;
	struct peer_config peers[PEERS], *peer_list[PEERS];
	int sinks[PEERS]; /* sockets of the peers */
	endpoint_epoch epoch;
	struct session_quota quota;
	struct peer_socket peer_sockets[PEERS];
	struct log *log;
	int epoll;
	struct paused_sessions paused;
	struct endpoints_snapshot *snapshot;
	struct relay relay;
	struct tx_socket client_tx;
	struct address local;
};

/* Returns a snapshot with one endpoint for each of the peers [first, last). Endpoints that before has are reused. */
static inline struct endpoints_snapshot *snapshot_of(struct relay_fixture *f, const struct endpoints_snapshot *before,
						     size_t first, size_t last)
{
	struct peer_endpoints peers[PEERS] = {{0}};
	struct endpoint *endpoints[PEERS];
	struct endpoints_snapshot *snapshot;

	for (size_t i = first; i < last; i++) {
		bool known = before && before->peers[i].count;

		endpoints[i] = known ? endpoint_get(before->peers[i].items[0])
				     : endpoint_create(&f->peers[i], &f->peers[i].address, &f->epoch);
		peers[i] = (struct peer_endpoints){.items = &endpoints[i], .count = 1};
	}
	snapshot = endpoints_snapshot_create(peers, PEERS);
	assert_non_null(snapshot);
	for (size_t i = first; i < last; i++)
		endpoint_put(endpoints[i]);
	return snapshot;
}

static inline void relay_fixture_set_up(struct relay_fixture *f)
{
	static char *names[PEERS] = {(char *)"a", (char *)"b"};

	memset(f, 0, sizeof(*f));
	f->config = (struct listener_config){.name = (char *)"test",
					     .action = ACTION_RELAY,
					     .log_every = 1,
					     .max_datagram = 65507,
					     .peers = f->peer_list,
					     .peer_count = PEERS,
					     .receive_buffer = 65536,
					     .send_buffer = 65536,
					     .balance = BALANCE_ROUND_ROBIN,
					     .idle_timeout_ms = 1000,
					     .max_sessions = 4,
					     .responses = RESPONSES_UNLIMITED};
	for (size_t i = 0; i < PEERS; i++) {
		f->peers[i] = (struct peer_config){.name = names[i],
						   .index = i,
						   .weight = 1,
						   .max_fails = 3,
						   .fail_timeout_ms = 10000,
						   .check = {.interval_ms = 5000}};
		f->sinks[i] = bound(&f->peers[i].address);
		f->peer_list[i] = &f->peers[i];
	}
	assert_int_equal(log_create(&f->log, open("/dev/null", O_WRONLY), LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
	f->epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_true(f->epoll >= 0);
	paused_sessions_init(&f->paused, f->epoll);
	f->client_tx = (struct tx_socket){.fd = bound(&f->local), .gso = true};
}

/* Call it after the test has changed the configuration. */
static inline void relay_fixture_begin(struct relay_fixture *f)
{
	struct relay_setup setup = {.config = &f->config,
				    .log = f->log,
				    .peer_sockets = f->peer_sockets,
				    .quota = &f->quota,
				    .paused = &f->paused,
				    .epoch = &f->epoch};

	f->quota.max = f->config.max_sessions;
	for (size_t i = 0; i < PEERS; i++)
		peer_socket_init(&f->peer_sockets[i], &f->peers[i], 65536, NULL, f->log);
	setup.snapshot = f->snapshot = snapshot_of(f, NULL, 0, PEERS);
	assert_int_equal(relay_init(&f->relay, &setup), 0);
}

static inline void relay_fixture_tear_down(struct relay_fixture *f)
{
	relay_finish(&f->relay);
	endpoints_snapshot_put(f->snapshot);
	for (size_t i = 0; i < PEERS; i++) {
		peer_socket_finish(&f->peer_sockets[i]);
		close(f->sinks[i]);
	}
	close(f->client_tx.fd);
	close(f->epoll);
	log_destroy(f->log, 0);
}

static inline struct address client_address(uint16_t port)
{
	struct address address;

	address_from_ip(&address, "127.0.0.1", port);
	return address;
}

/* Finds or opens the session of the client with this port. */
static inline enum drop_reason find(struct relay_fixture *f, uint16_t port, uint64_t now_ms, struct session **session)
{
	struct address from = client_address(port);
	struct relay_client client = {.client = &from, .local = &f->local, .tx = &f->client_tx};

	return relay_lookup_or_open(&f->relay, &client, now_ms, session);
}

/* Sets the addresses of the peers. Takes the caller's reference to the snapshot. */
static inline void set_peers(struct relay_fixture *f, struct endpoints_snapshot *snapshot, uint64_t now_ms)
{
	relay_set_peers(&f->relay, snapshot, now_ms);
	endpoints_snapshot_put(f->snapshot);
	f->snapshot = snapshot;
}

static inline uint64_t alive(const struct relay_fixture *f)
{
	return counter_get(&f->relay.counters.started) - counter_get(&f->relay.counters.ended);
}

#endif

/* A status in which each number is different, for the tests of its output formats. Include cmocka.h before this file.
 */
#ifndef UDPRELAYD_STATUS_FIXTURE_H
#define UDPRELAYD_STATUS_FIXTURE_H

#include <stdlib.h>
#include <string.h>

#include "admin/status.h"
#include "tests/unit/support/config_text.h"

struct status_fixture {
	struct config *config;
	struct listen_socket bound;
	struct listen_sockets sockets;
	struct status_source source;
	struct status_listener listeners[2];
	struct status_peer peers[2];
	uint64_t stalled_ms[2];
	endpoint_epoch epoch;
	struct status status;
};

/* Sets the counters to first, first + 1 and so on. */
static inline void fill_counters(counter *counters, size_t bytes, uint64_t first)
{
	for (size_t i = 0; i < bytes / sizeof(counter); i++)
		counters[i] = first + i;
}

static inline void fixture_create_endpoints(struct status_fixture *f)
{
	struct endpoint *endpoint = endpoint_create(&f->config->peers[1], &f->config->peers[1].address, &f->epoch);
	struct peer_endpoints endpoints[2] = {{0}, {&endpoint, 1}};

	f->status.snapshot = endpoints_snapshot_create(endpoints, 2);
	endpoint_put(endpoint);
	for (size_t i = 0; i < 2; i++)
		f->peers[i].endpoints = &f->status.snapshot->peers[i];
}

static inline void fixture_fill(struct status_fixture *f)
{
	for (size_t i = 0; i < 2; i++) {
		f->listeners[i].config = &f->config->listeners[i];
		f->listeners[i].bound = true;
		fill_counters((counter *)&f->listeners[i].counters, sizeof(f->listeners[i].counters), 1000 * (i + 1));
		f->listeners[i].dropped = 77;
		f->listeners[i].kernel_dropped = 78;
		f->peers[i].config = &f->config->peers[i];
		fill_counters((counter *)&f->peers[i].counters, sizeof(f->peers[i].counters), 10000 * (i + 1));
		f->peers[i].dropped = 88;
	}
	fill_counters((counter *)&f->listeners[1].relay, sizeof(f->listeners[1].relay), 5000);
	f->listeners[1].sessions = 5;
	f->listeners[1].sessions_max = 16384;
}

/* Two listeners, an echo and a relay. Two peers: the name of the first has no address yet, and the path of the second
 * needs escapes. */
static inline void fixture_begin(struct status_fixture *f)
{
	*f = (struct status_fixture){.config = good("[listener:e]\naddress = 127.0.0.1:7\naction = echo\n"
						    "[listener:r]\naddress = unix:/r\naction = relay\npeers = n, p\n"
						    "[peer:n]\naddress = name:1\n"
						    "[peer:p]\naddress = unix:/a\"b\\c\xff\n")};
	f->bound = (struct listen_socket){.config = &f->config->listeners[0], .fd = -1};
	assert_int_equal(address_parse(&f->bound.local, "127.0.0.1:7"), 0);
	f->sockets = (struct listen_sockets){.items = &f->bound, .count = 1};
	f->source = (struct status_source){.config = f->config,
					   .generation = 1,
					   .reloads_failed = 4,
					   .last_reload_failed = true,
					   .sockets = &f->sockets,
					   .start_wall_us = UINT64_C(1500000),
					   .start_ms = 1000};
	f->status = (struct status){.source = &f->source,
				    .now_ms = 3500,
				    .generation = 1,
				    .listeners = f->listeners,
				    .listener_count = 2,
				    .peers = f->peers,
				    .peer_count = 2,
				    .stalled_ms = f->stalled_ms,
				    .worker_count = 2,
				    .datagram_log = {true, 11, 12, 13}};
	fixture_fill(f);
	fixture_create_endpoints(f);
}

static inline void fixture_end(struct status_fixture *f)
{
	endpoints_snapshot_put(f->status.snapshot);
	config_destroy(f->config);
}

#endif

/* A worker: a thread with a loop of its own, sockets, links and counters. */
#ifndef UDPRELAYD_WORKER_WORKER_H
#define UDPRELAYD_WORKER_WORKER_H

#include "base/log.h"
#include "config/config.h"
#include "datagram_log/datagram_log.h"
#include "datapath/counters.h"
#include "net/listen_sockets.h"
#include "net/own_addresses.h"
#include "relay/relay.h"
#include "upstream/peers.h"
#include "worker/listener_limits.h"

struct worker;

/* What all workers share; it outlives them. */
struct worker_setup {
	const struct config *config;
	const struct own_addresses *own;
	struct datagram_log *datagram_log; /* NULL: off */
	const struct listen_sockets *sockets; /* each worker has copies of its own */
	struct peers *peers; /* asked while workers are made */
	const endpoint_epoch *news; /* of the peers */
	struct listener_limits *shared; /* by listener */
	struct log *log;
};

/* Makes worker number index, with everything that it will ever need. Returns 0 or a negative errno. */
int worker_create(struct worker **worker, const struct worker_setup *setup, unsigned index);

/* Starts the thread. Returns 0 or a negative errno. */
int worker_start(struct worker *worker);

/* Any thread. Where the peers are from now on; takes over the reference. */
void worker_set_peers(struct worker *worker, struct endpoints_snapshot *peers);

/* Any thread: sends what was read, closes every handle and ends. */
void worker_stop(struct worker *worker);

/* Any thread: the same, but sessions and sockets to peers stay, for worker_adopt(). */
void worker_stop_for_adoption(struct worker *worker);

/* Waits for the end after either. */
void worker_join(struct worker *worker);

/* Before worker_start(): takes over counters, sessions and sockets to peers, by the names of listeners and peers, from
 * the worker of another configuration, which is still there. That one has been joined after worker_stop_for_adoption();
 * what is not taken over ends. */
void worker_adopt(struct worker *worker, struct worker *before);

/* Of a worker that was not started or has been joined. NULL is accepted. */
void worker_destroy(struct worker *worker);

/* Any thread; by index of the listener or peer in the configuration. */
const struct listener_counters *worker_listener_counters(const struct worker *worker, size_t listener);
const struct relay_counters *worker_relay_counters(const struct worker *worker, size_t listener);
const struct peer_counters *worker_peer_counters(const struct worker *worker, size_t peer);

const struct receive_counters *worker_receive_counters(const struct worker *worker);

/* Any thread: when its loop turned last (clock_monotonic_ms()), which is noted at least once a second. */
uint64_t worker_heartbeat_ms(const struct worker *worker);

#endif

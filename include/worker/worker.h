/* A worker: one thread with its own loop, sockets, sessions and counters. The main thread creates all workers of a
 * configuration, starts them and joins them. Workers share only what struct worker_setup lists.
 *
 * Creation reserves everything that the worker will ever need, so that a running worker allocates no memory. */
#ifndef UDPRELAYD_WORKER_WORKER_H
#define UDPRELAYD_WORKER_WORKER_H

#include "base/log.h"
#include "config/config.h"
#include "datagram_log/datagram_log.h"
#include "datapath/counters.h"
#include "net/listen_sockets.h"
#include "net/own_addresses.h"
#include "upstream/peers.h"
#include "worker/listener_limits.h"

struct worker;

/* The parts that all workers share. They must outlive the workers. */
struct worker_setup {
	const struct config *config;
	const struct own_addresses *own;
	struct datagram_log *datagram_log; /* NULL: off */
	const struct listen_sockets *sockets; /* each worker duplicates the descriptors of its sockets */
	struct peers *peers; /* used only by worker_create() and worker_adopt() */
	const endpoint_epoch *epoch; /* epoch of the peers' endpoints */
	struct listener_limits *limits; /* by listener */
	struct log *log;
};

/* Creates worker number index. Returns 0 or a negative errno. */
int worker_create(struct worker **worker, const struct worker_setup *setup, unsigned index);

/* Starts the thread. Returns 0 or a negative errno. */
int worker_start(struct worker *worker);

/* Sets the addresses of the peers. Takes the caller's reference. Any thread may call it. */
void worker_set_peers(struct worker *worker, struct endpoints_snapshot *peers);

/* Requests that the worker processes the datagrams in its sockets, ends its sessions, closes all handles and ends its
 * thread. Any thread may call it. */
void worker_stop(struct worker *worker);

/* The same, but sessions and peer sockets stay open for worker_adopt(). */
void worker_stop_for_adoption(struct worker *worker);

/* Waits for the end of the thread. */
void worker_join(struct worker *worker);

/* Takes the counters, sessions and peer sockets of a worker of the previous configuration, by the names of listeners
 * and peers. That worker was joined after worker_stop_for_adoption(). Sessions and peer sockets that are not taken end.
 * Call it before worker_start(). */
void worker_adopt(struct worker *worker, struct worker *before);

/* Destroys a worker that was never started or is joined. Accepts NULL. */
void worker_destroy(struct worker *worker);

/* Counters by the index of the listener or peer in the configuration. Any thread may read them. */
const struct listener_counters *worker_listener_counters(const struct worker *worker, size_t listener);
const struct relay_counters *worker_relay_counters(const struct worker *worker, size_t listener);
const struct peer_counters *worker_peer_counters(const struct worker *worker, size_t peer);

const struct receive_counters *worker_receive_counters(const struct worker *worker);

/* Returns the time of the last heartbeat of the worker's loop (clock_monotonic_ms()). A healthy loop has at least one
 * heartbeat per second. Any thread may call it. */
uint64_t worker_heartbeat_ms(const struct worker *worker);

#endif

/* The members of a worker, for the files of this folder. */
#ifndef UDPRELAYD_WORKER_WORKER_PRIVATE_H
#define UDPRELAYD_WORKER_WORKER_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

#include "datapath/peer_socket.h"
#include "datapath/pipeline.h"
#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"
#include "relay/relay.h"
#include "worker/listeners.h"
#include "worker/reply_poller.h"
#include "worker/worker.h"

struct worker {
	unsigned index;
	const struct worker_setup *setup;
	pthread_t thread;
	uv_loop_t loop;
	uv_async_t async; /* new peers, or a request to stop */
	_Atomic(struct endpoints_snapshot *) new_peers;
	atomic_bool stop, for_adoption;
	bool loop_open;
	uv_timer_t heartbeat;
	_Atomic uint64_t heartbeat_ms; /* monotonic; time of the last heartbeat */

	struct rx_batch *rx_batch;
	struct tx_batch *tx_batch;
	struct arena arena;
	struct peer_socket *peer_sockets; /* by peer */
	struct pipeline *pipelines; /* by listener */
	struct relay **relays; /* by listener; NULL: not a relay */
	struct listener_counters *counters; /* by listener */
	struct batch_scheduler scheduler;
	struct listeners listeners;
	struct reply_poller reply_poller;
};

/* Starts the async handle and the heartbeat timer, which worker.c serves. Returns 0 or a negative errno. */
int worker_init_handles(struct worker *worker);

/* Sets the address of each peer socket to the first address of its peer. A peer without an address keeps the last one.
 */
void worker_set_peer_addresses(struct worker *worker, const struct endpoints_snapshot *peers);

/* Ends all sessions of a listener's relay, if it is one. */
void worker_end_relay(struct worker *worker, size_t listener);

/* Closes the loop and logs handles that are still open. */
void worker_close_loop(struct worker *worker);

#endif

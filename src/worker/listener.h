/* A listener: one bound socket of a worker, its watcher and its pipeline. The data path starts here, in
 * listener_on_readable(); its main loop is listener_run_batch(). The set of listeners (listeners.h) owns it.
 *
 * What can go wrong: a receive error is logged at a bounded rate, and the socket is tried again after 10 ms. */
#ifndef UDPRELAYD_WORKER_LISTENER_H
#define UDPRELAYD_WORKER_LISTENER_H

#include <stdbool.h>
#include <uv.h>

#include "base/log.h"
#include "datapath/pipeline.h"
#include "datapath/tx_batch.h"
#include "worker/batch_scheduler.h"

struct listeners;

struct listener {
	uv_udp_t udp; /* owns the descriptor, which is a copy of the listen_socket's */
	struct watcher watcher;
	struct listeners *set;
	const struct listener_config *config;
	struct pipeline *pipeline;
	struct address local; /* that the socket is bound to */
	struct tx_socket tx; /* to send replies through */
	bool saturated; /* the last turn read many trains */
	bool ignores_broadcasts; /* worker 0 gets a copy of each broadcast */
	struct log_limit receive_log_limit;
};

/* All listeners of a worker. */
struct listeners {
	struct batch_scheduler *scheduler;
	struct log *log;
	struct listener *items;
	size_t count;

	/* The batch in progress. */
	struct train *trains;
	unsigned train_count;
	struct rx_context rx;
};

/* One turn: reads batches until the socket is empty or has had its share. status is as in struct watcher. */
void listener_on_readable(struct watcher *watcher, int status);

/* Receives and processes one batch. Returns the number of trains, 0 if the socket is empty, or a negative errno, which
 * is logged. */
int listener_run_batch(struct listener *listener);

#endif

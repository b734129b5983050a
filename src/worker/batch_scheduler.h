/* The batch scheduler of a worker. All watched descriptors share one receive batch and one transmit batch, so only one
 * batch is in progress at a time. If a send buffer is full, the batch stays pending: the scheduler stops all watchers
 * and flushes again every millisecond until the batch is complete. */
#ifndef UDPRELAYD_WORKER_BATCH_SCHEDULER_H
#define UDPRELAYD_WORKER_BATCH_SCHEDULER_H

#include <stdbool.h>
#include <sys/queue.h>
#include <uv.h>

#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"

struct batch_scheduler;

/* A descriptor that the scheduler watches for input. It is part of its owner. */
struct watcher {
	uv_poll_t poll;
	struct batch_scheduler *scheduler;
	SLIST_ENTRY(watcher) link;
	void (*on_readable)(struct watcher *watcher, int status); /* status: 0 or a libuv error */
};

struct batch_scheduler {
	uv_loop_t *loop;
	struct rx_batch *rx_batch;
	struct tx_batch *tx_batch;
	SLIST_HEAD(, watcher) watchers;

	/* The pending batch. */
	uv_timer_t retry;
	void (*on_complete)(void *data); /* NULL: no batch is pending */
	void *data;

	uv_timer_t back_off;
};

/* Borrows loop, rx_batch and tx_batch. */
void batch_scheduler_init(struct batch_scheduler *scheduler, uv_loop_t *loop, struct rx_batch *rx_batch,
			  struct tx_batch *tx_batch);

/* Adds a watcher. The caller owns fd and watcher; both must stay valid until the loop ends. Returns 0 or a negative
 * errno. */
int batch_scheduler_add(struct batch_scheduler *scheduler, struct watcher *watcher, int fd,
			void (*on_readable)(struct watcher *watcher, int status));

/* Starts all watchers. Returns 0 or a negative errno. */
int batch_scheduler_start(struct batch_scheduler *scheduler);

/* Stop and start one watcher within its own turn. While a batch is pending, watcher_start() does nothing: all watchers
 * start when that batch is complete. */
void watcher_stop(struct watcher *watcher);
void watcher_start(struct watcher *watcher);

/* Stops a watcher whose descriptor cannot be read for 10 ms. Otherwise the loop would report it without end. */
void watcher_back_off(struct watcher *watcher);

/* Returns whether a batch is pending. No other batch may begin then. */
static inline bool batch_scheduler_has_pending(const struct batch_scheduler *scheduler)
{
	return scheduler->on_complete != NULL;
}

/* Flushes the transmit batch and calls on_complete(data), which must clear it: at once, or when the pending batch is
 * complete. */
void batch_scheduler_flush(struct batch_scheduler *scheduler, void (*on_complete)(void *data), void *data);

/* Completes the pending batch, if there is one. Datagrams for full send buffers are dropped. */
void batch_scheduler_finish_pending(struct batch_scheduler *scheduler);

/* Completes the pending batch and closes all handles. The loop must run to finish this. */
void batch_scheduler_close(struct batch_scheduler *scheduler);

#endif

/* The descriptors of a worker take turns: they share a batch and an egress, and one batch is under way at a time. */
#ifndef UDPRELAYD_WORKER_BATCH_SCHEDULER_H
#define UDPRELAYD_WORKER_BATCH_SCHEDULER_H

#include <stdbool.h>
#include <uv.h>

#include "datapath/rx_batch.h"
#include "datapath/tx_batch.h"

struct batch_scheduler;

/* One descriptor, watched for input. */
struct watcher {
	uv_poll_t poll;
	struct batch_scheduler *turns;
	struct watcher *next;
	void (*turn)(struct watcher *watcher, int status); /* something waits, or status is a libuv error */
};

struct batch_scheduler {
	uv_loop_t *loop;
	struct rx_batch *batch;
	struct tx_batch *egress;
	struct watcher *watchers;

	/* The batch that waits for room in a send buffer. */
	uv_timer_t retry;
	void (*end)(void *data); /* NULL where none does */
	void *data;

	uv_timer_t pause; /* ends the pauses */
};

/* loop, batch and egress are borrowed. */
void batch_scheduler_init(struct batch_scheduler *turns, uv_loop_t *loop, struct rx_batch *batch,
			  struct tx_batch *egress);

/* The descriptor stays its owner's, and the watcher where it is. Returns 0 or a negative errno. */
int batch_scheduler_add(struct batch_scheduler *turns, struct watcher *watcher, int fd,
			void (*turn)(struct watcher *watcher, int status));

/* Begins to watch all descriptors. Returns 0 or a negative errno. */
int batch_scheduler_start(struct batch_scheduler *turns);

/* In a turn of its own, a descriptor need not be watched: watcher_stop(), and before the turn ends watcher_start(),
 * which while a batch waits for room is put off until that has ended. */
void watcher_stop(struct watcher *watcher);
void watcher_start(struct watcher *watcher);

/* For a descriptor whose input cannot be read, and would be reported all the time: it is not watched for some
 * milliseconds. */
void watcher_back_off(struct watcher *watcher);

/* Whether a batch waits for room: then none may be begun. */
static inline bool batch_scheduler_has_pending(const struct batch_scheduler *turns)
{
	return turns->end != NULL;
}

/* Sends what is in the egress and calls end(data), which empties it. Where there is no room in a send buffer that is
 * put off, and until then nobody gets a turn. Returns whether the batch has ended. */
bool batch_scheduler_flush(struct batch_scheduler *turns, void (*end)(void *data), void *data);

/* Ends the batch that waits for room, if one does: what finds none now is dropped. */
void batch_scheduler_finish_pending(struct batch_scheduler *turns);

/* Ends that, and closes all handles; the loop completes it. */
void batch_scheduler_close(struct batch_scheduler *turns);

#endif

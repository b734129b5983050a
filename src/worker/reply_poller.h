/* The reply poller: connects the relays of one worker with its loop. One watcher on an epoll descriptor covers the
 * sockets of all sessions. Timers resume paused sessions and end idle ones. */
#ifndef UDPRELAYD_WORKER_REPLY_POLLER_H
#define UDPRELAYD_WORKER_REPLY_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "relay/relay.h"
#include "relay/reply.h"
#include "upstream/endpoint.h"
#include "worker/batch_scheduler.h"

struct reply_poller {
	struct watcher watcher; /* watcher of epoll */
	struct batch_scheduler *scheduler;
	int epoll; /* watches the sockets of all sessions; -1: the worker has no relays */
	uv_timer_t idle_timer;
	uint64_t idle_timer_ms; /* when it fires; UINT64_MAX: never */
	uv_timer_t resume_timer; /* runs while sessions are paused */
	uv_prepare_t before_poll;
	struct relay **relays;
	size_t count;
	unsigned batch_limit; /* trains */
	bool records; /* some relay logs its datagrams */
	struct reply_batch batch;
};

/* Borrows scheduler. max: the number of relays. Returns 0 or a negative errno; call reply_poller_finish() in both
 * cases. */
int reply_poller_init(struct reply_poller *poller, struct batch_scheduler *scheduler, size_t max);

/* Adds a relay whose setup has &poller->batch.paused. Borrows it until reply_poller_finish(). */
void reply_poller_add(struct reply_poller *poller, struct relay *relay);

/* Sets the addresses of the peers for all relays. */
void reply_poller_set_peers(struct reply_poller *poller, const struct endpoints_snapshot *snapshot);

/* Before the end: processes the replies that wait in the sockets, until all are empty or limit_ms has passed. No batch
 * is pending after it. */
void reply_poller_drain(struct reply_poller *poller, uint64_t limit_ms);

/* Before the end: waits for the replies that sessions expect which were used within the last limit_ms, for at most
 * limit_ms. Returns whether there were such sessions. */
bool reply_poller_wait_for_replies(struct reply_poller *poller, uint64_t limit_ms);

/* Closes the handles. Call it after batch_scheduler_close(); the loop must run to finish this. */
void reply_poller_close(struct reply_poller *poller);

/* Frees the poller after the loop and all sessions have ended. */
void reply_poller_finish(struct reply_poller *poller);

#endif

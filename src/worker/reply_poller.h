/* The relays of one worker in its loop: they hear what peers answer, and end sessions that are idle. */
#ifndef UDPRELAYD_WORKER_REPLY_POLLER_H
#define UDPRELAYD_WORKER_REPLY_POLLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "relay/relay.h"
#include "relay/reply.h"
#include "upstream/endpoints_snapshot.h"
#include "worker/batch_scheduler.h"

struct relay_loop {
	struct watcher watcher; /* of epoll */
	struct turns *turns;
	int epoll; /* all sessions' sockets; -1: there are no relays */
	uv_timer_t expiry;
	uint64_t expiry_ms; /* that it waits for; UINT64_MAX: nothing */
	uv_timer_t wake; /* sessions at rest; runs while there are any */
	uv_prepare_t before_sleep;
	struct relay **relays;
	size_t count;
	unsigned limit; /* trains of a batch */
	bool records; /* some relay's datagrams are logged */
	struct reply_batch answers;
};

/* For at most max relays. turns is borrowed. Returns 0 or a negative errno; relay_loop_finish() is for either case. */
int relay_loop_init(struct relay_loop *loop, struct turns *turns, size_t max);

/* A relay that was made with loop->epoll, whose route has its ring; it is borrowed until relay_loop_finish(). */
void relay_loop_add(struct relay_loop *loop, struct relay *relay);

/* The peers are at other addresses. */
void relay_loop_set_peers(struct relay_loop *loop, const struct endpoints_snapshot *snapshot);

/* At the end: hears what waits in the sockets, until nothing does, or for at most limit_ms; a socket that cannot be
 * read is tried again until then. No batch waits any more afterwards. */
void relay_loop_drain(struct relay_loop *loop, uint64_t limit_ms);

/* At the end: hears answers that sessions wait for which were used within the last limit_ms, until they have come or
 * for at most as long again. Returns whether there were any to wait for. */
bool relay_loop_await(struct relay_loop *loop, uint64_t limit_ms);

/* Closes the handles that are not of the turns; the loop completes it. */
void relay_loop_close(struct relay_loop *loop);

/* Once the loop has ended, and the relays' sessions too. */
void relay_loop_finish(struct relay_loop *loop);

#endif

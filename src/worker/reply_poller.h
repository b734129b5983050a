/* The relays of one worker in its loop: they hear what peers answer, and end sessions that are idle. */
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
	struct watcher watcher; /* of epoll */
	struct batch_scheduler *turns;
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

/* For at most max relays. turns is borrowed. Returns 0 or a negative errno; reply_poller_finish() is for either case.
 */
int reply_poller_init(struct reply_poller *loop, struct batch_scheduler *turns, size_t max);

/* A relay that was made with loop->epoll, whose route has its ring; it is borrowed until reply_poller_finish(). */
void reply_poller_add(struct reply_poller *loop, struct relay *relay);

/* The peers are at other addresses. */
void reply_poller_set_peers(struct reply_poller *loop, const struct endpoints_snapshot *snapshot);

/* At the end: hears what waits in the sockets, until nothing does, or for at most limit_ms; a socket that cannot be
 * read is tried again until then. No batch waits any more afterwards. */
void reply_poller_drain(struct reply_poller *loop, uint64_t limit_ms);

/* At the end: hears answers that sessions wait for which were used within the last limit_ms, until they have come or
 * for at most as long again. Returns whether there were any to wait for. */
bool reply_poller_wait_for_replies(struct reply_poller *loop, uint64_t limit_ms);

/* Closes the handles that are not of the turns; the loop completes it. */
void reply_poller_close(struct reply_poller *loop);

/* Once the loop has ended, and the relays' sessions too. */
void reply_poller_finish(struct reply_poller *loop);

#endif

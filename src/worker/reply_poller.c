#include "worker/reply_poller.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/container_of.h"

/* Reads of sessions before the listeners get their turn. */
#define TURN_SESSIONS 256

/* Paused sessions are tried again after this time, a limited number at once, so that their errors do not use up the
 * processor. While the daemon ends, the pause is shorter. */
#define PAUSE_MS 10
#define RESUME_SESSIONS 64
#define DRAIN_PAUSE_MS 1

/* Idle sessions that end at once, before datagrams get their turn. */
#define EXPIRE_SESSIONS 256

/* --- Replies --- */

static void reply_poller_complete_batch(void *data)
{
	reply_batch_complete(data);
}

static void on_resume(uv_timer_t *timer)
{
	struct reply_poller *poller = timer->data;

	paused_sessions_resume(&poller->batch.paused, RESUME_SESSIONS);
	if (!paused_sessions_any(&poller->batch.paused))
		uv_timer_stop(timer);
}

static void reply_poller_start_resume_timer(struct reply_poller *poller)
{
	if (paused_sessions_any(&poller->batch.paused) && !uv_is_active((uv_handle_t *)&poller->resume_timer))
		uv_timer_start(&poller->resume_timer, on_resume, PAUSE_MS, PAUSE_MS);
}

/* Receives and processes one batch. Returns whether more replies may wait. */
static bool reply_poller_run_batch(struct reply_poller *poller)
{
	struct batch_scheduler *scheduler = poller->scheduler;
	bool more = reply_batch_recv(&poller->batch, scheduler->rx_batch, poller->epoll, poller->batch_limit);

	if (!poller->batch.session_count)
		return false;
	reply_poller_start_resume_timer(poller);
	reply_batch_submit(&poller->batch, poller->records ? clock_wall_us() : 0, uv_now(scheduler->loop));
	batch_scheduler_flush(scheduler, reply_poller_complete_batch, &poller->batch);
	return more;
}

/* An epoll descriptor reports no errors, so status is always 0. */
static void reply_poller_on_readable(struct watcher *watcher, int status)
{
	struct reply_poller *poller = container_of(watcher, struct reply_poller, watcher);
	unsigned reads = 0;

	(void)status;
	while (reply_poller_run_batch(poller) && !batch_scheduler_has_pending(poller->scheduler) &&
	       reads < TURN_SESSIONS)
		reads += poller->batch.session_count;
}

/* --- Idle sessions --- */

/* Ends at most max idle sessions of each relay. Returns the time of the next idle timeout. */
static uint64_t reply_poller_expire(struct reply_poller *poller, unsigned max)
{
	uint64_t next_ms = UINT64_MAX;

	for (size_t i = 0; i < poller->count; i++) {
		uint64_t due_ms = relay_expire(poller->relays[i], uv_now(poller->scheduler->loop), max);

		next_ms = due_ms < next_ms ? due_ms : next_ms;
	}
	return next_ms;
}

static void on_idle_timer(uv_timer_t *timer);

/* A timeout that is due now waits for the next turn of the loop, or for the pending batch. */
static void reply_poller_set_idle_timer(struct reply_poller *poller, uint64_t due_ms)
{
	uint64_t now_ms = uv_now(poller->scheduler->loop);
	uint64_t least_ms = batch_scheduler_has_pending(poller->scheduler) ? 1 : 0;

	poller->idle_timer_ms = due_ms;
	if (due_ms < UINT64_MAX)
		uv_timer_start(&poller->idle_timer, on_idle_timer, due_ms > now_ms ? due_ms - now_ms : least_ms, 0);
}

static void on_idle_timer(uv_timer_t *timer)
{
	struct reply_poller *poller = timer->data;
	unsigned max = batch_scheduler_has_pending(poller->scheduler) ? 0 : EXPIRE_SESSIONS;

	reply_poller_set_idle_timer(poller, reply_poller_expire(poller, max));
}

/* A new session may time out before all others, and a reload may pause sessions. This runs once per turn of the loop,
 * so that no datagram has to check it. */
static void on_before_poll(uv_prepare_t *prepare)
{
	struct reply_poller *poller = prepare->data;
	uint64_t next_ms = reply_poller_expire(poller, 0);

	if (next_ms < poller->idle_timer_ms)
		reply_poller_set_idle_timer(poller, next_ms);
	reply_poller_start_resume_timer(poller);
}

/* --- Start and end --- */

int reply_poller_init(struct reply_poller *poller, struct batch_scheduler *scheduler, size_t max)
{
	*poller = (struct reply_poller){
		.scheduler = scheduler, .epoll = -1, .batch_limit = RX_BATCH_TRAINS, .idle_timer_ms = UINT64_MAX};
	if (!max)
		return 0;
	poller->relays = calloc(max, sizeof(struct relay *));
	if (!poller->relays)
		return -ENOMEM;
	poller->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (poller->epoll < 0)
		return -errno;
	reply_batch_init(&poller->batch, poller->epoll);
	uv_timer_init(scheduler->loop, &poller->idle_timer);
	poller->idle_timer.data = poller;
	uv_timer_init(scheduler->loop, &poller->resume_timer);
	poller->resume_timer.data = poller;
	uv_prepare_init(scheduler->loop, &poller->before_poll);
	poller->before_poll.data = poller;
	uv_prepare_start(&poller->before_poll, on_before_poll);
	return batch_scheduler_add(scheduler, &poller->watcher, poller->epoll, reply_poller_on_readable);
}

void reply_poller_add(struct reply_poller *poller, struct relay *relay)
{
	const struct delivery_context *delivery = relay->setup.delivery;

	poller->relays[poller->count++] = relay;
	poller->records |= delivery->ring != NULL;
	if (delivery->batch_limit < poller->batch_limit)
		poller->batch_limit = delivery->batch_limit;
}

void reply_poller_set_peers(struct reply_poller *poller, const struct endpoints_snapshot *snapshot)
{
	for (size_t i = 0; i < poller->count; i++)
		relay_set_peers(poller->relays[i], snapshot, uv_now(poller->scheduler->loop));
}

/* Processes one batch. Returns false if no replies wait. */
static bool reply_poller_drain_once(struct reply_poller *poller)
{
	reply_poller_run_batch(poller);
	batch_scheduler_finish_pending(poller->scheduler);
	if (poller->batch.session_count)
		return true;
	if (!paused_sessions_any(&poller->batch.paused))
		return false;
	uv_sleep(DRAIN_PAUSE_MS);
	paused_sessions_resume(&poller->batch.paused, UINT_MAX);
	return true;
}

void reply_poller_drain(struct reply_poller *poller, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	batch_scheduler_finish_pending(poller->scheduler);
	while (poller->epoll >= 0 && clock_monotonic_ms() < end_ms && reply_poller_drain_once(poller))
		;
}

static bool reply_poller_expects_replies(const struct reply_poller *poller, uint64_t since_ms)
{
	for (size_t i = 0; i < poller->count; i++) {
		if (relay_expects_replies(poller->relays[i], since_ms))
			return true;
	}
	return false;
}

bool reply_poller_wait_for_replies(struct reply_poller *poller, uint64_t limit_ms)
{
	bool expected = false;
	uint64_t now_ms = clock_monotonic_ms(), since_ms = now_ms - limit_ms, end_ms = now_ms + limit_ms;
	struct pollfd sockets = {.fd = poller->epoll, .events = POLLIN};

	for (; now_ms < end_ms && reply_poller_expects_replies(poller, since_ms); now_ms = clock_monotonic_ms()) {
		expected = true;
		if (poll(&sockets, 1, (int)(end_ms - now_ms)) > 0)
			reply_poller_drain_once(poller);
	}
	return expected;
}

void reply_poller_close(struct reply_poller *poller)
{
	if (poller->epoll < 0)
		return;
	uv_close((uv_handle_t *)&poller->idle_timer, NULL);
	uv_close((uv_handle_t *)&poller->resume_timer, NULL);
	uv_close((uv_handle_t *)&poller->before_poll, NULL);
}

void reply_poller_finish(struct reply_poller *poller)
{
	free(poller->relays);
	if (poller->epoll >= 0)
		close(poller->epoll);
	*poller = (struct reply_poller){.epoll = -1};
}

#include "worker/reply_poller.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"

/* Sessions that are read, some more than once, before the listeners get their turn. */
#define TURN_SESSIONS 256

/* A session that cannot be read is tried again after this; of many, so many at once, lest their errors keep the
 * processor busy. */
#define REST_MS 10
#define WAKE_SESSIONS 64

/* At the end there is less time. */
#define LAST_REST_MS 1

/* Sessions that are ended at once, before datagrams get their turn. */
#define EXPIRY_SESSIONS 256

/* --- Answers --- */

static void end_batch(void *data)
{
	reply_batch_complete(data);
}

static void on_wake(uv_timer_t *timer)
{
	struct reply_poller *loop = timer->data;

	paused_sessions_resume(&loop->answers.resting, WAKE_SESSIONS);
	if (!paused_sessions_any(&loop->answers.resting))
		uv_timer_stop(timer);
}

static void wake_later(struct reply_poller *loop)
{
	if (paused_sessions_any(&loop->answers.resting) && !uv_is_active((uv_handle_t *)&loop->wake))
		uv_timer_start(&loop->wake, on_wake, REST_MS, REST_MS);
}

/* Reads, routes and sends one batch. Returns whether more may wait. */
static bool turn_batch(struct reply_poller *loop)
{
	struct batch_scheduler *turns = loop->turns;
	bool more = reply_batch_recv(&loop->answers, turns->batch, loop->epoll, loop->limit);

	if (!loop->answers.session_count)
		return false;
	wake_later(loop);
	reply_batch_submit(&loop->answers, loop->records ? clock_wall_us() : 0, uv_now(turns->loop));
	batch_scheduler_flush(turns, end_batch, &loop->answers);
	return more;
}

static void on_answers(struct watcher *watcher, int status)
{
	struct reply_poller *loop = (struct reply_poller *)((char *)watcher - offsetof(struct reply_poller, watcher));
	unsigned read = 0;

	(void)status; /* epoll's own descriptor has no errors */
	while (turn_batch(loop) && !batch_scheduler_has_pending(loop->turns) && read < TURN_SESSIONS)
		read += loop->answers.session_count;
}

/* --- Idle sessions --- */

/* Ends those that are due, at most limit of each relay. Returns when the next will be. */
static uint64_t expire(struct reply_poller *loop, unsigned limit)
{
	uint64_t next_ms = UINT64_MAX;

	for (size_t i = 0; i < loop->count; i++) {
		uint64_t due_ms = relay_expire(loop->relays[i], uv_now(loop->turns->loop), limit);

		next_ms = due_ms < next_ms ? due_ms : next_ms;
	}
	return next_ms;
}

static void on_expiry(uv_timer_t *timer);

/* A session that is due now waits for the next turn of the loop, or for the batch that is in the way. */
static void wait_until(struct reply_poller *loop, uint64_t due_ms)
{
	uint64_t now_ms = uv_now(loop->turns->loop), soon_ms = batch_scheduler_has_pending(loop->turns) ? 1 : 0;

	loop->expiry_ms = due_ms;
	if (due_ms < UINT64_MAX)
		uv_timer_start(&loop->expiry, on_expiry, due_ms > now_ms ? due_ms - now_ms : soon_ms, 0);
}

static void on_expiry(uv_timer_t *timer)
{
	struct reply_poller *loop = timer->data;

	wait_until(loop, expire(loop, batch_scheduler_has_pending(loop->turns) ? 0 : EXPIRY_SESSIONS));
}

/* Once in a turn of the loop, so that no datagram has to: a new session may be due before all others. */
static void on_before_sleep(uv_prepare_t *prepare)
{
	struct reply_poller *loop = prepare->data;
	uint64_t next_ms = expire(loop, 0);

	if (next_ms < loop->expiry_ms)
		wait_until(loop, next_ms);
}

/* --- Life --- */

int reply_poller_init(struct reply_poller *loop, struct batch_scheduler *turns, size_t max)
{
	*loop = (struct reply_poller){.turns = turns, .epoll = -1, .limit = RX_BATCH_TRAINS, .expiry_ms = UINT64_MAX};
	if (!max)
		return 0;
	loop->relays = calloc(max, sizeof(struct relay *));
	if (!loop->relays)
		return -ENOMEM;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return -errno;
	reply_batch_init(&loop->answers, loop->epoll);
	uv_timer_init(turns->loop, &loop->expiry);
	loop->expiry.data = loop;
	uv_timer_init(turns->loop, &loop->wake);
	loop->wake.data = loop;
	uv_prepare_init(turns->loop, &loop->before_sleep);
	loop->before_sleep.data = loop;
	uv_prepare_start(&loop->before_sleep, on_before_sleep);
	return batch_scheduler_add(turns, &loop->watcher, loop->epoll, on_answers);
}

void reply_poller_add(struct reply_poller *loop, struct relay *relay)
{
	unsigned limit = delivery_batch_limit(relay->setup.carrier);

	loop->relays[loop->count++] = relay;
	loop->records |= relay->setup.carrier->ring != NULL;
	loop->limit = limit < loop->limit ? limit : loop->limit;
}

void reply_poller_set_peers(struct reply_poller *loop, const struct endpoints_snapshot *snapshot)
{
	for (size_t i = 0; i < loop->count; i++)
		relay_set_peers(loop->relays[i], snapshot, uv_now(loop->turns->loop));
}

/* Hears one batch. Returns false where nothing waits any more. */
static bool drain_batch(struct reply_poller *loop)
{
	turn_batch(loop);
	batch_scheduler_finish_pending(loop->turns);
	if (loop->answers.session_count)
		return true;
	if (!paused_sessions_any(&loop->answers.resting))
		return false;
	uv_sleep(LAST_REST_MS);
	paused_sessions_resume(&loop->answers.resting, UINT_MAX);
	return true;
}

void reply_poller_drain(struct reply_poller *loop, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	batch_scheduler_finish_pending(loop->turns);
	while (loop->epoll >= 0 && clock_monotonic_ms() < end_ms && drain_batch(loop))
		;
}

static bool awaits(const struct reply_poller *loop, uint64_t since_ms)
{
	for (size_t i = 0; i < loop->count; i++) {
		if (relay_expects_replies(loop->relays[i], since_ms))
			return true;
	}
	return false;
}

bool reply_poller_wait_for_replies(struct reply_poller *loop, uint64_t limit_ms)
{
	bool replies_due = false;
	uint64_t now_ms = clock_monotonic_ms(), since_ms = now_ms - limit_ms, end_ms = now_ms + limit_ms;
	struct pollfd sockets = {.fd = loop->epoll, .events = POLLIN};

	for (; now_ms < end_ms && awaits(loop, since_ms); now_ms = clock_monotonic_ms()) {
		replies_due = true;
		if (poll(&sockets, 1, (int)(end_ms - now_ms)) > 0)
			drain_batch(loop);
	}
	return replies_due;
}

void reply_poller_close(struct reply_poller *loop)
{
	if (loop->epoll < 0)
		return;
	uv_close((uv_handle_t *)&loop->expiry, NULL);
	uv_close((uv_handle_t *)&loop->wake, NULL);
	uv_close((uv_handle_t *)&loop->before_sleep, NULL);
}

void reply_poller_finish(struct reply_poller *loop)
{
	free(loop->relays);
	if (loop->epoll >= 0)
		close(loop->epoll);
	*loop = (struct reply_poller){.epoll = -1};
}

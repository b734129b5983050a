#include "relay_loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "clock.h"
#include "route.h"

/* Trains of answers, before the listeners get their turn. */
#define TURN_TRAINS 256

/* Sessions that are ended at once, before datagrams get their turn. */
#define EXPIRY_SESSIONS 256

/* --- Answers --- */

static void end_batch(void *data)
{
	answers_end(data);
}

/* Reads, routes and sends one batch. Returns whether more may wait. */
static bool turn_batch(struct relay_loop *loop)
{
	struct turns *turns = loop->turns;
	bool more = answers_receive(&loop->answers, turns->batch, loop->epoll, loop->limit);

	if (!loop->answers.session_count)
		return false;
	answers_begin(&loop->answers, loop->records ? clock_wall_us() : 0, uv_now(turns->loop));
	turns_flush(turns, end_batch, &loop->answers);
	return more;
}

static void on_answers(struct watcher *watcher, int status)
{
	struct relay_loop *loop = (struct relay_loop *)((char *)watcher - offsetof(struct relay_loop, watcher));
	unsigned read = 0;

	(void)status; /* epoll's own descriptor has no errors */
	while (turn_batch(loop) && !turns_blocked(loop->turns) && (read += loop->answers.count) < TURN_TRAINS)
		;
}

/* --- Idle sessions --- */

static void on_expiry(uv_timer_t *timer);

static void expire_at(struct relay_loop *loop, uint64_t due_ms)
{
	uint64_t now_ms = uv_now(loop->turns->loop);

	uv_timer_start(&loop->expiry, on_expiry, due_ms > now_ms ? due_ms - now_ms : 0, 0);
}

/* Ends those that are due, and waits for the next. */
static void expire(struct relay_loop *loop, unsigned limit)
{
	uint64_t next_ms = UINT64_MAX;

	for (size_t i = 0; i < loop->count; i++) {
		uint64_t due_ms = relay_expire(loop->relays[i], uv_now(loop->turns->loop), limit);

		next_ms = due_ms < next_ms ? due_ms : next_ms;
	}
	if (next_ms < UINT64_MAX)
		expire_at(loop, next_ms);
}

static void on_expiry(uv_timer_t *timer)
{
	struct relay_loop *loop = timer->data;

	if (turns_blocked(loop->turns))
		expire_at(loop, uv_now(loop->turns->loop) + 1);
	else
		expire(loop, EXPIRY_SESSIONS);
}

/* Once in a turn of the loop, so that no datagram has to. */
static void on_before_sleep(uv_prepare_t *prepare)
{
	struct relay_loop *loop = prepare->data;

	if (loop->news && !turns_blocked(loop->turns)) {
		struct peers_snapshot *news = loop->news;

		loop->news = NULL;
		relay_loop_set_peers(loop, news);
		peers_snapshot_put(news);
	}
	if (!uv_is_active((uv_handle_t *)&loop->expiry))
		expire(loop, 0);
}

/* --- Life --- */

int relay_loop_init(struct relay_loop *loop, struct turns *turns, size_t max)
{
	*loop = (struct relay_loop){.turns = turns, .epoll = -1, .limit = BATCH_TRAINS};
	if (!max)
		return 0;
	loop->relays = calloc(max, sizeof(struct relay *));
	if (!loop->relays)
		return -ENOMEM;
	loop->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (loop->epoll < 0)
		return -errno;
	uv_timer_init(turns->loop, &loop->expiry);
	loop->expiry.data = loop;
	uv_prepare_init(turns->loop, &loop->before_sleep);
	loop->before_sleep.data = loop;
	uv_prepare_start(&loop->before_sleep, on_before_sleep);
	return turns_add(turns, &loop->watcher, loop->epoll, on_answers);
}

void relay_loop_add(struct relay_loop *loop, struct relay *relay)
{
	unsigned limit = route_batch_limit(relay->route);

	loop->relays[loop->count++] = relay;
	loop->records |= relay->route->ring != NULL;
	loop->limit = limit < loop->limit ? limit : loop->limit;
}

void relay_loop_set_peers(struct relay_loop *loop, struct peers_snapshot *snapshot)
{
	if (turns_blocked(loop->turns)) {
		peers_snapshot_put(loop->news);
		loop->news = peers_snapshot_get(snapshot);
		return;
	}
	for (size_t i = 0; i < loop->count; i++)
		relay_set_peers(loop->relays[i], peers_snapshot_get(snapshot), uv_now(loop->turns->loop));
}

void relay_loop_drain(struct relay_loop *loop, uint64_t limit_ms)
{
	uint64_t end_ms = clock_monotonic_ms() + limit_ms;

	turns_end_blocked(loop->turns);
	while (loop->epoll >= 0 && clock_monotonic_ms() < end_ms && turn_batch(loop))
		turns_end_blocked(loop->turns);
}

void relay_loop_close(struct relay_loop *loop)
{
	if (loop->epoll < 0)
		return;
	uv_close((uv_handle_t *)&loop->expiry, NULL);
	uv_close((uv_handle_t *)&loop->before_sleep, NULL);
}

void relay_loop_finish(struct relay_loop *loop)
{
	peers_snapshot_put(loop->news);
	free(loop->relays);
	if (loop->epoll >= 0)
		close(loop->epoll);
	*loop = (struct relay_loop){.epoll = -1};
}

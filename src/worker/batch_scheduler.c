#include "worker/batch_scheduler.h"

#include <assert.h>

/* A batch that finds a send buffer full is tried again at this interval. How long that may go on is the egress's to
 * know (TX_WAIT_BUDGET_MS). */
#define RETRY_MS 1

#define PAUSE_MS 10

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watcher *watcher = poll->data;

	(void)events;
	watcher->turn(watcher, status);
}

static int watch(struct watcher *watcher)
{
	return uv_poll_start(&watcher->poll, UV_READABLE, on_poll);
}

void turns_init(struct turns *turns, uv_loop_t *loop, struct rx_batch *batch, struct tx_batch *egress)
{
	*turns = (struct turns){.loop = loop, .batch = batch, .egress = egress};
	uv_timer_init(loop, &turns->retry);
	turns->retry.data = turns;
	uv_timer_init(loop, &turns->pause);
	turns->pause.data = turns;
}

int turns_add(struct turns *turns, struct watcher *watcher, int fd, void (*turn)(struct watcher *watcher, int status))
{
	int error = uv_poll_init(turns->loop, &watcher->poll, fd);

	if (error)
		return error;
	watcher->poll.data = watcher;
	watcher->turns = turns;
	watcher->turn = turn;
	watcher->next = turns->watchers;
	turns->watchers = watcher;
	return 0;
}

int turns_start(struct turns *turns)
{
	int error = 0;

	for (struct watcher *watcher = turns->watchers; watcher && !error; watcher = watcher->next)
		error = watch(watcher);
	return error;
}

void turns_rest(struct watcher *watcher)
{
	uv_poll_stop(&watcher->poll);
}

void turns_wake(struct watcher *watcher)
{
	if (!turns_blocked(watcher->turns))
		watch(watcher);
}

/* A batch that waits for room has all of them watched when it ends. */
static void on_pause_over(uv_timer_t *timer)
{
	struct turns *turns = timer->data;

	if (!turns_blocked(turns))
		turns_start(turns);
}

void turns_pause(struct watcher *watcher)
{
	struct turns *turns = watcher->turns;

	uv_poll_stop(&watcher->poll);
	if (!uv_is_active((uv_handle_t *)&turns->pause))
		uv_timer_start(&turns->pause, on_pause_over, PAUSE_MS, 0);
}

/* --- A batch that waits for room --- */

static void finish_batch(struct turns *turns)
{
	void (*end)(void *data) = turns->end;

	turns->end = NULL;
	uv_timer_stop(&turns->retry);
	end(turns->data);
}

static void on_retry(uv_timer_t *timer)
{
	struct turns *turns = timer->data;

	if (!tx_batch_flush(turns->egress, uv_now(turns->loop)))
		return;
	finish_batch(turns);
	turns_start(turns);
}

bool turns_flush(struct turns *turns, void (*end)(void *data), void *data)
{
	assert(!turns_blocked(turns));
	if (tx_batch_flush(turns->egress, uv_now(turns->loop))) {
		end(data);
		return true;
	}
	turns->end = end;
	turns->data = data;
	for (struct watcher *watcher = turns->watchers; watcher; watcher = watcher->next)
		uv_poll_stop(&watcher->poll);
	uv_timer_start(&turns->retry, on_retry, RETRY_MS, RETRY_MS);
	return false;
}

void turns_end_blocked(struct turns *turns)
{
	if (!turns_blocked(turns))
		return;
	if (!tx_batch_flush(turns->egress, uv_now(turns->loop)))
		tx_batch_drop_pending(turns->egress);
	finish_batch(turns);
}

void turns_close(struct turns *turns)
{
	turns_end_blocked(turns);
	uv_close((uv_handle_t *)&turns->retry, NULL);
	uv_close((uv_handle_t *)&turns->pause, NULL);
	for (struct watcher *watcher = turns->watchers; watcher; watcher = watcher->next)
		uv_close((uv_handle_t *)&watcher->poll, NULL);
}

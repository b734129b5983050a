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

void batch_scheduler_init(struct batch_scheduler *turns, uv_loop_t *loop, struct rx_batch *batch,
			  struct tx_batch *egress)
{
	*turns = (struct batch_scheduler){.loop = loop, .batch = batch, .egress = egress};
	uv_timer_init(loop, &turns->retry);
	turns->retry.data = turns;
	uv_timer_init(loop, &turns->pause);
	turns->pause.data = turns;
}

int batch_scheduler_add(struct batch_scheduler *turns, struct watcher *watcher, int fd,
			void (*turn)(struct watcher *watcher, int status))
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

int batch_scheduler_start(struct batch_scheduler *turns)
{
	int error = 0;

	for (struct watcher *watcher = turns->watchers; watcher && !error; watcher = watcher->next)
		error = watch(watcher);
	return error;
}

void watcher_stop(struct watcher *watcher)
{
	uv_poll_stop(&watcher->poll);
}

void watcher_start(struct watcher *watcher)
{
	if (!batch_scheduler_has_pending(watcher->turns))
		watch(watcher);
}

/* A batch that waits for room has all of them watched when it ends. */
static void on_pause_over(uv_timer_t *timer)
{
	struct batch_scheduler *turns = timer->data;

	if (!batch_scheduler_has_pending(turns))
		batch_scheduler_start(turns);
}

void watcher_back_off(struct watcher *watcher)
{
	struct batch_scheduler *turns = watcher->turns;

	uv_poll_stop(&watcher->poll);
	if (!uv_is_active((uv_handle_t *)&turns->pause))
		uv_timer_start(&turns->pause, on_pause_over, PAUSE_MS, 0);
}

/* --- A batch that waits for room --- */

static void finish_batch(struct batch_scheduler *turns)
{
	void (*end)(void *data) = turns->end;

	turns->end = NULL;
	uv_timer_stop(&turns->retry);
	end(turns->data);
}

static void on_retry(uv_timer_t *timer)
{
	struct batch_scheduler *turns = timer->data;

	if (!tx_batch_flush(turns->egress, uv_now(turns->loop)))
		return;
	finish_batch(turns);
	batch_scheduler_start(turns);
}

bool batch_scheduler_flush(struct batch_scheduler *turns, void (*end)(void *data), void *data)
{
	assert(!batch_scheduler_has_pending(turns));
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

void batch_scheduler_finish_pending(struct batch_scheduler *turns)
{
	if (!batch_scheduler_has_pending(turns))
		return;
	if (!tx_batch_flush(turns->egress, uv_now(turns->loop)))
		tx_batch_drop_pending(turns->egress);
	finish_batch(turns);
}

void batch_scheduler_close(struct batch_scheduler *turns)
{
	batch_scheduler_finish_pending(turns);
	uv_close((uv_handle_t *)&turns->retry, NULL);
	uv_close((uv_handle_t *)&turns->pause, NULL);
	for (struct watcher *watcher = turns->watchers; watcher; watcher = watcher->next)
		uv_close((uv_handle_t *)&watcher->poll, NULL);
}

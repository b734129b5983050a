#include "worker/batch_scheduler.h"

#include <assert.h>

/* Interval between flushes of a pending batch. The wait budget of the tx_batch bounds their number. */
#define RETRY_MS 1

#define BACK_OFF_MS 10

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct watcher *watcher = poll->data;

	(void)events;
	watcher->on_readable(watcher, status);
}

void batch_scheduler_init(struct batch_scheduler *scheduler, uv_loop_t *loop, struct rx_batch *rx_batch,
			  struct tx_batch *tx_batch)
{
	*scheduler = (struct batch_scheduler){.loop = loop, .rx_batch = rx_batch, .tx_batch = tx_batch};
	SLIST_INIT(&scheduler->watchers);
	uv_timer_init(loop, &scheduler->retry);
	scheduler->retry.data = scheduler;
	uv_timer_init(loop, &scheduler->back_off);
	scheduler->back_off.data = scheduler;
}

int batch_scheduler_add(struct batch_scheduler *scheduler, struct watcher *watcher, int fd,
			void (*on_readable)(struct watcher *watcher, int status))
{
	int error = uv_poll_init(scheduler->loop, &watcher->poll, fd);

	if (error)
		return error;
	watcher->poll.data = watcher;
	watcher->scheduler = scheduler;
	watcher->on_readable = on_readable;
	SLIST_INSERT_HEAD(&scheduler->watchers, watcher, link);
	return 0;
}

int batch_scheduler_start(struct batch_scheduler *scheduler)
{
	struct watcher *watcher;
	int error = 0;

	SLIST_FOREACH(watcher, &scheduler->watchers, link)
	{
		error = uv_poll_start(&watcher->poll, UV_READABLE, on_poll);
		if (error)
			break;
	}
	return error;
}

void watcher_stop(struct watcher *watcher)
{
	uv_poll_stop(&watcher->poll);
}

void watcher_start(struct watcher *watcher)
{
	if (!batch_scheduler_has_pending(watcher->scheduler))
		uv_poll_start(&watcher->poll, UV_READABLE, on_poll);
}

static void on_back_off_end(uv_timer_t *timer)
{
	struct batch_scheduler *scheduler = timer->data;

	if (!batch_scheduler_has_pending(scheduler))
		batch_scheduler_start(scheduler);
}

void watcher_back_off(struct watcher *watcher)
{
	struct batch_scheduler *scheduler = watcher->scheduler;

	uv_poll_stop(&watcher->poll);
	if (!uv_is_active((uv_handle_t *)&scheduler->back_off))
		uv_timer_start(&scheduler->back_off, on_back_off_end, BACK_OFF_MS, 0);
}

/* --- The pending batch --- */

static void batch_scheduler_complete(struct batch_scheduler *scheduler)
{
	void (*on_complete)(void *data) = scheduler->on_complete;

	scheduler->on_complete = NULL;
	uv_timer_stop(&scheduler->retry);
	on_complete(scheduler->data);
}

static void on_retry(uv_timer_t *timer)
{
	struct batch_scheduler *scheduler = timer->data;

	if (!tx_batch_flush(scheduler->tx_batch, uv_now(scheduler->loop)))
		return;
	batch_scheduler_complete(scheduler);
	batch_scheduler_start(scheduler);
}

void batch_scheduler_flush(struct batch_scheduler *scheduler, void (*on_complete)(void *data), void *data)
{
	struct watcher *watcher;

	assert(!scheduler->on_complete);
	if (tx_batch_flush(scheduler->tx_batch, uv_now(scheduler->loop))) {
		on_complete(data);
		return;
	}
	scheduler->on_complete = on_complete;
	scheduler->data = data;
	SLIST_FOREACH(watcher, &scheduler->watchers, link)
	uv_poll_stop(&watcher->poll);
	uv_timer_start(&scheduler->retry, on_retry, RETRY_MS, RETRY_MS);
}

void batch_scheduler_finish_pending(struct batch_scheduler *scheduler)
{
	if (!batch_scheduler_has_pending(scheduler))
		return;
	if (!tx_batch_flush(scheduler->tx_batch, uv_now(scheduler->loop)))
		tx_batch_drop_pending(scheduler->tx_batch);
	batch_scheduler_complete(scheduler);
}

void batch_scheduler_close(struct batch_scheduler *scheduler)
{
	struct watcher *watcher;

	batch_scheduler_finish_pending(scheduler);
	uv_close((uv_handle_t *)&scheduler->retry, NULL);
	uv_close((uv_handle_t *)&scheduler->back_off, NULL);
	SLIST_FOREACH(watcher, &scheduler->watchers, link)
	uv_close((uv_handle_t *)&watcher->poll, NULL);
}

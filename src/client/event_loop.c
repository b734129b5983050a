#include "client/event_loop.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

static void event_loop_on_signal(uv_signal_t *handle, int number)
{
	struct event_loop *loop = handle->data;

	(void)number;
	loop->on_interrupt(loop->data);
}

static void event_loop_close_handle(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void event_loop_stop(struct event_loop *loop)
{
	uv_walk(&loop->uv, event_loop_close_handle, NULL);
}

void event_loop_run(struct event_loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
}

int event_loop_init(struct event_loop *loop)
{
	static const int numbers[EVENT_LOOP_SIGNALS] = {SIGINT, SIGTERM};
	int error = uv_loop_init(&loop->uv);

	if (error)
		return error;
	for (int i = 0; i < EVENT_LOOP_SIGNALS; i++) {
		uv_signal_init(&loop->uv, &loop->signals[i]);
		loop->signals[i].data = loop;
		error = error ? error : uv_signal_start(&loop->signals[i], event_loop_on_signal, numbers[i]);
	}
	if (!error)
		return 0;
	event_loop_stop(loop);
	event_loop_run(loop);
	return error;
}

/* --- Descriptors --- */

static void fd_watcher_on_poll(uv_poll_t *poll, int status, int events)
{
	struct fd_watcher *watcher = poll->data;

	(void)status;
	(void)events;
	watcher->on_readable(watcher->data);
}

static void fd_watcher_on_idle(uv_idle_t *idle)
{
	struct fd_watcher *watcher = idle->data;

	watcher->on_readable(watcher->data);
}

/* libuv watches a private epoll instance that contains only this descriptor. */
static int fd_watcher_init_handle(struct fd_watcher *watcher, uv_loop_t *loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	watcher->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (watcher->epoll_fd < 0)
		return -errno;
	if (!epoll_ctl(watcher->epoll_fd, EPOLL_CTL_ADD, fd, &event))
		return uv_poll_init(loop, &watcher->poll, watcher->epoll_fd);
	int error = errno;

	close(watcher->epoll_fd);
	watcher->epoll_fd = -1;
	return error == EPERM ? uv_idle_init(loop, &watcher->idle) : -error;
}

int fd_watcher_init(struct fd_watcher *watcher, uv_loop_t *loop, int fd)
{
	watcher->poll.data = watcher;
	watcher->idle.data = watcher;
	return fd_watcher_init_handle(watcher, loop, fd);
}

void fd_watcher_start(struct fd_watcher *watcher)
{
	if (watcher->epoll_fd < 0)
		uv_idle_start(&watcher->idle, fd_watcher_on_idle);
	else
		uv_poll_start(&watcher->poll, UV_READABLE, fd_watcher_on_poll);
}

void fd_watcher_stop(struct fd_watcher *watcher)
{
	if (watcher->epoll_fd < 0)
		uv_idle_stop(&watcher->idle);
	else
		uv_poll_stop(&watcher->poll);
}

static void fd_watcher_on_close(uv_handle_t *handle)
{
	struct fd_watcher *watcher = handle->data;

	if (watcher->epoll_fd >= 0)
		close(watcher->epoll_fd);
}

void fd_watcher_close(struct fd_watcher *watcher)
{
	uv_close(watcher->epoll_fd < 0 ? (uv_handle_t *)&watcher->idle : (uv_handle_t *)&watcher->poll,
		 fd_watcher_on_close);
}

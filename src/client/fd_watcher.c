#include "client/fd_watcher.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct readable *readable = poll->data;

	(void)status;
	(void)events;
	readable->call(readable->data);
}

static void on_idle(uv_idle_t *idle)
{
	struct readable *readable = idle->data;

	readable->call(readable->data);
}

/* The descriptor stands in an epoll of its own, and libuv watches that. */
static int init_poll(struct readable *readable, uv_loop_t *loop, int fd)
{
	struct epoll_event event = {.events = EPOLLIN};

	readable->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (readable->epoll < 0)
		return -errno;
	if (!epoll_ctl(readable->epoll, EPOLL_CTL_ADD, fd, &event))
		return uv_poll_init(loop, &readable->poll, readable->epoll);
	int error = errno;

	close(readable->epoll);
	readable->epoll = -1;
	return error == EPERM ? uv_idle_init(loop, &readable->idle) : -error;
}

int readable_init(struct readable *readable, uv_loop_t *loop, int fd)
{
	readable->poll.data = readable;
	readable->idle.data = readable;
	return init_poll(readable, loop, fd);
}

void readable_start(struct readable *readable)
{
	if (readable->epoll < 0)
		uv_idle_start(&readable->idle, on_idle);
	else
		uv_poll_start(&readable->poll, UV_READABLE, on_poll);
}

void readable_stop(struct readable *readable)
{
	if (readable->epoll < 0)
		uv_idle_stop(&readable->idle);
	else
		uv_poll_stop(&readable->poll);
}

static void on_closed(uv_handle_t *handle)
{
	struct readable *readable = handle->data;

	if (readable->epoll >= 0)
		close(readable->epoll);
}

void readable_close(struct readable *readable)
{
	uv_close(readable->epoll < 0 ? (uv_handle_t *)&readable->idle : (uv_handle_t *)&readable->poll, on_closed);
}

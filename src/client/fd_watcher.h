/* Calls whenever a descriptor can be read without waiting: a terminal, a pipe, a socket, a file. */
#ifndef UDPRELAYD_CLIENT_FD_WATCHER_H
#define UDPRELAYD_CLIENT_FD_WATCHER_H

#include <stdbool.h>
#include <uv.h>

/* Unlike a uv_poll_t of its own, it leaves the flags of the descriptor alone, which other programs share (the shell its
 * terminal, for one); and it takes what epoll(7) refuses, since that can always be read. */
struct readable {
	void (*call)(void *data);
	void *data;

	int epoll; /* -1: it can always be read */
	uv_poll_t poll;
	uv_idle_t idle;
};

/* Call and data are filled in. Not yet watched. Returns 0 or a negative errno. */
int readable_init(struct readable *readable, uv_loop_t *loop, int fd);

void readable_start(struct readable *readable);
void readable_stop(struct readable *readable);

/* The memory must stay until the loop has run once more. */
void readable_close(struct readable *readable);

#endif

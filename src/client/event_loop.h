/* The libuv loop of a command that waits for events, and a watcher for descriptors that uv_poll_t does not handle.
 *
 * A command embeds struct event_loop and adds its own handles. The loop runs until event_loop_stop(), which the
 * command also calls from on_interrupt() after SIGINT or SIGTERM. Handles must stay in memory until event_loop_run()
 * returns. */
#ifndef UDPRELAYD_CLIENT_EVENT_LOOP_H
#define UDPRELAYD_CLIENT_EVENT_LOOP_H

#include <uv.h>

enum { EVENT_LOOP_SIGNALS = 2 };

struct event_loop {
	void (*on_interrupt)(void *data);
	void *data;

	uv_loop_t uv;
	uv_signal_t signals[EVENT_LOOP_SIGNALS];
};

/* Initialises the loop. The caller has set on_interrupt and data. From now on SIGINT and SIGTERM call
 * on_interrupt(), which must stop the loop. Returns 0, or a negative errno and closes the loop. */
int event_loop_init(struct event_loop *loop);

/* Closes every handle that is not closing yet. event_loop_run() then returns. */
void event_loop_stop(struct event_loop *loop);

/* Runs until all handles are closed, then closes the loop. */
void event_loop_run(struct event_loop *loop);

/* --- Descriptors --- */

/* Calls on_readable() whenever a descriptor can be read without blocking. The descriptor may be a terminal, a pipe, a
 * socket or a file.
 *
 * uv_poll_init() sets O_NONBLOCK, which other processes with the same open file share: a terminal would stay
 * non-blocking in the shell. The watcher leaves the flags of the descriptor unchanged. It also accepts descriptors that
 * epoll(7) rejects, for example regular files. These are always readable. */
struct fd_watcher {
	void (*on_readable)(void *data);
	void *data;

	int epoll_fd; /* -1: the descriptor is always readable */
	uv_poll_t poll;
	uv_idle_t idle;
};

/* Initialises the watcher, which is stopped at first. The caller has set on_readable and data. The descriptor stays
 * the caller's. Returns 0 or a negative errno. */
int fd_watcher_init(struct fd_watcher *watcher, uv_loop_t *loop, int fd);

void fd_watcher_start(struct fd_watcher *watcher);
void fd_watcher_stop(struct fd_watcher *watcher);

/* Closes the watcher. Its memory must stay valid until the loop has run once more. */
void fd_watcher_close(struct fd_watcher *watcher);

#endif

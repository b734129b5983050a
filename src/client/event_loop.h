/* The loop of a command that waits: it ends by itself, or by SIGINT or SIGTERM. */
#ifndef UDPRELAYD_CLIENT_EVENT_LOOP_H
#define UDPRELAYD_CLIENT_EVENT_LOOP_H

#include <uv.h>

enum { LOOP_SIGNALS = 2 };

struct loop {
	void (*interrupted)(void *data);
	void *data;

	uv_loop_t uv;
	uv_signal_t signals[LOOP_SIGNALS];
};

/* The first part is filled in. From here the signals call interrupted(), which is to end the loop. Returns 0, or a
 * negative errno and there is no loop. */
int loop_init(struct loop *loop);

/* Closes every handle, but for those that are closing: then it ends. */
void loop_end(struct loop *loop);

/* Runs to the end, after which there is no loop. */
void loop_run(struct loop *loop);

#endif

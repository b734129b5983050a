#include "client/event_loop.h"

#include <signal.h>

static void on_signal(uv_signal_t *handle, int number)
{
	struct loop *loop = handle->data;

	(void)number;
	loop->interrupted(loop->data);
}

static void close_any(uv_handle_t *handle, void *data)
{
	(void)data;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

void loop_end(struct loop *loop)
{
	uv_walk(&loop->uv, close_any, NULL);
}

void loop_run(struct loop *loop)
{
	uv_run(&loop->uv, UV_RUN_DEFAULT);
	uv_loop_close(&loop->uv);
}

int loop_init(struct loop *loop)
{
	static const int numbers[LOOP_SIGNALS] = {SIGINT, SIGTERM};
	int error = uv_loop_init(&loop->uv);

	if (error)
		return error;
	for (int i = 0; i < LOOP_SIGNALS; i++) {
		uv_signal_init(&loop->uv, &loop->signals[i]);
		loop->signals[i].data = loop;
		error = error ? error : uv_signal_start(&loop->signals[i], on_signal, numbers[i]);
	}
	if (!error)
		return 0;
	loop_end(loop);
	loop_run(loop);
	return error;
}

#include "client/send/send_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <uv.h>

#include "base/xalloc.h"
#include "client/cli.h"
#include "client/event_loop.h"

/* Largest number of replies that one event handles, so that keys and input lines are not delayed. */
#define REPLIES_PER_EVENT 64

/* poll(2) reports an unconnected AF_UNIX socket as writable even if the receiver has no space. A timer retries
 * sending to it at this interval, in milliseconds. */
#define RETRY_MS 1

struct send_loop {
	const struct send_loop_plan *plan;
	struct event_loop events;
	uv_poll_t socket_poll;
	uv_timer_t wait_timer, retry_timer;
	struct fd_watcher input_watcher;

	const uint8_t *data; /* the datagram to send next */
	size_t size;
	bool blocked; /* the send buffer is full; the datagram must be sent again */
	bool sent_all; /* there is nothing more to send */
	bool stopping;
	uint64_t line_number; /* number of the last input line */
	uint64_t sent, replies, errors;
	bool any_source; /* replies to a multicast or broadcast address come from other addresses */
	bool send_failed; /* a datagram could not be sent */
	bool unreachable; /* an error said that the destination is unreachable */
	uint8_t buffer[CLIENT_DATAGRAM_MAX];
};

/* --- End --- */

static void send_loop_stop(struct send_loop *loop)
{
	if (loop->stopping)
		return;
	loop->stopping = true;
	if (loop->plan->input)
		fd_watcher_close(&loop->input_watcher);
	event_loop_stop(&loop->events);
}

/* A datagram that was refused gets no reply. */
static bool send_loop_has_all_replies(const struct send_loop *loop)
{
	return !loop->plan->wait_for_replies || loop->replies + loop->errors >= loop->sent;
}

static void send_loop_stop_if_done(struct send_loop *loop)
{
	if (loop->sent_all && send_loop_has_all_replies(loop))
		send_loop_stop(loop);
}

static void send_loop_on_wait_timeout(uv_timer_t *timer)
{
	send_loop_stop(timer->data);
}

static void send_loop_finish_sending(struct send_loop *loop)
{
	loop->sent_all = true;
	if (loop->plan->input)
		fd_watcher_stop(&loop->input_watcher);
	send_loop_stop_if_done(loop);
	if (!loop->stopping)
		uv_timer_start(&loop->wait_timer, send_loop_on_wait_timeout, loop->plan->wait_ns / 1000000, 0);
}

static void send_loop_on_interrupt(void *data)
{
	send_loop_stop(data);
}

/* --- Output --- */

static void send_loop_hide_input(struct send_loop *loop)
{
	if (loop->plan->input)
		line_input_hide(loop->plan->input);
}

static void send_loop_show_input(struct send_loop *loop)
{
	if (loop->plan->input && !loop->sent_all && !loop->stopping)
		line_input_show(loop->plan->input);
}

static void send_loop_report_unsent(struct send_loop *loop, const char *error_text)
{
	send_loop_hide_input(loop);
	if (loop->plan->input)
		cli_error("line %" PRIu64 " is not sent: %s", loop->line_number, error_text);
	else
		cli_error("cannot send: %s", error_text);
	loop->send_failed = true;
}

static void send_loop_report_read_error(struct send_loop *loop, int error)
{
	send_loop_hide_input(loop);
	cli_error("cannot read standard input: %s", strerror(error));
	loop->send_failed = true;
}

static bool means_unreachable(int code)
{
	return code == ECONNREFUSED || code == ENOENT || code == EHOSTUNREACH || code == ENETUNREACH;
}

static void send_loop_on_icmp_error(struct send_loop *loop, const struct send_error *error)
{
	char text[SEND_ERROR_TEXT_MAX];

	send_loop_hide_input(loop);
	cli_error("%s", send_error_format(error, text));
	loop->unreachable |= means_unreachable(error->code);
	loop->errors++;
	send_loop_stop_if_done(loop);
	send_loop_show_input(loop);
}

/* --- Send --- */

static void send_loop_on_socket(uv_poll_t *poll, int status, int events);
static void send_loop_on_retry(uv_timer_t *timer);

static void send_loop_watch_socket(struct send_loop *loop)
{
	bool poll_reports_space = loop->plan->destination->any.sa_family != AF_UNIX;
	int events = UV_READABLE | UV_PRIORITIZED | (loop->blocked && poll_reports_space ? UV_WRITABLE : 0);

	uv_poll_start(&loop->socket_poll, events, send_loop_on_socket);
	if (loop->blocked && !poll_reports_space)
		uv_timer_start(&loop->retry_timer, send_loop_on_retry, RETRY_MS, RETRY_MS);
	else
		uv_timer_stop(&loop->retry_timer);
}

static void send_loop_report_send_error(struct send_loop *loop, int code)
{
	struct send_error error = {.code = code, .destination = *loop->plan->destination};
	char text[SEND_ERROR_TEXT_MAX];

	send_loop_report_unsent(loop, send_error_format(&error, text));
	loop->unreachable |= means_unreachable(code);
}

/* Returns whether the datagram was sent or failed. Returns false if it must be sent again later. */
static bool send_loop_send_datagram(struct send_loop *loop)
{
	const struct send_loop_plan *plan = loop->plan;
	int error = client_socket_send(plan->socket, plan->destination, loop->data, loop->size);
	bool was_blocked = loop->blocked;

	loop->blocked = error == -EAGAIN;
	if (loop->blocked != was_blocked)
		send_loop_watch_socket(loop);
	if (loop->blocked)
		return false;
	if (error)
		send_loop_report_send_error(loop, -error);
	else
		loop->sent++;
	return true;
}

/* Returns whether the next line may be sent. */
static bool send_loop_send_line(struct send_loop *loop, const char *line, size_t length)
{
	const char *error_text;
	ssize_t size = payload_encode(loop->plan->encoder, line, length, &loop->data, &error_text);

	if (size < 0) {
		send_loop_report_unsent(loop, error_text);
		return true;
	}
	loop->size = (size_t)size;
	return send_loop_send_datagram(loop);
}

static void send_loop_send_lines(struct send_loop *loop)
{
	bool send_next = true;

	while (send_next && !loop->stopping) {
		const char *line;
		size_t length;

		switch (line_input_next(loop->plan->input, &line, &length)) {
		case LINE_INPUT_READY:
			loop->line_number++;
			send_next = send_loop_send_line(loop, line, length);
			break;
		case LINE_INPUT_TOO_LONG:
			loop->line_number++;
			send_loop_report_unsent(loop, "it has more bytes than a datagram can carry");
			break;
		case LINE_INPUT_NEED_DATA:
			line_input_show(loop->plan->input);
			fd_watcher_start(&loop->input_watcher);
			return;
		case LINE_INPUT_END:
			if (line_input_error(loop->plan->input))
				send_loop_report_read_error(loop, line_input_error(loop->plan->input));
			send_loop_finish_sending(loop);
			return;
		}
	}
	fd_watcher_stop(&loop->input_watcher);
}

static void send_loop_on_input(void *data)
{
	struct send_loop *loop = data;

	line_input_read(loop->plan->input);
	send_loop_send_lines(loop);
}

static void send_loop_resume(struct send_loop *loop)
{
	if (!send_loop_send_datagram(loop))
		return;
	if (loop->plan->input)
		send_loop_send_lines(loop);
	else
		send_loop_finish_sending(loop);
}

static void send_loop_on_retry(uv_timer_t *timer)
{
	send_loop_resume(timer->data);
}

/* --- Replies --- */

static void send_loop_on_reply(struct send_loop *loop, const struct address *source, size_t size)
{
	char text[ADDRESS_TEXT_MAX];

	send_loop_hide_input(loop);
	if (size > sizeof(loop->buffer))
		cli_error("%s: a datagram of %zu bytes is too large to show", address_format(source, text), size);
	else
		message_printer_print(loop->plan->printer, stdout, source, loop->buffer, size);
	loop->replies += loop->any_source || address_equal(source, loop->plan->destination);
	if (ferror(stdout))
		send_loop_stop(loop);
	send_loop_stop_if_done(loop);
	send_loop_show_input(loop);
}

static void send_loop_read_socket(struct send_loop *loop)
{
	struct client_socket *socket = loop->plan->socket;
	struct address source;
	struct send_error error;
	ssize_t size;

	for (int i = 0; i < REPLIES_PER_EVENT && !loop->stopping; i++) {
		size = client_socket_receive(socket, loop->buffer, sizeof(loop->buffer), &source);
		if (size < 0)
			break;
		send_loop_on_reply(loop, &source, (size_t)size);
	}
	while (client_socket_next_error(socket, &error))
		send_loop_on_icmp_error(loop, &error);
}

static void send_loop_on_socket(uv_poll_t *poll, int status, int events)
{
	struct send_loop *loop = poll->data;

	send_loop_read_socket(loop);
	if (status && !loop->stopping) /* uv_poll stops after an error */
		send_loop_watch_socket(loop);
	if (events & UV_WRITABLE && loop->blocked && !loop->stopping)
		send_loop_resume(loop);
}

/* --- Run --- */

static int send_loop_init_handles(struct send_loop *loop)
{
	const struct send_loop_plan *plan = loop->plan;
	int error = uv_timer_init(&loop->events.uv, &loop->wait_timer);

	if (!error)
		error = uv_timer_init(&loop->events.uv, &loop->retry_timer);
	loop->wait_timer.data = loop;
	loop->retry_timer.data = loop;
	loop->socket_poll.data = loop;
	loop->input_watcher.on_readable = send_loop_on_input;
	loop->input_watcher.data = loop;
	if (!error)
		error = uv_poll_init(&loop->events.uv, &loop->socket_poll, plan->socket->fd);
	if (!error && plan->input)
		error = fd_watcher_init(&loop->input_watcher, &loop->events.uv, plan->input_fd);
	return error;
}

static void send_loop_start(struct send_loop *loop)
{
	send_loop_watch_socket(loop);
	if (loop->plan->input) {
		send_loop_send_lines(loop);
		return;
	}
	loop->data = loop->plan->data;
	loop->size = loop->plan->size;
	send_loop_resume(loop);
}

static int send_loop_exit_status(const struct send_loop *loop)
{
	bool replies_missing = loop->plan->wait_for_replies && loop->replies < loop->sent;

	if (loop->unreachable)
		return EX_UNAVAILABLE;
	return loop->send_failed || replies_missing;
}

static int send_loop_run_events(struct send_loop *loop)
{
	int error = event_loop_init(&loop->events);

	if (error)
		return error;
	error = send_loop_init_handles(loop);
	if (error)
		event_loop_stop(&loop->events);
	else
		send_loop_start(loop);
	event_loop_run(&loop->events);
	send_loop_read_socket(loop);
	return error;
}

int send_loop_run(const struct send_loop_plan *plan)
{
	struct send_loop *loop = xcheck(calloc(1, sizeof(*loop)));
	int error, status = 1;

	loop->plan = plan;
	loop->any_source = client_socket_reaches_many(plan->destination);
	loop->events.on_interrupt = send_loop_on_interrupt;
	loop->events.data = loop;
	error = send_loop_run_events(loop);
	if (error)
		cli_error("cannot wait for events: %s", uv_strerror(error));
	else
		status = send_loop_exit_status(loop);
	free(loop);
	return status;
}

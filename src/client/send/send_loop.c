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
#include "client/fd_watcher.h"

/* Answers that are shown before keys and lines have their turn again. */
#define ANSWERS_AT_ONCE 64

/* An AF_UNIX socket that is not connected can always be written to, as poll(2) has it, whether the receiver has room or
 * not: so it is asked again and again. */
#define ROOM_MS 1

struct exchange {
	const struct exchange_plan *plan;
	struct loop loop;
	uv_poll_t socket;
	uv_timer_t patience, room;
	struct readable readable;

	const uint8_t *data; /* what is to be sent now */
	size_t size;
	bool waits_for_room; /* in the send buffer */
	bool sent_all; /* nothing more is to be sent */
	bool ending;
	uint64_t line; /* number of the last one */
	uint64_t sent, answers, refusals;
	bool to_many; /* anybody may answer */
	bool failed; /* to send something */
	bool absent; /* nobody was there */
	uint8_t buffer[CLIENT_DATAGRAM_MAX];
};

/* --- Ending --- */

static void end(struct exchange *exchange)
{
	if (exchange->ending)
		return;
	exchange->ending = true;
	if (exchange->plan->input)
		readable_close(&exchange->readable);
	loop_end(&exchange->loop);
}

/* What was refused is not answered. */
static bool has_all_answers(const struct exchange *exchange)
{
	return !exchange->plan->waits || exchange->answers + exchange->refusals >= exchange->sent;
}

static void end_if_done(struct exchange *exchange)
{
	if (exchange->sent_all && has_all_answers(exchange))
		end(exchange);
}

static void on_patience(uv_timer_t *timer)
{
	end(timer->data);
}

static void end_sending(struct exchange *exchange)
{
	exchange->sent_all = true;
	if (exchange->plan->input)
		readable_stop(&exchange->readable);
	end_if_done(exchange);
	if (!exchange->ending)
		uv_timer_start(&exchange->patience, on_patience, exchange->plan->wait_ns / 1000000, 0);
}

static void on_interrupt(void *data)
{
	end(data);
}

/* --- Showing --- */

static void begin_output(struct exchange *exchange)
{
	if (exchange->plan->input)
		line_input_hide(exchange->plan->input);
}

static void end_output(struct exchange *exchange)
{
	if (exchange->plan->input && !exchange->sent_all && !exchange->ending)
		line_input_show(exchange->plan->input);
}

static void tell_fault(struct exchange *exchange, const char *fault)
{
	begin_output(exchange);
	if (exchange->plan->input)
		command_tell("line %" PRIu64 " is not sent: %s", exchange->line, fault);
	else
		command_tell("nothing is sent: %s", fault);
	exchange->failed = true;
}

static void tell_unread(struct exchange *exchange, int error)
{
	begin_output(exchange);
	command_tell("cannot read standard input: %s", strerror(error));
	exchange->failed = true;
}

static bool tells_of_absence(int error)
{
	return error == ECONNREFUSED || error == ENOENT || error == EHOSTUNREACH || error == ENETUNREACH;
}

static void tell_refusal(struct exchange *exchange, const struct refusal *refusal)
{
	char text[REFUSAL_TEXT_MAX];

	begin_output(exchange);
	command_tell("%s", refusal_text(refusal, text));
	exchange->absent |= tells_of_absence(refusal->error);
	exchange->refusals++;
	end_if_done(exchange);
	end_output(exchange);
}

/* --- Sending --- */

static void on_socket(uv_poll_t *poll, int status, int events);
static void on_room(uv_timer_t *timer);

static void watch_socket(struct exchange *exchange)
{
	bool can_tell = exchange->plan->to->any.sa_family != AF_UNIX;
	int events = UV_READABLE | UV_PRIORITIZED | (exchange->waits_for_room && can_tell ? UV_WRITABLE : 0);

	uv_poll_start(&exchange->socket, events, on_socket);
	if (exchange->waits_for_room && !can_tell)
		uv_timer_start(&exchange->room, on_room, ROOM_MS, ROOM_MS);
	else
		uv_timer_stop(&exchange->room);
}

static void tell_unsent(struct exchange *exchange, int error)
{
	struct refusal refusal = {.error = error, .to = *exchange->plan->to};
	char text[REFUSAL_TEXT_MAX];

	tell_fault(exchange, refusal_text(&refusal, text));
	exchange->absent |= tells_of_absence(error);
}

/* Returns whether the datagram is done with; if not, there is no room for it yet. */
static bool send_now(struct exchange *exchange)
{
	const struct exchange_plan *plan = exchange->plan;
	int error = client_socket_send(plan->client, plan->to, exchange->data, exchange->size);
	bool waited = exchange->waits_for_room;

	exchange->waits_for_room = error == -EAGAIN;
	if (exchange->waits_for_room != waited)
		watch_socket(exchange);
	if (exchange->waits_for_room)
		return false;
	if (error)
		tell_unsent(exchange, -error);
	else
		exchange->sent++;
	return true;
}

/* Returns whether the next line may follow. */
static bool send_line(struct exchange *exchange, const char *line, size_t length)
{
	const char *fault;
	ssize_t size = wording_say(exchange->plan->wording, line, length, &exchange->data, &fault);

	if (size < 0) {
		tell_fault(exchange, fault);
		return true;
	}
	exchange->size = (size_t)size;
	return send_now(exchange);
}

static void send_lines(struct exchange *exchange)
{
	bool more = true;

	while (more && !exchange->ending) {
		const char *line;
		size_t length;

		switch (line_input_next(exchange->plan->input, &line, &length)) {
		case LINE_READY:
			exchange->line++;
			more = send_line(exchange, line, length);
			break;
		case LINE_TOO_LONG:
			exchange->line++;
			tell_fault(exchange, "it has more bytes than a datagram carries");
			break;
		case LINE_WANTED:
			line_input_show(exchange->plan->input);
			readable_start(&exchange->readable);
			return;
		case LINE_END:
			if (line_input_error(exchange->plan->input))
				tell_unread(exchange, line_input_error(exchange->plan->input));
			end_sending(exchange);
			return;
		}
	}
	readable_stop(&exchange->readable);
}

static void on_input(void *data)
{
	struct exchange *exchange = data;

	line_input_read(exchange->plan->input);
	send_lines(exchange);
}

static void go_on_sending(struct exchange *exchange)
{
	if (!send_now(exchange))
		return;
	if (exchange->plan->input)
		send_lines(exchange);
	else
		end_sending(exchange);
}

static void on_room(uv_timer_t *timer)
{
	go_on_sending(timer->data);
}

/* --- Hearing --- */

static void take_answer(struct exchange *exchange, const struct address *source, size_t size)
{
	char text[ADDRESS_TEXT_MAX];

	begin_output(exchange);
	if (size > sizeof(exchange->buffer))
		command_tell("%s: a datagram of %zu bytes is too large to be shown", address_format(source, text),
			     size);
	else
		transcript_write(exchange->plan->transcript, stdout, source, exchange->buffer, size);
	exchange->answers += exchange->to_many || address_equal(source, exchange->plan->to);
	if (ferror(stdout))
		end(exchange);
	end_if_done(exchange);
	end_output(exchange);
}

static void hear(struct exchange *exchange)
{
	struct client_socket *client = exchange->plan->client;
	struct address source;
	struct refusal refusal;
	ssize_t size;

	for (int i = 0; i < ANSWERS_AT_ONCE && !exchange->ending; i++) {
		size = client_socket_receive(client, exchange->buffer, sizeof(exchange->buffer), &source);
		if (size < 0)
			break;
		take_answer(exchange, &source, (size_t)size);
	}
	while (client_socket_refused(client, &refusal))
		tell_refusal(exchange, &refusal);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
	struct exchange *exchange = poll->data;

	hear(exchange);
	if (status && !exchange->ending) /* which has ended the watch */
		watch_socket(exchange);
	if (events & UV_WRITABLE && exchange->waits_for_room && !exchange->ending)
		go_on_sending(exchange);
}

/* --- Running --- */

static int set_up(struct exchange *exchange)
{
	const struct exchange_plan *plan = exchange->plan;
	int error = uv_timer_init(&exchange->loop.uv, &exchange->patience);

	if (!error)
		error = uv_timer_init(&exchange->loop.uv, &exchange->room);
	exchange->patience.data = exchange;
	exchange->room.data = exchange;
	exchange->socket.data = exchange;
	exchange->readable.call = on_input;
	exchange->readable.data = exchange;
	if (!error)
		error = uv_poll_init(&exchange->loop.uv, &exchange->socket, plan->client->fd);
	if (!error && plan->input)
		error = readable_init(&exchange->readable, &exchange->loop.uv, plan->input_fd);
	return error;
}

static void begin(struct exchange *exchange)
{
	watch_socket(exchange);
	if (exchange->plan->input) {
		send_lines(exchange);
		return;
	}
	exchange->data = exchange->plan->data;
	exchange->size = exchange->plan->size;
	go_on_sending(exchange);
}

static int status_of(const struct exchange *exchange)
{
	bool missing = exchange->plan->waits && exchange->answers < exchange->sent;

	if (exchange->absent)
		return EX_UNAVAILABLE;
	return exchange->failed || missing;
}

static int run(struct exchange *exchange)
{
	int error = loop_init(&exchange->loop);

	if (error)
		return error;
	error = set_up(exchange);
	if (error)
		loop_end(&exchange->loop);
	else
		begin(exchange);
	loop_run(&exchange->loop);
	hear(exchange);
	return error;
}

int exchange_run(const struct exchange_plan *plan)
{
	struct exchange *exchange = xcheck(calloc(1, sizeof(*exchange)));
	int error, status = 1;

	exchange->plan = plan;
	exchange->to_many = client_socket_reaches_many(plan->to);
	exchange->loop.interrupted = on_interrupt;
	exchange->loop.data = exchange;
	error = run(exchange);
	if (error)
		command_tell("cannot wait for events: %s", uv_strerror(error));
	else
		status = status_of(exchange);
	free(exchange);
	return status;
}

#include "client/ping/ping_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/xalloc.h"
#include "client/event_loop.h"
#include "client/probe.h"

/* Longest time between two datagrams of a flood, if no replies arrive. */
#define FLOOD_INTERVAL_NS 10000000

/* Largest number of datagrams that one event handles, so that timers and signals are not delayed. */
#define READS_PER_EVENT 64

struct ping_loop {
	const struct ping_loop_options *options;
	struct client_socket *socket;
	struct ping_result *result;
	struct sequence_tracker tracker;
	uint32_t run_id;
	uint64_t next_seq; /* sequence number of the next probe */
	uint64_t started_ns;
	uint64_t due_ns; /* time of the next probe; after the last one, the end of the timeout */
	bool any_source; /* replies to a multicast or broadcast address come from other addresses */
	bool stopped;
	struct event_loop events;
	uv_poll_t socket_poll;
	uv_timer_t timer;
	uint8_t datagram[CLIENT_DATAGRAM_MAX], reply[CLIENT_DATAGRAM_MAX];
};

static bool ping_loop_has_more(const struct ping_loop *loop)
{
	return !loop->options->count || loop->next_seq < loop->options->count;
}

static void ping_loop_stop(struct ping_loop *loop)
{
	if (!loop->stopped)
		event_loop_stop(&loop->events);
	loop->stopped = true;
}

/* --- Output --- */

/* Each line is flushed at once. If standard output fails, the run ends, because its lines are no longer read. */
static void ping_loop_flush_line(struct ping_loop *loop)
{
	if (fflush(loop->options->output) || ferror(loop->options->output))
		ping_loop_stop(loop);
}

/* In flood mode, no line per event is printed; only the first foreign datagram is reported. */
static bool ping_loop_prints_each(const struct ping_loop *loop)
{
	return loop->options->output && !loop->options->flood;
}

static void ping_loop_print_not_sent(struct ping_loop *loop, uint64_t seq, int code)
{
	if (!ping_loop_prints_each(loop))
		return;
	fprintf(loop->options->output, "seq=%" PRIu64 ": not sent: %s\n", seq + 1, strerror(code));
	ping_loop_flush_line(loop);
}

/* seq is NULL if it is unknown. */
static void ping_loop_print_error(struct ping_loop *loop, const uint64_t *seq, const struct send_error *error)
{
	char text[SEND_ERROR_TEXT_MAX];

	if (!ping_loop_prints_each(loop))
		return;
	if (seq)
		fprintf(loop->options->output, "seq=%" PRIu64 ": ", *seq + 1);
	fprintf(loop->options->output, "%s\n", send_error_format(error, text));
	ping_loop_flush_line(loop);
}

static void ping_loop_print_foreign(struct ping_loop *loop, const struct address *source)
{
	char text[ADDRESS_TEXT_MAX];

	if (!loop->options->output || loop->result->foreign > 1)
		return;
	fprintf(loop->options->output, "a datagram from %s is not a reply to this run; further ones are only counted\n",
		address_format(source, text));
	ping_loop_flush_line(loop);
}

/* --- Send --- */

/* Returns whether the error is a temporary lack of buffers on this host. Any other error concerns the destination. */
static bool is_temporary_error(int code)
{
	return code == EAGAIN || code == ENOBUFS || code == ENOMEM;
}

static void ping_loop_on_send_error(struct ping_loop *loop, uint64_t seq, int code)
{
	struct send_error error = {.code = code, .destination = loop->result->destination};

	if (is_temporary_error(code)) {
		loop->result->not_sent++;
		ping_loop_print_not_sent(loop, seq, code);
		return;
	}
	loop->result->sent++;
	loop->result->refused++;
	ping_loop_print_error(loop, &seq, &error);
}

static void ping_loop_send_probe(struct ping_loop *loop)
{
	struct probe probe = {.run_id = loop->run_id, .seq = loop->next_seq++, .time_ns = probe_now_ns()};
	int error;

	probe_write(loop->datagram, &probe);
	error = client_socket_send(loop->socket, &loop->result->destination, loop->datagram, loop->result->size);
	if (error)
		ping_loop_on_send_error(loop, probe.seq, -error);
	else
		loop->result->sent++;
}

/* --- Timer --- */

static void ping_loop_on_timer(uv_timer_t *timer);

/* libuv counts in milliseconds, so the wait is rounded up. ping_loop_on_timer() checks the exact time. */
static void ping_loop_set_timer(struct ping_loop *loop, uint64_t now)
{
	uint64_t wait = loop->due_ns > now ? loop->due_ns - now : 0;

	uv_update_time(&loop->events.uv);
	uv_timer_start(&loop->timer, ping_loop_on_timer, (wait + 999999) / 1000000, 0);
}

/* Send times are multiples of the interval after the start, so they do not drift. Missed send times are skipped and
 * not made up with a burst. */
static uint64_t next_send_time(uint64_t due, uint64_t now, uint64_t interval)
{
	return due + ((now - due) / interval + 1) * interval;
}

static void ping_loop_send_next(struct ping_loop *loop)
{
	const struct ping_loop_options *options = loop->options;
	uint64_t now;

	ping_loop_send_probe(loop);
	if (loop->stopped)
		return;
	now = probe_now_ns();
	if (!ping_loop_has_more(loop))
		loop->due_ns = now + options->timeout_ns;
	else if (options->flood)
		loop->due_ns = now + FLOOD_INTERVAL_NS;
	else
		loop->due_ns = next_send_time(loop->due_ns, now, options->interval_ns);
	ping_loop_set_timer(loop, now);
}

static void ping_loop_stop_if_complete(struct ping_loop *loop)
{
	if (!ping_loop_has_more(loop) && !ping_result_lost(loop->result))
		ping_loop_stop(loop);
}

static void ping_loop_on_timer(uv_timer_t *timer)
{
	struct ping_loop *loop = timer->data;
	uint64_t now = probe_now_ns();

	if (now < loop->due_ns) {
		ping_loop_set_timer(loop, now);
	} else if (ping_loop_has_more(loop)) {
		ping_loop_send_next(loop);
		ping_loop_stop_if_complete(loop);
	} else {
		ping_loop_stop(loop);
	}
}

/* --- Replies --- */

/* A datagram that this run cannot have sent is not a reply: its sequence number was not sent yet, or its time is not
 * within this run. */
static bool ping_loop_is_reply(const struct ping_loop *loop, ssize_t size, uint64_t now, struct probe *probe)
{
	return probe_read(loop->reply, (size_t)size, loop->run_id, probe) && !probe->flow &&
	       probe->seq < loop->next_seq && probe->time_ns >= loop->started_ns && probe->time_ns <= now;
}

/* The reply is older than the window of the tracker. */
static bool ping_loop_is_too_late(const struct ping_loop *loop, uint64_t seq)
{
	return seq < loop->tracker.next && loop->tracker.next - seq > SEQUENCE_TRACKER_WINDOW;
}

static void ping_loop_count_reply(struct ping_loop *loop, const struct probe *probe, struct ping_reply *reply)
{
	struct ping_result *result = loop->result;
	struct delivery_counts before = result->counts;

	reply->other_source = !loop->any_source && !address_equal(reply->source, &result->destination);
	result->other_source += reply->other_source;
	result->other_size += reply->size != result->size;
	reply->too_late = ping_loop_is_too_late(loop, probe->seq);
	if (reply->too_late) {
		result->too_late++;
		return;
	}
	sequence_tracker_add(&loop->tracker, probe->seq, &result->counts);
	reply->duplicate = result->counts.duplicated > before.duplicated;
	reply->out_of_order = result->counts.reordered > before.reordered;
	if (!reply->duplicate)
		ping_result_add(result, reply->time_ns);
}

/* In flood mode, only the first reply to a probe triggers the next one, so that duplicates do not increase the rate. */
static void ping_loop_on_reply(struct ping_loop *loop, const struct probe *probe, struct ping_reply *reply)
{
	ping_loop_count_reply(loop, probe, reply);
	if (ping_loop_prints_each(loop)) {
		ping_report_reply(loop->options->output, loop->result, reply);
		ping_loop_flush_line(loop);
	}
	if (loop->options->flood && !reply->duplicate && !reply->too_late && ping_loop_has_more(loop) && !loop->stopped)
		ping_loop_send_next(loop);
}

/* Returns false if no datagram is waiting. */
static bool ping_loop_receive_datagram(struct ping_loop *loop)
{
	struct address source;
	struct probe probe;
	ssize_t size = client_socket_receive(loop->socket, loop->reply, sizeof(loop->reply), &source);
	uint64_t now = probe_now_ns();

	if (size < 0)
		return false;
	if (ping_loop_is_reply(loop, size, now, &probe)) {
		struct ping_reply reply = {
			.source = &source, .seq = probe.seq + 1, .size = (size_t)size, .time_ns = now - probe.time_ns};

		ping_loop_on_reply(loop, &probe, &reply);
	} else {
		loop->result->foreign++;
		ping_loop_print_foreign(loop, &source);
	}
	return true;
}

static bool ping_loop_receive_error(struct ping_loop *loop)
{
	struct send_error error;
	struct probe probe;

	if (!client_socket_next_error(loop->socket, &error))
		return false;
	loop->result->refused++;
	ping_loop_print_error(loop, probe_read(error.head, error.head_size, loop->run_id, &probe) ? &probe.seq : NULL,
			      &error);
	return true;
}

static void ping_loop_read_socket(struct ping_loop *loop)
{
	for (int i = 0; i < READS_PER_EVENT && ping_loop_receive_error(loop); i++)
		;
	for (int i = 0; i < READS_PER_EVENT && ping_loop_receive_datagram(loop); i++)
		;
}

static int ping_loop_watch_socket(struct ping_loop *loop);

static void ping_loop_on_event(uv_poll_t *poll, int status, int events)
{
	struct ping_loop *loop = poll->data;

	(void)events;
	ping_loop_read_socket(loop);
	ping_loop_stop_if_complete(loop);
	if (status && !loop->stopped) /* uv_poll stops after an error */
		ping_loop_watch_socket(loop);
}

/* POLLPRI signals a queued ICMP error; client_socket_open() enables this. */
static int ping_loop_watch_socket(struct ping_loop *loop)
{
	return uv_poll_start(&loop->socket_poll, UV_READABLE | UV_PRIORITIZED, ping_loop_on_event);
}

/* --- Run --- */

static void ping_loop_on_interrupt(void *data)
{
	ping_loop_stop(data);
}

static int ping_loop_start(struct ping_loop *loop)
{
	int error = uv_timer_init(&loop->events.uv, &loop->timer);

	loop->timer.data = loop;
	loop->socket_poll.data = loop;
	if (!error)
		error = uv_poll_init(&loop->events.uv, &loop->socket_poll, loop->socket->fd);
	if (!error)
		error = ping_loop_watch_socket(loop);
	return error ? error : uv_timer_start(&loop->timer, ping_loop_on_timer, 0, 0);
}

/* Replies that arrived in time count, even if the loop has not read them yet. */
static int ping_loop_run_events(struct ping_loop *loop)
{
	int error = event_loop_init(&loop->events);

	if (error)
		return error;
	loop->started_ns = loop->due_ns = probe_now_ns();
	error = ping_loop_start(loop);
	if (error)
		ping_loop_stop(loop);
	event_loop_run(&loop->events);
	ping_loop_read_socket(loop);
	loop->result->elapsed_ns = probe_now_ns() - loop->started_ns;
	return error;
}

int ping_loop_run(const struct ping_loop_options *options, struct client_socket *socket, struct ping_result *result)
{
	struct ping_loop *loop = xcheck(calloc(1, sizeof(*loop)));
	int error;

	loop->options = options;
	loop->socket = socket;
	loop->events.on_interrupt = ping_loop_on_interrupt;
	loop->events.data = loop;
	loop->result = result;
	loop->any_source = client_socket_reaches_many(&result->destination);
	loop->run_id = probe_new_run_id();
	memset(loop->datagram, 'x', sizeof(loop->datagram));
	error = ping_loop_run_events(loop);
	free(loop);
	return error;
}

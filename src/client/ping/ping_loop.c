#include "client/ping/ping_loop.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/xalloc.h"
#include "client/event_loop.h"
#include "client/probe.h"

/* Of a flood that gets no answers. */
#define FLOOD_INTERVAL_NS 10000000

/* Datagrams that are read at a time: in between, the loop looks at timers and signals. */
#define READ_AT_ONCE 64

struct pinger {
	const struct pinger_options *options;
	struct client_socket *client;
	struct ping_result *result;
	struct tracker tracker;
	uint32_t run;
	uint64_t next; /* number */
	uint64_t began_ns;
	uint64_t due_ns; /* when the next one goes; after the last, when waiting ends */
	bool to_many; /* anybody may answer */
	bool ended;
	struct loop loop;
	uv_poll_t poll;
	uv_timer_t timer;
	uint8_t datagram[CLIENT_DATAGRAM_MAX], answer[CLIENT_DATAGRAM_MAX];
};

static bool has_more(const struct pinger *pinger)
{
	return !pinger->options->count || pinger->next < pinger->options->count;
}

static void end(struct pinger *pinger)
{
	if (!pinger->ended)
		loop_end(&pinger->loop);
	pinger->ended = true;
}

/* --- Telling --- */

/* Lines are seen as they are written. Where nobody reads them, there is nobody to go on for. */
static void finish_line(struct pinger *pinger)
{
	if (fflush(pinger->options->lines) || ferror(pinger->options->lines))
		end(pinger);
}

/* Of a flood only what is told once is told. */
static bool tells_each(const struct pinger *pinger)
{
	return pinger->options->lines && !pinger->options->flood;
}

static void tell_not_sent(struct pinger *pinger, uint64_t seq, int error)
{
	if (!tells_each(pinger))
		return;
	fprintf(pinger->options->lines, "seq=%" PRIu64 ": not sent: %s\n", seq + 1, strerror(error));
	finish_line(pinger);
}

/* seq is NULL where it is not known. */
static void tell_refusal(struct pinger *pinger, const uint64_t *seq, const struct refusal *refusal)
{
	char text[REFUSAL_TEXT_MAX];

	if (!tells_each(pinger))
		return;
	if (seq)
		fprintf(pinger->options->lines, "seq=%" PRIu64 ": ", *seq + 1);
	fprintf(pinger->options->lines, "%s\n", refusal_text(refusal, text));
	finish_line(pinger);
}

static void tell_foreign(struct pinger *pinger, const struct address *source)
{
	char text[ADDRESS_TEXT_MAX];

	if (!pinger->options->lines || pinger->result->foreign > 1)
		return;
	fprintf(pinger->options->lines, "what came from %s answers nothing of this run; more of that is only counted\n",
		address_format(source, text));
	finish_line(pinger);
}

/* --- Sending --- */

/* There is no room for it, now; anything else is about where it goes to. */
static bool is_passing(int error)
{
	return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

static void take_failure(struct pinger *pinger, uint64_t seq, int error)
{
	struct refusal refusal = {.error = error, .to = pinger->result->to};

	if (is_passing(error)) {
		pinger->result->not_sent++;
		tell_not_sent(pinger, seq, error);
		return;
	}
	pinger->result->sent++;
	pinger->result->refused++;
	tell_refusal(pinger, &seq, &refusal);
}

static void send_one(struct pinger *pinger)
{
	struct probe probe = {.run = pinger->run, .seq = pinger->next++, .time_ns = probe_now_ns()};
	int error;

	probe_write(pinger->datagram, &probe);
	error = client_socket_send(pinger->client, &pinger->result->to, pinger->datagram, pinger->result->size);
	if (error)
		take_failure(pinger, probe.seq, -error);
	else
		pinger->result->sent++;
}

/* --- Time --- */

static void on_timer(uv_timer_t *timer);

/* Of libuv's milliseconds the one in which it is due; on_timer() sees to it that this is not too early. */
static void set_timer(struct pinger *pinger, uint64_t now)
{
	uint64_t wait = pinger->due_ns > now ? pinger->due_ns - now : 0;

	uv_update_time(&pinger->loop.uv);
	uv_timer_start(&pinger->timer, on_timer, (wait + 999999) / 1000000, 0);
}

/* Times count from the beginning, so that they do not drift. Those that were missed are left out: what was not sent in
 * time is not sent in a burst either. */
static uint64_t next_due(uint64_t due, uint64_t now, uint64_t interval)
{
	return due + ((now - due) / interval + 1) * interval;
}

static void send_next(struct pinger *pinger)
{
	const struct pinger_options *options = pinger->options;
	uint64_t now;

	send_one(pinger);
	if (pinger->ended)
		return;
	now = probe_now_ns();
	if (!has_more(pinger))
		pinger->due_ns = now + options->timeout_ns;
	else if (options->flood)
		pinger->due_ns = now + FLOOD_INTERVAL_NS;
	else
		pinger->due_ns = next_due(pinger->due_ns, now, options->interval_ns);
	set_timer(pinger, now);
}

static void end_if_complete(struct pinger *pinger)
{
	if (!has_more(pinger) && !ping_result_lost(pinger->result))
		end(pinger);
}

static void on_timer(uv_timer_t *timer)
{
	struct pinger *pinger = timer->data;
	uint64_t now = probe_now_ns();

	if (now < pinger->due_ns) {
		set_timer(pinger, now);
	} else if (has_more(pinger)) {
		send_next(pinger);
		end_if_complete(pinger);
	} else {
		end(pinger);
	}
}

/* --- Answers --- */

/* A datagram that was not sent, or from a time before this run, is none of ours, whatever it says. */
static bool is_answer(const struct pinger *pinger, ssize_t size, uint64_t now, struct probe *probe)
{
	return probe_read(pinger->answer, (size_t)size, pinger->run, probe) && !probe->flow &&
	       probe->seq < pinger->next && probe->time_ns >= pinger->began_ns && probe->time_ns <= now;
}

/* The tracker has forgotten what came so long ago. */
static bool is_too_late(const struct pinger *pinger, uint64_t seq)
{
	return seq < pinger->tracker.next && pinger->tracker.next - seq > TRACKER_WINDOW;
}

static void count_answer(struct pinger *pinger, const struct probe *probe, struct ping_answer *answer)
{
	struct ping_result *result = pinger->result;
	struct tally before = result->tally;

	answer->other_source = !pinger->to_many && !address_equal(answer->source, &result->to);
	result->other_source += answer->other_source;
	result->other_size += answer->size != result->size;
	answer->too_late = is_too_late(pinger, probe->seq);
	if (answer->too_late) {
		result->too_late++;
		return;
	}
	tracker_see(&pinger->tracker, probe->seq, &result->tally);
	answer->duplicate = result->tally.duplicated > before.duplicated;
	answer->out_of_order = result->tally.reordered > before.reordered;
	if (!answer->duplicate)
		ping_result_add(result, answer->time_ns);
}

/* One that comes twice makes a flood no bigger. */
static void take_answer(struct pinger *pinger, const struct probe *probe, struct ping_answer *answer)
{
	count_answer(pinger, probe, answer);
	if (tells_each(pinger)) {
		ping_report_answer(pinger->options->lines, pinger->result, answer);
		finish_line(pinger);
	}
	if (pinger->options->flood && !answer->duplicate && !answer->too_late && has_more(pinger) && !pinger->ended)
		send_next(pinger);
}

/* Returns whether there was one. */
static bool take_datagram(struct pinger *pinger)
{
	struct address source;
	struct probe probe;
	ssize_t size = client_socket_receive(pinger->client, pinger->answer, sizeof(pinger->answer), &source);
	uint64_t now = probe_now_ns();

	if (size < 0)
		return false;
	if (is_answer(pinger, size, now, &probe)) {
		struct ping_answer answer = {
			.source = &source, .seq = probe.seq + 1, .size = (size_t)size, .time_ns = now - probe.time_ns};

		take_answer(pinger, &probe, &answer);
	} else {
		pinger->result->foreign++;
		tell_foreign(pinger, &source);
	}
	return true;
}

static bool take_refusal(struct pinger *pinger)
{
	struct refusal refusal;
	struct probe probe;

	if (!client_socket_refused(pinger->client, &refusal))
		return false;
	pinger->result->refused++;
	tell_refusal(pinger, probe_read(refusal.head, refusal.head_size, pinger->run, &probe) ? &probe.seq : NULL,
		     &refusal);
	return true;
}

static void hear(struct pinger *pinger)
{
	for (int i = 0; i < READ_AT_ONCE && take_refusal(pinger); i++)
		;
	for (int i = 0; i < READ_AT_ONCE && take_datagram(pinger); i++)
		;
}

static int watch(struct pinger *pinger);

static void on_event(uv_poll_t *poll, int status, int events)
{
	struct pinger *pinger = poll->data;

	(void)events;
	hear(pinger);
	end_if_complete(pinger);
	if (status && !pinger->ended) /* which has ended the watch */
		watch(pinger);
}

/* A refusal is something to read, out of band (client_socket_open()). */
static int watch(struct pinger *pinger)
{
	return uv_poll_start(&pinger->poll, UV_READABLE | UV_PRIORITIZED, on_event);
}

/* --- Life --- */

static void on_interrupt(void *data)
{
	end(data);
}

static int start(struct pinger *pinger)
{
	int error = uv_timer_init(&pinger->loop.uv, &pinger->timer);

	pinger->timer.data = pinger;
	pinger->poll.data = pinger;
	if (!error)
		error = uv_poll_init(&pinger->loop.uv, &pinger->poll, pinger->client->fd);
	if (!error)
		error = watch(pinger);
	return error ? error : uv_timer_start(&pinger->timer, on_timer, 0, 0);
}

/* What came in time counts, even where the loop was too busy to look. */
static int run_loop(struct pinger *pinger)
{
	int error = loop_init(&pinger->loop);

	if (error)
		return error;
	pinger->began_ns = pinger->due_ns = probe_now_ns();
	error = start(pinger);
	if (error)
		end(pinger);
	loop_run(&pinger->loop);
	hear(pinger);
	pinger->result->elapsed_ns = probe_now_ns() - pinger->began_ns;
	return error;
}

int pinger_run(const struct pinger_options *options, struct client_socket *client, struct ping_result *result)
{
	struct pinger *pinger = xcheck(calloc(1, sizeof(*pinger)));
	int error;

	pinger->options = options;
	pinger->client = client;
	pinger->loop.interrupted = on_interrupt;
	pinger->loop.data = pinger;
	pinger->result = result;
	pinger->to_many = client_socket_reaches_many(&result->to);
	pinger->run = probe_new_run();
	memset(pinger->datagram, 'x', sizeof(pinger->datagram));
	error = run_loop(pinger);
	free(pinger);
	return error;
}

#include "relay/reply.h"

#include <errno.h>
#include <sys/epoll.h>

#include "net/socket.h"
#include "relay/relay.h"

/* Sessions that are asked for at once; and trains of one of them, before the others get their turn. */
#define ROUND_SESSIONS 16
#define SESSION_TRAINS 16

/* From so many answers at once, a session's socket is to keep trains together. */
#define TRAINS_APPETITE 4

/* A session that could not be read so many times, one after another, rests. */
#define LASTING_FAILURES 2

static struct delivery_context *carrier_of(const struct session *session)
{
	return session->relay->setup.carrier;
}

/* --- Reception --- */

void reply_batch_init(struct reply_batch *answers, int epoll)
{
	*answers = (struct reply_batch){0};
	paused_sessions_init(&answers->resting, epoll);
}

/* A socket says by an error what became of what it sent: that is counted when the batch ends, and is told once. An
 * error that comes again at once is one of reading, and may stay. */
static void note_error(struct reply_batch *answers, struct session *session, int error)
{
	if (tx_error_is_icmp(error))
		session->outlet.icmp_errors++;
	else
		relay_log_receive_error(session->relay, session, error);
	if (session->failures < LASTING_FAILURES)
		session->failures++;
	if (session->failures == LASTING_FAILURES)
		paused_sessions_add(&answers->resting, session);
}

/* received as of receive_some(). A socket that says it is in error, but not which, would say so for ever. */
static void note(struct reply_batch *answers, struct session *session, uint32_t events, int received)
{
	if (received > 0)
		session->failures = 0;
	else if (received < 0)
		note_error(answers, session, -received);
	else if (!(events & EPOLLIN))
		session->outlet.broken = true;
}

/* Mostly one answer waits in a session: to ask in vain for a second would cost as much as the first. A session that has
 * more is named again in the same batch, and then asked for twice as many. */
static unsigned appetite_of(const struct reply_batch *answers, struct session *session)
{
	if (session->batch == answers->batch && session->read_quota < SESSION_TRAINS)
		session->read_quota *= 2;
	else if (!session->read_quota)
		session->read_quota = 1;
	if (session->read_quota >= TRAINS_APPETITE && !session->gro_enabled && session->outlet.gso) {
		session->gro_enabled = true;
		socket_enable_gro(session->outlet.fd);
	}
	return session->read_quota;
}

static int receive_some(struct reply_batch *answers, struct rx_batch *batch, struct session *session, unsigned most)
{
	struct train *trains;
	int fd = session->outlet.fd;
	int received = session->gro_enabled || most > 1
			       ? rx_batch_recv(batch, answers->count, fd, session->outlet.gso, most, &trains)
			       : rx_batch_recv_one(batch, answers->count, fd, &trains);

	if (session->batch != answers->batch && received > 0 && (unsigned)received < most)
		session->read_quota = (uint8_t)received;
	session->batch = answers->batch;
	if (received > 0)
		answers->trains = trains - answers->count;
	return received;
}

/* Returns whether more may wait. */
static bool receive_from(struct reply_batch *answers, struct rx_batch *batch, const struct epoll_event *event,
			 unsigned share)
{
	struct session *session = event->data.ptr;
	unsigned read_quota = appetite_of(answers, session);
	unsigned most = read_quota < share ? read_quota : share;
	int received = receive_some(answers, batch, session, most);

	answers->sessions[answers->session_count++] = session;
	note(answers, session, event->events, received);
	for (int i = 0; i < received; i++)
		answers->items[answers->count++].session = session;
	return received == (int)most;
}

static unsigned least(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

/* A call that is interrupted says nothing about what waits. */
static int wait_now(int epoll, struct epoll_event *events, int count)
{
	int ready;

	do
		ready = epoll_wait(epoll, events, count, 0);
	while (ready < 0 && errno == EINTR);
	return ready;
}

/* The sessions that are named share what room there is; so many are asked for that each has some. Those that are not
 * stay in front of epoll's list. */
bool reply_batch_recv(struct reply_batch *answers, struct rx_batch *batch, int epoll, unsigned limit)
{
	struct epoll_event events[ROUND_SESSIONS];
	bool more = true;

	answers->count = answers->session_count = 0;
	answers->batch++;
	while (more && answers->count < limit && answers->session_count < REPLY_BATCH_SESSIONS) {
		unsigned room = least(limit - answers->count, REPLY_BATCH_SESSIONS - answers->session_count);
		int asked = (int)least(ROUND_SESSIONS, room);
		int ready = wait_now(epoll, events, asked);

		more = ready == asked;
		for (int i = 0; i < ready; i++)
			more |= receive_from(answers, batch, &events[i],
					     (limit - answers->count) / (unsigned)(ready - i));
	}
	return more;
}

/* --- Towards the flush --- */

/* Answers that responses admits; those behind them are dropped. */
static void admit(struct session *session, struct train *train)
{
	uint32_t responses = session->relay->setup.config->responses;

	if (!responses || responses == RESPONSES_UNLIMITED)
		return;
	if (!session->replies_due) {
		train->drop = DROP_UNEXPECTED;
		return;
	}
	if (train->count > session->replies_due) {
		train->count = (uint16_t)session->replies_due;
		train->size = train->count * train->segment;
	}
	session->replies_due -= train->count;
}

static struct tx_chunk *take(struct session *session, const struct train *train)
{
	struct delivery way = {.outlet = session->back,
			       .to = &session->node.client,
			       .from = session->set_source_address ? &session->node.local : NULL,
			       .converter = session->relay->peers[session->member->peer].reply_converter};

	return delivery_enqueue(carrier_of(session), &way, train);
}

static void begin(struct reply *answer, struct train *train, uint64_t now_ms)
{
	struct session *session = answer->session;

	relay_count_reply(session->relay, session, now_ms);
	answer->size = train->size;
	answer->count = train->count;
	train->skip = 0;
	if (session->node.client.length <= sizeof(sa_family_t))
		train->drop = DROP_NO_RETURN;
	if (!train->drop)
		admit(session, train);
	if (!train->drop)
		answer->copy = take(session, train);
}

void reply_batch_submit(struct reply_batch *answers, uint64_t time_us, uint64_t now_ms)
{
	answers->time_us = time_us;
	answers->now_ms = now_ms;
	delivery_begin_batch(carrier_of(answers->sessions[0])); /* its arena is that of all listeners of the worker */
	for (unsigned i = 0; i < answers->count; i++)
		begin(&answers->items[i], &answers->trains[i], now_ms);
}

/* --- After the flush --- */

static void account(const struct reply *answer, const struct outcome *outcome)
{
	struct session *session = answer->session;
	struct relay_counters *counters = &session->relay->counters;
	struct peer_counters *peer = &relay_peer_socket(session->relay, session)->counters;
	uint32_t sent = outcome_count_sent(outcome, answer->count, counters->dropped);

	session->answers += answer->count;
	counter_add(&counters->answers, answer->count);
	counter_add(&counters->answer_bytes, answer->size);
	counter_add(&counters->answered, sent);
	counter_add(&peer->answers, answer->count);
	counter_add(&peer->answer_bytes, answer->size);
}

static void record(const struct reply_batch *answers, const struct session *session, const struct outcome *outcome,
		   const struct train *train)
{
	const struct endpoint *target = session->member->target;
	struct datagram_record record = {.time_us = answers->time_us,
					 .listener = session->relay->setup.config,
					 .source = &target->address,
					 .destination = &session->node.client,
					 .peer = target->peer,
					 .answer = true};

	delivery_record(carrier_of(session), &record, VERDICT_ANSWERED, outcome, train);
}

static void end(const struct reply_batch *answers, unsigned i)
{
	const struct reply *answer = &answers->items[i];
	struct train *train = &answers->trains[i];
	struct outcome outcome;

	outcome_init(&outcome, answer->count, train->drop ? train->drop : DROP_UNEXPECTED);
	if (!train->drop)
		outcome_collect(&outcome, train, answer->copy, NULL);
	train->size = answer->size;
	train->count = answer->count;
	account(answer, &outcome);
	if (carrier_of(answer->session)->ring)
		record(answers, answer->session, &outcome, train);
}

void reply_batch_complete(struct reply_batch *answers)
{
	for (unsigned i = 0; i < answers->count; i++)
		end(answers, i);
	tx_batch_clear(carrier_of(answers->sessions[0])->egress);
	for (unsigned i = 0; i < answers->session_count; i++) {
		struct session *session = answers->sessions[i];

		if (carrier_of(session)->ring)
			record_ring_wake(carrier_of(session)->ring);
		relay_finish_batch(session->relay, session, answers->now_ms);
	}
}

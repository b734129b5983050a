#include "relay/reply.h"

#include <errno.h>
#include <sys/epoll.h>

#include "net/socket.h"
#include "relay/relay.h"

/* Sessions that one epoll_wait(2) reports. */
#define EVENTS_MAX 16

/* Trains that one session may read at once, before the others get their turn. */
#define READ_QUOTA_MAX 16

/* A session with this read quota gets UDP_GRO: its replies come fast enough to form trains. */
#define GRO_READ_QUOTA 4

/* A session is paused after this number of read failures in sequence. */
#define READ_FAILURES_MAX 2

static struct delivery_context *reply_delivery(const struct session *session)
{
	return session->relay->setup.delivery;
}

/* --- Receiving --- */

void reply_batch_init(struct reply_batch *batch, int epoll)
{
	*batch = (struct reply_batch){0};
	paused_sessions_init(&batch->paused, epoll);
}

static void reply_handle_error(struct reply_batch *batch, struct session *session, int error)
{
	if (tx_error_is_pending(error))
		session->tx.icmp_errors += tx_error_is_icmp(error);
	else
		relay_log_receive_error(session->relay, session, error);
	if (session->read_failures < READ_FAILURES_MAX)
		session->read_failures++;
	if (session->read_failures == READ_FAILURES_MAX)
		paused_sessions_add(&batch->paused, session);
}

/* epoll would report an error that cannot be read without end. */
static void reply_break_session(struct reply_batch *batch, struct session *session)
{
	session->tx.broken = true;
	paused_sessions_add(&batch->paused, session);
}

/* Usually one reply waits in a session, and a second read without a reply would cost as much as the first. If epoll
 * reports the session again within the same batch, its quota doubles. */
static unsigned reply_read_quota(const struct reply_batch *batch, struct session *session)
{
	if (session->reply_batch == batch->number && session->read_quota < READ_QUOTA_MAX)
		session->read_quota *= 2;
	else if (!session->read_quota)
		session->read_quota = 1;
	if (session->read_quota >= GRO_READ_QUOTA && !session->gro_enabled && session->tx.gso) {
		session->gro_enabled = true;
		socket_enable_gro(session->tx.fd);
	}
	return session->read_quota;
}

static int reply_recv(struct reply_batch *batch, struct rx_batch *rx_batch, struct session *session, unsigned max)
{
	struct train *trains;
	int fd = session->tx.fd;
	int received = session->gro_enabled || max > 1
			       ? rx_batch_recv(rx_batch, batch->count, fd, session->tx.gso, max, &trains)
			       : rx_batch_recv_one(rx_batch, batch->count, fd, &trains);

	if (session->reply_batch != batch->number && received > 0 && (unsigned)received < max)
		session->read_quota = (uint8_t)received;
	session->reply_batch = batch->number;
	if (received > 0)
		batch->trains = trains - batch->count;
	return received;
}

/* Reads one session, at most share trains. Returns whether more may wait.
 *
 * The socket reports an ICMP error once: it belongs to an earlier datagram, or is forged. So the session is read again
 * at once. Only a repeated error pauses the session, so that forged errors do not delay replies. */
static bool reply_batch_read_session(struct reply_batch *batch, struct rx_batch *rx_batch,
				     const struct epoll_event *event, unsigned share)
{
	struct session *session = event->data.ptr;
	unsigned quota = reply_read_quota(batch, session);
	unsigned max = quota < share ? quota : share;
	int received = reply_recv(batch, rx_batch, session, max);

	bool pending = received < 0 && tx_error_is_pending(-received);

	batch->sessions[batch->session_count++] = session;
	if (pending) {
		session->tx.icmp_errors += tx_error_is_icmp(-received);
		received = reply_recv(batch, rx_batch, session, max);
	}
	if (received > 0)
		session->read_failures = 0;
	else if (received < 0)
		reply_handle_error(batch, session, -received);
	else if (!pending && !(event->events & EPOLLIN))
		reply_break_session(batch, session);
	for (int i = 0; i < received; i++)
		batch->replies[batch->count++].session = session;
	return received == (int)max;
}

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

static int reply_epoll_wait(int epoll, struct epoll_event *events, int count)
{
	int ready;

	do
		ready = epoll_wait(epoll, events, count, 0);
	while (ready < 0 && errno == EINTR);
	return ready;
}

/* The reported sessions share the room of the batch, and each gets at least one slot. Sessions that are not reported
 * this time stay first in epoll's list. */
bool reply_batch_recv(struct reply_batch *batch, struct rx_batch *rx_batch, int epoll, unsigned limit)
{
	struct epoll_event events[EVENTS_MAX];
	bool more = true;

	batch->count = batch->session_count = 0;
	batch->number++;
	while (more && batch->count < limit && batch->session_count < REPLY_BATCH_SESSIONS) {
		unsigned room = min_of(limit - batch->count, REPLY_BATCH_SESSIONS - batch->session_count);
		int max = (int)min_of(EVENTS_MAX, room);
		int ready = reply_epoll_wait(epoll, events, max);

		more = ready == max;
		for (int i = 0; i < ready; i++)
			more |= reply_batch_read_session(batch, rx_batch, &events[i],
							 (limit - batch->count) / (unsigned)(ready - i));
	}
	return more;
}

/* --- Before the flush --- */

/* Excludes the datagrams that `responses` does not permit. */
static void reply_limit(struct session *session, struct train *train)
{
	uint32_t responses = session->relay->setup.config->responses;

	if (!responses || responses == RESPONSES_UNLIMITED)
		return;
	if (!session->replies_due)
		train->drop = DROP_UNEXPECTED;
	else if (train->count > session->replies_due) {
		train->end = (uint16_t)session->replies_due;
		train->end_reason = DROP_UNEXPECTED;
	}
	if (!train->drop)
		session->replies_due -= train->end;
}

static void reply_submit(struct reply *reply, struct train *train, uint64_t now_ms)
{
	struct session *session = reply->session;
	struct relay *relay = session->relay;
	struct delivery delivery = {.destination = {.socket = session->client_tx,
						    .to = &session->node.client,
						    .from = session->set_source_address ? &session->node.local : NULL},
				    .converter = relay->peers[session->endpoint_ref->peer].reply_converter};

	relay_count_reply(relay, session, now_ms);
	if (session->node.client.length <= sizeof(sa_family_t))
		train->drop = DROP_NO_RETURN;
	if (!train->drop)
		reply_limit(session, train);
	if (!train->drop)
		delivery_check_ring(relay->setup.delivery, &session->node.client, RING_TO_CLIENT, train, now_ms);
	if (!train->drop)
		reply->chunk = delivery_enqueue(relay->setup.delivery, &delivery, train);
}

void reply_batch_submit(struct reply_batch *batch, uint64_t time_us, uint64_t now_ms)
{
	batch->time_us = time_us;
	batch->now_ms = now_ms;
	reply_delivery(batch->sessions[0])->arena->used = 0; /* all relays of the worker share the arena */
	for (unsigned i = 0; i < batch->count; i++)
		reply_submit(&batch->replies[i], &batch->trains[i], now_ms);
}

/* --- After the flush --- */

static void reply_count(struct session *session, const struct outcome *outcome, const struct train *train)
{
	struct relay_counters *counters = &session->relay->counters;
	struct peer_counters *peer = &relay_peer_socket(session->relay, session)->counters;

	session->replies += train->count;
	counter_add(&counters->replies, train->count);
	counter_add(&counters->reply_bytes, train->size);
	counter_add(&counters->replied, outcome_count_sent(outcome, train->count, counters->dropped));
	counter_add(&peer->replies, train->count);
	counter_add(&peer->reply_bytes, train->size);
}

static void reply_record(const struct reply_batch *batch, const struct session *session, const struct outcome *outcome,
			 const struct train *train)
{
	const struct endpoint *endpoint = session->endpoint_ref->endpoint;
	struct datagram_record record = {.time_us = batch->time_us,
					 .listener = session->relay->setup.config,
					 .source = &endpoint->address,
					 .destination = &session->node.client,
					 .peer = endpoint->peer,
					 .reply = true};

	delivery_record(reply_delivery(session), &record, VERDICT_ANSWERED, outcome, train);
}

void reply_batch_complete(struct reply_batch *batch)
{
	struct outcome outcome;

	for (unsigned i = 0; i < batch->count; i++) {
		const struct reply *reply = &batch->replies[i];
		const struct train *train = &batch->trains[i];

		outcome_init(&outcome, train);
		if (!train->drop)
			outcome_collect(&outcome, train, reply->chunk, reply->session->client_tx, NULL);
		reply_count(reply->session, &outcome, train);
		if (reply_delivery(reply->session)->ring)
			reply_record(batch, reply->session, &outcome, train);
	}
	tx_batch_clear(reply_delivery(batch->sessions[0])->tx_batch);
	for (unsigned i = 0; i < batch->session_count; i++) {
		struct session *session = batch->sessions[i];

		if (reply_delivery(session)->ring)
			record_ring_wake(reply_delivery(session)->ring);
		relay_finish_batch(session->relay, session, batch->now_ms);
	}
}

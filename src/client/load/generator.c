#include "client/load/generator.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "client/load/flows.h"
#include "client/load/receive_batch.h"
#include "client/load/receivers.h"

/* After this time without a reply, the datagrams in flight count as lost and the windows are filled again. */
#define STALL_NS 100000000

/* After the end of sending, the generator stops when no reply has arrived for this time. The same timeout applies to
 * the replies that open sessions. */
#define DRAIN_NS 500000000

/* Time between two checks of the stop descriptor and two calls of on_progress(). */
#define CHECK_INTERVAL_NS 50000000

/* poll(2) counts in milliseconds, so the generator does not sleep for less than one. */
#define SHORTEST_SLEEP_NS 1000000

/* Number of sessions that are opened at the same time. The datagrams fit into the receive buffer of any server. */
#define SESSIONS_PER_GROUP 64

struct generator {
	const struct load_plan *plan;
	struct flows flows;
	struct receivers receivers;
	struct receive_batch *batch;
	int *peers; /* sockets of the receivers or of the echo peers */
	unsigned peer_count;
	uint32_t *refill_flows; /* flows whose window has space again */
	unsigned refill_count;
	struct load_result result;
};

/* --- Receive --- */

/* Returns whether the datagram was sent in this run and may arrive at this receiver. */
static bool generator_is_own_datagram(const struct generator *generator, const struct receiver *receiver,
				      const struct probe *probe, uint64_t now)
{
	const struct flows *flows = &generator->flows;

	return probe->flow < flows->count &&
	       (receiver->only_flow == RECEIVER_ALL_FLOWS || probe->flow == receiver->only_flow) &&
	       probe->seq < flows->all[probe->flow].sent && probe->time_ns <= now;
}

/* Counts a datagram. Returns the time when it was sent, or 0 if it does not belong to this run. */
static uint64_t generator_count_datagram(struct generator *generator, struct receiver *receiver, const uint8_t *data,
					 size_t size, uint64_t now)
{
	struct flow *flow;
	struct probe probe;

	if (size != generator->plan->size || !probe_read(data, size, generator->flows.run_id, &probe) ||
	    !generator_is_own_datagram(generator, receiver, &probe, now)) {
		generator->result.counts.misdelivered++;
		return 0;
	}
	sequence_tracker_add(&receiver->trackers[receiver->only_flow == RECEIVER_ALL_FLOWS ? probe.flow : 0], probe.seq,
			     &generator->result.counts);
	flow = &generator->flows.all[probe.flow];
	flow->replies++;
	if (!flow->has_replied && probe.flow < generator->plan->flows) {
		flow->has_replied = true;
		generator->refill_flows[generator->refill_count++] = probe.flow;
	}
	return probe.time_ns;
}

/* A message without bytes is also a datagram. Datagrams of a train that were sent at the same time have the same
 * latency, so they are added to the histogram in one call. */
static void generator_handle_message(struct generator *generator, struct receiver *receiver, unsigned i, uint64_t now)
{
	struct received_message message = receive_batch_get(generator->batch, i);
	struct histogram *latency = &generator->result.latency;
	uint64_t group_sent_ns = 0, group_count = 0;
	size_t at = 0;

	do {
		size_t left = message.size - at;
		uint64_t sent_ns = generator_count_datagram(generator, receiver, message.data + at,
							    left < message.segment ? left : message.segment, now);

		if (sent_ns != group_sent_ns) {
			histogram_add_many(latency, now - group_sent_ns, group_count);
			group_sent_ns = sent_ns;
			group_count = 0;
		}
		group_count += sent_ns != 0;
		at += message.segment;
	} while (at < message.size);
	histogram_add_many(latency, now - group_sent_ns, group_count);
}

static void generator_receive(struct generator *generator, struct receiver *receiver)
{
	int count;

	do {
		count = receive_batch_receive(generator->batch, receiver->fd);
		uint64_t now = probe_now_ns();

		for (int i = 0; i < count; i++)
			generator_handle_message(generator, receiver, (unsigned)i, now);
		if (count < 0)
			flows_count_error(&generator->flows, -count);
	} while (count == RECEIVE_BATCH_MAX);
}

static void generator_refill(struct generator *generator, bool more)
{
	for (unsigned i = 0; i < generator->refill_count; i++) {
		uint32_t flow = generator->refill_flows[i];

		generator->flows.all[flow].has_replied = false;
		if (more)
			flows_fill_window(&generator->flows, flow);
	}
	generator->refill_count = 0;
}

/* Receives all waiting datagrams and, if more is set, refills the windows of the flows that got replies. An echo
 * peer handles only one batch, so that it does not delay the flows. */
static void generator_serve(struct generator *generator, bool more)
{
	struct receiver *ready[RECEIVERS_READY_MAX];
	unsigned count = receivers_ready(&generator->receivers, ready);

	for (unsigned i = 0; i < count; i++) {
		if (!ready[i]->trackers) {
			receive_batch_receive(generator->batch, ready[i]->fd);
			receive_batch_echo(generator->batch, ready[i]->fd);
			continue;
		}
		generator_receive(generator, ready[i]);
		generator_refill(generator, more);
	}
}

/* --- Sessions --- */

/* Returns whether no reply has arrived and none will. */
static bool generator_has_failed(const struct generator *generator)
{
	const struct load_result *result = &generator->result;

	return result->error || (result->refused && !result->counts.received);
}

static unsigned count_unopened_sessions(const struct generator *generator, unsigned first, unsigned end)
{
	unsigned count = 0;

	for (unsigned i = first; i < end; i++)
		count += !generator->flows.all[i].replies;
	return count;
}

/* Opens the sessions of some flows and waits for the replies. Returns whether any reply arrived. */
static bool open_session_group(struct generator *generator, unsigned first, unsigned end)
{
	uint64_t last = probe_now_ns();
	unsigned unopened = end - first;

	for (unsigned i = first; i < end; i++)
		flows_open_session(&generator->flows, i);
	while (unopened && probe_now_ns() - last < DRAIN_NS && !generator_has_failed(generator)) {
		generator_serve(generator, false);
		unsigned count = count_unopened_sessions(generator, first, end);

		if (count != unopened)
			last = probe_now_ns();
		unopened = count;
	}
	return unopened < end - first;
}

bool generator_open_sessions(struct generator *generator)
{
	unsigned count = generator->flows.count;

	for (unsigned i = 0; i < count; i += SESSIONS_PER_GROUP) {
		if (!open_session_group(generator, i, count - i < SESSIONS_PER_GROUP ? count : i + SESSIONS_PER_GROUP))
			return false;
	}
	flows_time_out(&generator->flows);
	memset(&generator->result.latency, 0, sizeof(generator->result.latency));
	generator->result.opening_received = generator->result.counts.received;
	return true;
}

/* --- Run --- */

/* State of one load. Times are in nanoseconds of probe_now_ns(). */
struct load_run {
	uint64_t begin_ns, end_ns; /* start and end of sending */
	uint64_t last_ns; /* last reply, or last time when the datagrams in flight timed out */
	uint64_t replies; /* number of replies at last_ns */
	uint64_t next_check_ns;
	bool stopped; /* sending was stopped before its end */
	bool over; /* do not wait for outstanding replies */
};

/* Returns the number of received replies, including duplicates. */
static uint64_t generator_total_replies(const struct generator *generator)
{
	return generator->result.counts.received + generator->result.counts.duplicated;
}

static void generator_fill_windows(struct generator *generator, const struct load_run *run)
{
	for (unsigned i = 0; i < generator->plan->flows && probe_now_ns() < run->end_ns; i++)
		flows_fill_window(&generator->flows, i);
}

/* The first stop request ends sending. The second one also ends the wait for outstanding replies. */
static void generator_check_control(struct generator *generator, struct load_run *run,
				    const struct generator_control *control, uint64_t now)
{
	struct signalfd_siginfo signal;

	run->next_check_ns = now + CHECK_INTERVAL_NS;
	if (control->on_progress)
		control->on_progress(control->data, &generator->result, now - run->begin_ns);
	if (read(control->stop_fd, &signal, sizeof(signal)) <= 0)
		return;
	run->over = run->stopped;
	run->stopped = true;
	if (now < run->end_ns)
		run->end_ns = now;
}

static bool generator_awaits_replies(const struct generator *generator, const struct load_run *run, uint64_t now)
{
	return generator->result.counts.received < load_expected_replies(generator->plan, &generator->result) &&
	       now - run->last_ns < DRAIN_NS;
}

static void generator_track_replies(struct generator *generator, struct load_run *run, uint64_t now)
{
	if (generator_total_replies(generator) != run->replies) {
		run->replies = generator_total_replies(generator);
		run->last_ns = now;
		generator->result.receiving_ns = now - run->begin_ns;
	} else if (!generator->plan->rate && now - run->last_ns > STALL_NS && now < run->end_ns) {
		flows_time_out(&generator->flows);
		generator_fill_windows(generator, run);
		run->last_ns = now;
	}
}

/* Paced mode only: waits for a datagram, for the next due time or for the next check. */
static void generator_sleep(const struct generator *generator, struct load_run *run,
			    const struct generator_control *control, uint64_t now)
{
	struct pollfd fds[] = {{generator->receivers.epoll_fd, POLLIN, 0}, {control->stop_fd, POLLIN, 0}};
	uint64_t until = run->last_ns + DRAIN_NS;

	if (now < run->end_ns) {
		until = run->begin_ns + flows_next_due_ns(&generator->flows);
		until = until < run->end_ns ? until : run->end_ns;
	}
	until = until < run->next_check_ns ? until : run->next_check_ns;
	if (until < now + SHORTEST_SLEEP_NS)
		return;
	poll(fds, 2, (int)((until - now) / SHORTEST_SLEEP_NS));
	if (fds[1].revents)
		run->next_check_ns = 0;
}

/* Trains that are due before the end are sent even if the end has passed meanwhile. */
static void generator_send_due(struct generator *generator, const struct load_run *run, uint64_t now)
{
	flows_send_due(&generator->flows, run->begin_ns, (now < run->end_ns ? now : run->end_ns - 1) - run->begin_ns);
}

/* A closed loop never sleeps: waking it up would cost the server CPU time, by an amount that varies at random. */
static void generator_run_loop(struct generator *generator, struct load_run *run,
			       const struct generator_control *control)
{
	bool paced = generator->plan->rate > 0, sending = true;
	uint64_t now = run->begin_ns;

	for (; (sending || generator_awaits_replies(generator, run, now)) && !run->over &&
	       !generator_has_failed(generator);
	     now = probe_now_ns()) {
		if (now >= run->next_check_ns)
			generator_check_control(generator, run, control, now);
		if (paced && sending)
			generator_send_due(generator, run, now);
		if (sending && now >= run->end_ns) {
			sending = false;
			run->last_ns = now;
		}
		generator_serve(generator, sending && !paced);
		generator_track_replies(generator, run, now);
		if (paced)
			generator_sleep(generator, run, control, now);
	}
	if (sending)
		run->end_ns = now;
}

void generator_run(struct generator *generator, const struct generator_control *control)
{
	struct load_result *result = &generator->result;
	struct load_run run = {.begin_ns = probe_now_ns(), .replies = generator_total_replies(generator)};

	run.end_ns = run.begin_ns + generator->plan->duration_ns;
	run.last_ns = run.begin_ns;
	run.next_check_ns = run.begin_ns + CHECK_INTERVAL_NS;
	if (!generator->plan->rate)
		generator_fill_windows(generator, &run);
	generator_run_loop(generator, &run, control);
	result->sending_ns = run.end_ns - run.begin_ns;
	if (generator->plan->rate)
		result->unsent = flows_count_unsent(&generator->flows, result->sending_ns);
}

const struct load_result *generator_result(const struct generator *generator)
{
	return &generator->result;
}

/* --- Setup --- */

static int generator_open_peers(struct generator *generator)
{
	const struct load_plan *plan = generator->plan;
	unsigned count = plan->receivers + plan->echo_peers;
	int error = 0;

	generator->peers = calloc(count ? count : 1, sizeof(*generator->peers));
	if (!generator->peers)
		return -ENOMEM;
	while (!error && generator->peer_count < count) {
		int fd = flows_open_socket(plan->local.any.sa_family, &plan->local);

		if (fd < 0)
			return fd;
		generator->peers[generator->peer_count++] = fd;
		error = receivers_add(&generator->receivers, fd, count, RECEIVER_ALL_FLOWS,
				      plan->receivers ? plan->flows : 0);
	}
	return error;
}

int generator_create(struct generator **out, const struct load_plan *plan)
{
	struct generator *generator = calloc(1, sizeof(*generator));
	int error;

	if (!generator)
		return -ENOMEM;
	generator->plan = plan;
	error = receivers_init(&generator->receivers, load_total_flows(plan) + plan->receivers + plan->echo_peers,
			       plan->rate > 0);
	generator->refill_flows = calloc(plan->flows, sizeof(*generator->refill_flows));
	if (!error && !generator->refill_flows)
		error = -ENOMEM;
	if (!error)
		error = receive_batch_create(&generator->batch);
	if (!error)
		error = generator_open_peers(generator);
	if (error) {
		generator_destroy(generator);
		return error;
	}
	*out = generator;
	return 0;
}

void generator_destroy(struct generator *generator)
{
	if (!generator)
		return;
	flows_close(&generator->flows);
	for (unsigned i = 0; i < generator->peer_count; i++)
		close(generator->peers[i]);
	free(generator->peers);
	receivers_finish(&generator->receivers);
	receive_batch_destroy(generator->batch);
	free(generator->refill_flows);
	free(generator);
}

void generator_peer_address(const struct generator *generator, unsigned i, struct address *address)
{
	address->length = sizeof(*address) - offsetof(struct address, any);
	getsockname(generator->peers[i], &address->any, &address->length);
}

/* The sockets of idle flows are always watched, because almost nothing is sent from them. */
int generator_connect(struct generator *generator)
{
	const struct load_plan *plan = generator->plan;
	int error = flows_open(&generator->flows, plan, &generator->result);

	for (uint32_t i = 0; !error && !plan->receivers && i < generator->flows.count; i++)
		error = receivers_add(&generator->receivers, generator->flows.all[i].fd,
				      i < plan->flows ? plan->flows : UINT32_MAX, i, 1);
	return error;
}

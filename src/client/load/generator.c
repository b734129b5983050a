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

/* Where nothing has come back for so long, what is under way is given up as lost. */
#define STALL_NS 100000000

/* At the end, what is still under way is waited for until nothing has come for so long; so are the first answers. */
#define DRAIN_NS 500000000

/* From one look at what is beside the load to the next. */
#define LOOK_NS 50000000

/* What is less is not slept. */
#define NAP_NS 1000000

/* Sessions that are opened together: no more than any server's buffer holds. */
#define OPENED_TOGETHER 64

struct generator {
	const struct load_plan *plan;
	struct flows flows;
	struct receivers receivers;
	struct inbox *inbox;
	int *peers; /* sockets of receivers, or of echoing peers */
	unsigned peer_count;
	uint32_t *answered; /* flows to refill */
	unsigned answered_count;
	struct load_result result;
};

/* --- Receiving --- */

/* A datagram of this run, which may have come to that receiver, as it was sent. */
static bool is_ours(const struct generator *generator, const struct receiver *receiver, const struct probe *probe,
		    uint64_t now)
{
	const struct flows *flows = &generator->flows;

	return probe->flow < flows->count &&
	       (receiver->only_flow == RECEIVER_ALL_FLOWS || probe->flow == receiver->only_flow) &&
	       probe->seq < flows->all[probe->flow].sent && probe->time_ns <= now;
}

/* Returns when the datagram was sent, or 0 where it is none of ours. */
static uint64_t take(struct generator *generator, struct receiver *receiver, const uint8_t *data, size_t size,
		     uint64_t now)
{
	struct flow *flow;
	struct probe probe;

	if (size != generator->plan->size || !probe_read(data, size, generator->flows.run, &probe) ||
	    !is_ours(generator, receiver, &probe, now)) {
		generator->result.tally.misdelivered++;
		return 0;
	}
	tracker_see(&receiver->trackers[receiver->only_flow == RECEIVER_ALL_FLOWS ? probe.flow : 0], probe.seq,
		    &generator->result.tally);
	flow = &generator->flows.all[probe.flow];
	flow->answers++;
	if (!flow->answered && probe.flow < generator->plan->flows) {
		flow->answered = true;
		generator->answered[generator->answered_count++] = probe.flow;
	}
	return probe.time_ns;
}

/* An empty message is a datagram, too. What was sent together and has come together took the same time, which is noted
 * once. */
static void take_message(struct generator *generator, struct receiver *receiver, unsigned i, uint64_t now)
{
	struct inbox_message message = inbox_message(generator->inbox, i);
	struct histogram *latency = &generator->result.latency;
	uint64_t since = 0, alike = 0;
	size_t at = 0;

	do {
		size_t left = message.size - at;
		uint64_t sent = take(generator, receiver, message.data + at,
				     left < message.segment ? left : message.segment, now);

		if (sent != since) {
			histogram_add_many(latency, now - since, alike);
			since = sent;
			alike = 0;
		}
		alike += sent != 0;
		at += message.segment;
	} while (at < message.size);
	histogram_add_many(latency, now - since, alike);
}

static void receive(struct generator *generator, struct receiver *receiver)
{
	int count;

	do {
		count = inbox_receive(generator->inbox, receiver->fd);
		uint64_t now = probe_now_ns();

		for (int i = 0; i < count; i++)
			take_message(generator, receiver, (unsigned)i, now);
		if (count < 0)
			flows_note_error(&generator->flows, -count);
	} while (count == INBOX_MAX);
}

static void refill(struct generator *generator, bool more)
{
	for (unsigned i = 0; i < generator->answered_count; i++) {
		uint32_t flow = generator->answered[i];

		generator->flows.all[flow].answered = false;
		if (more)
			flows_fill(&generator->flows, flow);
	}
	generator->answered_count = 0;
}

/* Takes what has come, and sends what there is room for where more is wanted. Of what echoes, one batch: the flows have
 * their turn before the next. */
static void serve(struct generator *generator, bool more)
{
	struct receiver *ready[RECEIVERS_READY_MAX];
	unsigned count = receivers_ready(&generator->receivers, ready);

	for (unsigned i = 0; i < count; i++) {
		if (!ready[i]->trackers) {
			inbox_receive(generator->inbox, ready[i]->fd);
			inbox_send_back(generator->inbox, ready[i]->fd);
			continue;
		}
		receive(generator, ready[i]);
		refill(generator, more);
	}
}

/* --- Greeting --- */

/* Nothing has come, and nothing will. */
static bool is_hopeless(const struct generator *generator)
{
	const struct load_result *result = &generator->result;

	return result->error || (result->refused && !result->tally.received);
}

static unsigned count_unanswered(const struct generator *generator, unsigned first, unsigned end)
{
	unsigned count = 0;

	for (unsigned i = first; i < end; i++)
		count += !generator->flows.all[i].answers;
	return count;
}

/* Opens the sessions of some flows, and waits for the answers. */
static bool greet_some(struct generator *generator, unsigned first, unsigned end)
{
	uint64_t last = probe_now_ns();
	unsigned unanswered = end - first;

	for (unsigned i = first; i < end; i++)
		flows_greet(&generator->flows, i);
	while (unanswered && probe_now_ns() - last < DRAIN_NS && !is_hopeless(generator)) {
		serve(generator, false);
		unsigned count = count_unanswered(generator, first, end);

		if (count != unanswered)
			last = probe_now_ns();
		unanswered = count;
	}
	return unanswered < end - first;
}

bool generator_greet(struct generator *generator)
{
	unsigned count = generator->flows.count;

	for (unsigned i = 0; i < count; i += OPENED_TOGETHER) {
		if (!greet_some(generator, i, count - i < OPENED_TOGETHER ? count : i + OPENED_TOGETHER))
			return false;
	}
	flows_write_off(&generator->flows);
	memset(&generator->result.latency, 0, sizeof(generator->result.latency));
	generator->result.greeted = generator->result.tally.received;
	return true;
}

/* --- Running --- */

/* In nanoseconds of probe_now_ns(). */
struct run {
	uint64_t begin, end; /* of sending */
	uint64_t last; /* something came, or all was given up */
	uint64_t answers; /* until then */
	uint64_t next_look;
	bool stopped; /* early */
	bool over; /* nothing more is waited for */
};

static uint64_t answers_all(const struct generator *generator)
{
	return generator->result.tally.received + generator->result.tally.duplicated;
}

static void fill_all(struct generator *generator, const struct run *run)
{
	for (unsigned i = 0; i < generator->plan->flows && probe_now_ns() < run->end; i++)
		flows_fill(&generator->flows, i);
}

/* Asked a second time, it does not wait for what is under way either. */
static void look(struct generator *generator, struct run *run, const struct generator_watch *watch, uint64_t now)
{
	struct signalfd_siginfo asked;

	run->next_look = now + LOOK_NS;
	if (watch->look)
		watch->look(watch->data, &generator->result, now - run->begin);
	if (read(watch->stop_fd, &asked, sizeof(asked)) <= 0)
		return;
	run->over = run->stopped;
	run->stopped = true;
	if (now < run->end)
		run->end = now;
}

static bool is_under_way(const struct generator *generator, const struct run *run, uint64_t now)
{
	return generator->result.tally.received < load_expected(generator->plan, &generator->result) &&
	       now - run->last < DRAIN_NS;
}

static void note_answers(struct generator *generator, struct run *run, uint64_t now)
{
	if (answers_all(generator) != run->answers) {
		run->answers = answers_all(generator);
		run->last = now;
		generator->result.receiving_ns = now - run->begin;
	} else if (!generator->plan->rate && now - run->last > STALL_NS && now < run->end) {
		flows_write_off(&generator->flows);
		fill_all(generator, run);
		run->last = now;
	}
}

/* Paced only: until something comes, is due, or is to be looked at. */
static void nap(const struct generator *generator, struct run *run, const struct generator_watch *watch, uint64_t now)
{
	struct pollfd fds[] = {{generator->receivers.epoll, POLLIN, 0}, {watch->stop_fd, POLLIN, 0}};
	uint64_t until = run->last + DRAIN_NS;

	if (now < run->end) {
		until = run->begin + flows_next_due(&generator->flows);
		until = until < run->end ? until : run->end;
	}
	until = until < run->next_look ? until : run->next_look;
	if (until < now + NAP_NS)
		return;
	poll(fds, 2, (int)((until - now) / NAP_NS));
	if (fds[1].revents)
		run->next_look = 0;
}

/* What is due up to the end is sent even where it is the end already. */
static void pace(struct generator *generator, const struct run *run, uint64_t now)
{
	flows_pace(&generator->flows, run->begin, (now < run->end ? now : run->end - 1) - run->begin);
}

/* In a closed loop it never sleeps: to wake it would cost the server time that is none of its own, more or less by
 * chance. */
static void drive(struct generator *generator, struct run *run, const struct generator_watch *watch)
{
	bool paced = generator->plan->rate > 0, sending = true;
	uint64_t now = run->begin;

	for (; (sending || is_under_way(generator, run, now)) && !run->over && !is_hopeless(generator);
	     now = probe_now_ns()) {
		if (now >= run->next_look)
			look(generator, run, watch, now);
		if (paced && sending)
			pace(generator, run, now);
		if (sending && now >= run->end) {
			sending = false;
			run->last = now;
		}
		serve(generator, sending && !paced);
		note_answers(generator, run, now);
		if (paced)
			nap(generator, run, watch, now);
	}
	if (sending)
		run->end = now;
}

void generator_run(struct generator *generator, const struct generator_watch *watch)
{
	struct load_result *result = &generator->result;
	struct run run = {.begin = probe_now_ns(), .answers = answers_all(generator)};

	run.end = run.begin + generator->plan->duration_ns;
	run.last = run.begin;
	run.next_look = run.begin + LOOK_NS;
	if (!generator->plan->rate)
		fill_all(generator, &run);
	drive(generator, &run, watch);
	result->sending_ns = run.end - run.begin;
	if (generator->plan->rate)
		result->unsent = flows_unsent(&generator->flows, result->sending_ns);
}

const struct load_result *generator_result(const struct generator *generator)
{
	return &generator->result;
}

/* --- Setting up --- */

static int open_peers(struct generator *generator)
{
	const struct load_plan *plan = generator->plan;
	unsigned count = plan->receivers + plan->echo_peers;
	int error = 0;

	generator->peers = calloc(count ? count : 1, sizeof(*generator->peers));
	if (!generator->peers)
		return -ENOMEM;
	while (!error && generator->peer_count < count) {
		int fd = flows_socket(plan->local.any.sa_family, &plan->local);

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
	error = receivers_init(&generator->receivers, load_flows_all(plan) + plan->receivers + plan->echo_peers,
			       plan->rate > 0);
	generator->answered = calloc(plan->flows, sizeof(*generator->answered));
	if (!error && !generator->answered)
		error = -ENOMEM;
	if (!error)
		error = inbox_create(&generator->inbox);
	if (!error)
		error = open_peers(generator);
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
	inbox_destroy(generator->inbox);
	free(generator->answered);
	free(generator);
}

void generator_peer(const struct generator *generator, unsigned i, struct address *address)
{
	address->length = sizeof(*address) - offsetof(struct address, any);
	getsockname(generator->peers[i], &address->any, &address->length);
}

/* The idle ones are watched however few they are: next to nothing is sent from them. */
int generator_aim(struct generator *generator)
{
	const struct load_plan *plan = generator->plan;
	int error = flows_open(&generator->flows, plan, &generator->result);

	for (uint32_t i = 0; !error && !plan->receivers && i < generator->flows.count; i++)
		error = receivers_add(&generator->receivers, generator->flows.all[i].fd,
				      i < plan->flows ? plan->flows : UINT32_MAX, i, 1);
	return error;
}

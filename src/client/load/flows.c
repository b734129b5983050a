#include "client/load/flows.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/socket.h"

/* Of each socket, each way. */
#define SOCKET_BUFFER (8 << 20)

/* Trains that are sent before it is looked again what came. */
#define TRAINS_AT_ONCE 64

/* --- Sockets --- */

int flows_socket(int family, const struct address *local)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	socket_enable_gro(fd);
	socket_set_buffer(fd, SO_RCVBUF, SOCKET_BUFFER);
	socket_set_buffer(fd, SO_SNDBUF, SOCKET_BUFFER);
	if (local && bind(fd, &local->any, local->length)) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

static int open_flow(struct flow *flow, const struct load_plan *plan)
{
	int fd = flows_socket(plan->target.any.sa_family, plan->local.length ? &plan->local : NULL);

	if (fd < 0)
		return fd;
	flow->fd = fd;
	return connect(fd, &plan->target.any, plan->target.length) ? -errno : 0;
}

int flows_open(struct flows *flows, const struct load_plan *plan, struct load_result *result)
{
	int error;

	*flows = (struct flows){.plan = plan, .result = result, .run = probe_new_run()};
	flows->all = calloc(load_flows_all(plan), sizeof(*flows->all));
	if (!flows->all)
		return -ENOMEM;
	flows->count = load_flows_all(plan);
	for (unsigned i = 0; i < flows->count; i++)
		flows->all[i].fd = -1;
	error = burst_create(&flows->burst, plan->size, plan->train);
	for (unsigned i = 0; !error && i < flows->count; i++)
		error = open_flow(&flows->all[i], plan);
	return error;
}

void flows_close(struct flows *flows)
{
	for (unsigned i = 0; i < flows->count; i++) {
		if (flows->all[i].fd >= 0)
			close(flows->all[i].fd);
	}
	free(flows->all);
	burst_destroy(flows->burst);
	*flows = (struct flows){0};
}

/* --- Sending --- */

/* ICMP's errors are those of icmp_err_convert (net/ipv4/icmp.c) that a socket is told without IP_RECVERR. */
void flows_note_error(struct flows *flows, int error)
{
	struct load_result *result = flows->result;

	switch (error) {
	case EAGAIN:
	case ENOBUFS:
	case EINTR:
		return;
	case ECONNREFUSED:
	case ENOPROTOOPT:
	case EHOSTUNREACH:
		result->refused++;
		if (!result->refusal)
			result->refusal = error;
		return;
	default:
		result->error = error;
	}
}

/* Sends count datagrams of one flow. Returns how many the kernel took. */
static unsigned send_some(struct flows *flows, uint32_t number, unsigned count, uint64_t time_ns)
{
	struct flow *flow = &flows->all[number];
	int taken = burst_send(flows->burst, flow->fd, (struct probe){flows->run, number, flow->sent, time_ns}, count);

	if (taken < 0) {
		flows_note_error(flows, -taken);
		return 0;
	}
	flow->sent += (unsigned)taken;
	flows->result->sent += (unsigned)taken;
	return (unsigned)taken;
}

void flows_greet(struct flows *flows, uint32_t flow)
{
	flows->result->greetings += send_some(flows, flow, 1, probe_now_ns());
}

/* --- Closed loop --- */

/* Datagrams of the flow that may be sent now. */
static unsigned window_room(const struct flow *flow, const struct load_plan *plan)
{
	uint64_t back = (flow->answers + flow->written_off) / load_answers_each(plan);
	uint64_t under_way = flow->sent > back ? flow->sent - back : 0;

	return under_way < plan->depth ? plan->depth - (unsigned)under_way : 0;
}

/* By whole trains, once a quarter of the window is free: what is sent together costs the generator less, so that it is
 * not what the servers wait for. */
void flows_fill(struct flows *flows, uint32_t flow)
{
	const struct load_plan *plan = flows->plan;
	unsigned room = window_room(&flows->all[flow], plan), most = burst_max(flows->burst);

	if (room < plan->depth / 4)
		return;
	while (room && room >= plan->train) {
		unsigned sent = send_some(flows, flow, room < most ? room : most, probe_now_ns());

		if (!sent)
			return;
		room -= sent;
	}
}

void flows_write_off(struct flows *flows)
{
	for (unsigned i = 0; i < flows->count; i++) {
		struct flow *flow = &flows->all[i];

		flow->written_off = flow->sent * load_answers_each(flows->plan) - flow->answers;
	}
}

/* --- Paced --- */

/* The first train is due at once. */
uint64_t flows_next_due(const struct flows *flows)
{
	const struct load_plan *plan = flows->plan;

	return (uint64_t)((double)flows->trains * plan->train * 1e9 / plan->rate);
}

/* A datagram bears the time when it was due: where it had to wait for its turn, that is the target's doing, or this
 * host's, and is not to be left out of the latency. A flow that is stuck does not hold up the others. */
void flows_pace(struct flows *flows, uint64_t begin_ns, uint64_t elapsed_ns)
{
	const struct load_plan *plan = flows->plan;

	for (unsigned i = 0; i < TRAINS_AT_ONCE && flows_next_due(flows) <= elapsed_ns; i++) {
		flows->trains += send_some(flows, flows->turn, plan->train, begin_ns + flows_next_due(flows)) > 0;
		flows->turn = (flows->turn + 1) % plan->flows;
	}
}

uint64_t flows_unsent(const struct flows *flows, uint64_t end_ns)
{
	const struct load_plan *plan = flows->plan;
	uint64_t next_ns = flows_next_due(flows);

	if (next_ns >= end_ns)
		return 0;
	return (1 + (uint64_t)((double)(end_ns - 1 - next_ns) * plan->rate / 1e9 / plan->train)) * plan->train;
}

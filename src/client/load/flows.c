#include "client/load/flows.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "net/socket.h"

/* Send buffer and receive buffer of each socket, in bytes. */
#define SOCKET_BUFFER (8 << 20)

/* Largest number of trains that flows_send_due() sends, so that replies are received in between. */
#define TRAINS_PER_CALL 64

/* --- Sockets --- */

int flows_open_socket(int family, const struct address *local)
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

static int flow_open(struct flow *flow, const struct load_plan *plan)
{
	int fd = flows_open_socket(plan->target.any.sa_family, plan->local.length ? &plan->local : NULL);

	if (fd < 0)
		return fd;
	flow->fd = fd;
	return connect(fd, &plan->target.any, plan->target.length) ? -errno : 0;
}

int flows_open(struct flows *flows, const struct load_plan *plan, struct load_result *result)
{
	int error;

	*flows = (struct flows){.plan = plan, .result = result, .run_id = probe_new_run_id()};
	flows->all = calloc(load_total_flows(plan), sizeof(*flows->all));
	if (!flows->all)
		return -ENOMEM;
	flows->count = load_total_flows(plan);
	for (unsigned i = 0; i < flows->count; i++)
		flows->all[i].fd = -1;
	error = send_batch_create(&flows->batch, plan->size, plan->train);
	for (unsigned i = 0; !error && i < flows->count; i++)
		error = flow_open(&flows->all[i], plan);
	return error;
}

void flows_close(struct flows *flows)
{
	for (unsigned i = 0; i < flows->count; i++) {
		if (flows->all[i].fd >= 0)
			close(flows->all[i].fd);
	}
	free(flows->all);
	send_batch_destroy(flows->batch);
	*flows = (struct flows){0};
}

/* --- Send --- */

/* Without IP_RECVERR, a socket returns only these ICMP errors: see icmp_err_convert in net/ipv4/icmp.c. */
void flows_count_error(struct flows *flows, int error)
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
		if (!result->refused_errno)
			result->refused_errno = error;
		return;
	default:
		result->error = error;
	}
}

/* Sends count datagrams of one flow. Returns the number that the kernel accepted. */
static unsigned flows_send(struct flows *flows, uint32_t number, unsigned count, uint64_t time_ns)
{
	struct flow *flow = &flows->all[number];
	int accepted = send_batch_send(flows->batch, flow->fd,
				       (struct probe){flows->run_id, number, flow->sent, time_ns}, count);

	if (accepted < 0) {
		flows_count_error(flows, -accepted);
		return 0;
	}
	flow->sent += (unsigned)accepted;
	flows->result->sent += (unsigned)accepted;
	return (unsigned)accepted;
}

void flows_open_session(struct flows *flows, uint32_t flow)
{
	flows->result->opening_sent += flows_send(flows, flow, 1, probe_now_ns());
}

/* --- Closed loop --- */

/* Returns the number of datagrams that the flow may send now. */
static unsigned flow_window_space(const struct flow *flow, const struct load_plan *plan)
{
	uint64_t completed = (flow->replies + flow->timed_out) / load_replies_per_datagram(plan);
	uint64_t in_flight = flow->sent > completed ? flow->sent - completed : 0;

	return in_flight < plan->depth ? plan->depth - (unsigned)in_flight : 0;
}

/* Sends whole trains, and only if a quarter of the window is free. Large batches cost the generator less CPU time
 * per datagram, so that the server does not wait for the generator. */
void flows_fill_window(struct flows *flows, uint32_t flow)
{
	const struct load_plan *plan = flows->plan;
	unsigned space = flow_window_space(&flows->all[flow], plan), capacity = send_batch_capacity(flows->batch);

	if (space < plan->depth / 4)
		return;
	while (space && space >= plan->train) {
		unsigned sent = flows_send(flows, flow, space < capacity ? space : capacity, probe_now_ns());

		if (!sent)
			return;
		space -= sent;
	}
}

void flows_time_out(struct flows *flows)
{
	for (unsigned i = 0; i < flows->count; i++) {
		struct flow *flow = &flows->all[i];

		flow->timed_out = flow->sent * load_replies_per_datagram(flows->plan) - flow->replies;
	}
}

/* --- Paced --- */

/* The first train is due at time 0. */
uint64_t flows_next_due_ns(const struct flows *flows)
{
	const struct load_plan *plan = flows->plan;

	return (uint64_t)((double)flows->trains_sent * plan->train * 1e9 / plan->rate);
}

/* Each datagram carries the time at which it was due. If it is sent later, the server or this host caused the delay,
 * and the latency must include it. A flow that cannot send does not delay the other flows. */
void flows_send_due(struct flows *flows, uint64_t begin_ns, uint64_t elapsed_ns)
{
	const struct load_plan *plan = flows->plan;

	for (unsigned i = 0; i < TRAINS_PER_CALL && flows_next_due_ns(flows) <= elapsed_ns; i++) {
		flows->trains_sent +=
			flows_send(flows, flows->next_flow, plan->train, begin_ns + flows_next_due_ns(flows)) > 0;
		flows->next_flow = (flows->next_flow + 1) % plan->flows;
	}
}

uint64_t flows_count_unsent(const struct flows *flows, uint64_t end_ns)
{
	const struct load_plan *plan = flows->plan;
	uint64_t next_ns = flows_next_due_ns(flows);

	if (next_ns >= end_ns)
		return 0;
	return (1 + (uint64_t)((double)(end_ns - 1 - next_ns) * plan->rate / 1e9 / plan->train)) * plan->train;
}

/* A load: the plan (struct load_plan) from the command line, and the result (struct load_result) from the generator. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_PLAN_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "client/histogram.h"
#include "client/probe.h"

/* Largest size of one send call in bytes: a datagram or a train. */
#define LOAD_BYTES_MAX 65507

struct load_plan {
	struct address target; /* length 0: not known yet */
	struct address local; /* address of all sockets; length 0: the kernel chooses */
	unsigned flows, idle; /* number of sending flows, and of flows that only open a session */
	unsigned size, train; /* bytes of a datagram; datagrams of a train */
	unsigned depth; /* closed loop: datagrams of a flow that may be in flight */
	unsigned rate; /* paced: datagrams per second of all flows together; 0: closed loop */
	unsigned receivers; /* each of them receives every datagram; 0: replies return to the flow */
	unsigned echo_peers; /* sockets that return every datagram to its sender */
	uint64_t duration_ns;
};

/* sent and counts include the datagrams that open sessions and the replies to them. */
struct load_result {
	uint64_t sent;
	struct delivery_counts counts;
	uint64_t opening_sent, opening_received; /* datagrams that opened sessions, and replies to them */
	uint64_t unsent; /* paced: datagrams that were due but could not be sent in time */
	uint64_t refused; /* number of ICMP errors */
	int refused_errno; /* the first ICMP error, a positive errno */
	int error; /* the error that ended the load, a positive errno */
	uint64_t sending_ns, receiving_ns; /* from the start to the end of sending, and to the last reply */
	struct histogram latency; /* without session openings */
};

/* Returns how many replies are expected for each datagram. */
static inline unsigned load_replies_per_datagram(const struct load_plan *plan)
{
	return plan->receivers ? plan->receivers : 1;
}

/* Returns the number of sending and idle flows. */
static inline unsigned load_total_flows(const struct load_plan *plan)
{
	return plan->flows + plan->idle;
}

static inline uint64_t load_expected_replies(const struct load_plan *plan, const struct load_result *result)
{
	return result->sent * load_replies_per_datagram(plan);
}

#endif

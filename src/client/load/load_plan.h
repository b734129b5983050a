/* A load: what is asked for, and what came of it. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_PLAN_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/address.h"
#include "client/histogram.h"
#include "client/sequence_tracker.h"

/* What one send may hold: a datagram, or a train of them. */
#define LOAD_BYTES_MAX 65507

struct load_plan {
	struct address target; /* length 0: not known yet */
	struct address local; /* what all is bound to; length 0: whatever the kernel chooses */
	unsigned flows, idle; /* those that talk, and those that only open a session */
	unsigned size, train; /* bytes of a datagram; datagrams that leave together */
	unsigned depth; /* closed loop: datagrams of a flow that are under way */
	unsigned rate; /* paced: datagrams a second of all flows together; 0: closed loop */
	unsigned receivers; /* where all that is sent arrives, each time; 0: it comes back to its flow */
	unsigned echo_peers; /* that send back whatever they get */
	uint64_t duration_ns;
};

/* Greetings, which open sessions before the load begins, are among what was sent, and their answers among what was
 * received. */
struct load_result {
	uint64_t sent;
	struct tally tally;
	uint64_t greetings, greeted; /* sent, answered */
	uint64_t unsent; /* paced: what was due, and could not be sent in time */
	uint64_t refused; /* errors that ICMP told of earlier datagrams */
	int refusal; /* the first of them, a positive errno */
	int error; /* for which the load could not go on: a positive errno */
	uint64_t sending_ns, receiving_ns; /* from the beginning to the end of sending, to the last that came */
	struct histogram latency; /* without that of greetings */
};

/* Every datagram arrives so many times. */
static inline unsigned load_answers_each(const struct load_plan *plan)
{
	return plan->receivers ? plan->receivers : 1;
}

/* Those that talk, then the idle ones. */
static inline unsigned load_flows_all(const struct load_plan *plan)
{
	return plan->flows + plan->idle;
}

static inline uint64_t load_expected(const struct load_plan *plan, const struct load_result *result)
{
	return result->sent * load_answers_each(plan);
}

#endif

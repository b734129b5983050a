/* The flows of a load: connected sockets that send numbered datagrams to one target. Closed loop: each keeps so many
 * under way. Paced: all together send at a rate, whatever comes back. */
#ifndef UDPRELAYD_CLIENT_LOAD_FLOWS_H
#define UDPRELAYD_CLIENT_LOAD_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/load/load_plan.h"
#include "client/load/send_batch.h"

struct flow {
	int fd;
	uint64_t sent;
	uint64_t answers; /* of all receivers together */
	uint64_t written_off; /* answers that will not come any more */
	bool answered; /* since the last refill */
};

struct flows {
	const struct load_plan *plan;
	struct load_result *result;
	struct burst *burst;
	struct flow *all; /* those that talk, then the idle ones */
	unsigned count;
	uint32_t run;
	uint32_t turn; /* paced: the next flow */
	uint64_t trains; /* paced: sent so far */
};

/* A socket as a load has them, bound to local where that is not NULL. Returns the descriptor or a negative errno. */
int flows_socket(int family, const struct address *local);

/* The plan and the result stay the caller's. Returns 0 or a negative errno; flows_close() is wanted in either case. */
int flows_open(struct flows *flows, const struct load_plan *plan, struct load_result *result);
void flows_close(struct flows *flows);

/* Sends one datagram, to open a session. */
void flows_greet(struct flows *flows, uint32_t flow);

/* Closed loop: fills the flow's window. */
void flows_fill(struct flows *flows, uint32_t flow);

/* What has not come by now is given up. */
void flows_write_off(struct flows *flows);

/* Paced: sends what is due at so many nanoseconds after the beginning, by turns, but no more than a call should. */
void flows_pace(struct flows *flows, uint64_t begin_ns, uint64_t elapsed_ns);

/* Paced: when something is due next, in nanoseconds after the beginning. */
uint64_t flows_next_due(const struct flows *flows);

/* Paced: datagrams that were due before the end, so many nanoseconds after the beginning, and have not been sent. */
uint64_t flows_unsent(const struct flows *flows, uint64_t end_ns);

/* Notes a positive errno of a socket that is connected to the target. */
void flows_note_error(struct flows *flows, int error);

#endif

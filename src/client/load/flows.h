/* The flows of a load: connected sockets that send numbered datagrams to one target.
 *
 * In a closed loop, each flow keeps up to depth datagrams in flight and sends more as replies arrive. In paced mode,
 * all flows together send at a fixed rate, independent of replies. The generator owns struct flows, receives the
 * replies and updates the counters of each flow. */
#ifndef UDPRELAYD_CLIENT_LOAD_FLOWS_H
#define UDPRELAYD_CLIENT_LOAD_FLOWS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/load/load_plan.h"
#include "client/load/send_batch.h"

struct flow {
	int fd;
	uint64_t sent;
	uint64_t replies; /* replies to this flow, from all receivers together */
	uint64_t timed_out; /* outstanding replies that timed out */
	bool has_replied; /* a reply arrived after the last refill of the window */
};

struct flows {
	const struct load_plan *plan;
	struct load_result *result;
	struct send_batch *batch;
	struct flow *all; /* the sending flows, then the idle ones */
	unsigned count;
	uint32_t run_id;
	uint32_t next_flow; /* paced: index of the flow that sends next */
	uint64_t trains_sent; /* paced: number of trains sent so far */
};

/* Opens a non-blocking datagram socket with large buffers and GRO, and binds it to local unless that is NULL.
 * Returns the descriptor or a negative errno. */
int flows_open_socket(int family, const struct address *local);

/* Opens and connects the sockets of all flows. plan and result stay the caller's and must outlive flows. Returns 0
 * or a negative errno. In both cases the caller calls flows_close(). */
int flows_open(struct flows *flows, const struct load_plan *plan, struct load_result *result);
void flows_close(struct flows *flows);

/* Sends one datagram to open a session at the server. */
void flows_open_session(struct flows *flows, uint32_t flow);

/* Closed loop: sends datagrams until the window of the flow is full. */
void flows_fill_window(struct flows *flows, uint32_t flow);

/* Marks all outstanding replies of all flows as timed out, so that the windows are empty. */
void flows_time_out(struct flows *flows);

/* Paced: sends the trains that are due, one flow after another, but only a limited number in one call. begin_ns is
 * the start of the load as probe_now_ns(), elapsed_ns the time since then. */
void flows_send_due(struct flows *flows, uint64_t begin_ns, uint64_t elapsed_ns);

/* Paced: returns when the next train is due, in nanoseconds after the start of the load. */
uint64_t flows_next_due_ns(const struct flows *flows);

/* Paced: returns the number of datagrams that were due before end_ns (nanoseconds after the start) and were not
 * sent. */
uint64_t flows_count_unsent(const struct flows *flows, uint64_t end_ns);

/* Counts an error of a socket that is connected to the target. error is a positive errno. */
void flows_count_error(struct flows *flows, int error);

#endif

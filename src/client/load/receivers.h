/* The sockets that a load is received by, and which of them may have something. */
#ifndef UDPRELAYD_CLIENT_LOAD_RECEIVERS_H
#define UDPRELAYD_CLIENT_LOAD_RECEIVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/sequence_tracker.h"

/* So few of a kind (peers, flows) are just asked: a socket that epoll(7) watches costs more to send from (sock_wfree()
 * in net/core/sock.c), and it is the servers that are to be measured. */
#define RECEIVERS_FEW 4

/* Of two kinds. */
#define RECEIVERS_ASKED_MAX (2 * RECEIVERS_FEW)

/* Sockets that epoll_wait(2) tells of at once. */
#define RECEIVERS_EVENTS 64

#define RECEIVERS_READY_MAX (RECEIVERS_ASKED_MAX + RECEIVERS_EVENTS)

struct receiver {
	int fd; /* the caller's */
	struct tracker *trackers; /* by flow, or that of the only one; NULL: it sends all back, and looks at nothing */
	uint32_t only_flow; /* RECEIVER_ALL_FLOWS: takes all */
};

#define RECEIVER_ALL_FLOWS UINT32_MAX

struct receivers {
	int epoll;
	bool waits; /* all are watched, so that the epoll tells when something comes */
	struct receiver *all;
	unsigned count, watched;
	struct receiver *asked[RECEIVERS_ASKED_MAX];
	unsigned asked_count;
};

/* Room for so many, at most. Returns 0 or a negative errno; receivers_finish() is wanted in either case. */
int receivers_init(struct receivers *receivers, unsigned most, bool waits);
void receivers_finish(struct receivers *receivers);

/* Adds one of so many of its kind (UINT32_MAX where next to nothing is sent from them). It knows so many flows: 1 for
 * only_flow, 0 for one that sends all back. Returns 0 or a negative errno. */
int receivers_add(struct receivers *receivers, int fd, unsigned kin, uint32_t only_flow, unsigned flows);

/* Those that may have something. Returns how many. */
unsigned receivers_ready(struct receivers *receivers, struct receiver *ready[RECEIVERS_READY_MAX]);

#endif

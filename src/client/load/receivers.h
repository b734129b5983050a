/* The sockets on which a load receives: those of flows, receivers and echo peers.
 *
 * receivers_ready() returns the sockets that may have datagrams. Sockets of a large group are watched with epoll(7).
 * Sockets of a small group are not: the generator reads them every time. */
#ifndef UDPRELAYD_CLIENT_LOAD_RECEIVERS_H
#define UDPRELAYD_CLIENT_LOAD_RECEIVERS_H

#include <stdbool.h>
#include <stdint.h>

#include "client/probe.h"

/* A group (peers or flows) of up to this size is not watched. Sending from a socket that epoll(7) watches is more
 * expensive (sock_wfree() in net/core/sock.c), and this cost should not distort the measurement of the server. */
#define RECEIVERS_UNWATCHED_PER_GROUP 4

/* There are two groups: peers and flows. */
#define RECEIVERS_UNWATCHED_MAX (2 * RECEIVERS_UNWATCHED_PER_GROUP)

/* Number of sockets that one epoll_wait(2) call returns. */
#define RECEIVERS_EVENTS 64

#define RECEIVERS_READY_MAX (RECEIVERS_UNWATCHED_MAX + RECEIVERS_EVENTS)

struct receiver {
	int fd; /* stays the caller's */
	struct sequence_tracker *trackers; /* one per flow, or only that of only_flow; NULL: an echo peer */
	uint32_t only_flow; /* RECEIVER_ALL_FLOWS: receives the datagrams of all flows */
};

#define RECEIVER_ALL_FLOWS UINT32_MAX

struct receivers {
	int epoll_fd;
	bool watch_all; /* watch all sockets, so that the epoll descriptor signals every arrival */
	struct receiver *all;
	unsigned count, watched;
	struct receiver *unwatched[RECEIVERS_UNWATCHED_MAX];
	unsigned unwatched_count;
};

/* Allocates space for capacity receivers. Returns 0 or a negative errno. In both cases the caller calls
 * receivers_finish(). */
int receivers_init(struct receivers *receivers, unsigned capacity, bool watch_all);
void receivers_finish(struct receivers *receivers);

/* Adds the socket of a receiver. group_size is the number of sockets of its group; UINT32_MAX forces the socket to
 * be watched, for sockets that send almost nothing. flow_count is the number of trackers: all flows, 1 with
 * only_flow, 0 for an echo peer. Returns 0 or a negative errno. */
int receivers_add(struct receivers *receivers, int fd, unsigned group_size, uint32_t only_flow, unsigned flow_count);

/* Fills ready with the receivers that may have datagrams. Returns their number. */
unsigned receivers_ready(struct receivers *receivers, struct receiver *ready[RECEIVERS_READY_MAX]);

#endif

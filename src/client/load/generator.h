/* A load generator for echoes, forwarders and relays.
 *
 * Flows send numbered datagrams to one target. They come back to their flow (an echo), or to every one of some
 * receivers (a forwarder's peers). For a relay there are peers that send back whatever they get, in here, so that they
 * take none of the relay's processor. */
#ifndef UDPRELAYD_CLIENT_LOAD_GENERATOR_H
#define UDPRELAYD_CLIENT_LOAD_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/load/load_plan.h"

struct generator;

/* Opens the sockets that what is sent arrives at; the target need not be known. The plan stays the caller's. Returns 0
 * or a negative errno. */
int generator_create(struct generator **generator, const struct load_plan *plan);

/* NULL is accepted. */
void generator_destroy(struct generator *generator);

/* Where receiver or echoing peer i is: what a forwarder or a relay has to know before it can start. */
void generator_peer(const struct generator *generator, unsigned i, struct address *address);

/* Opens the flows' sockets to the target of the plan. Returns 0 or a negative errno. */
int generator_aim(struct generator *generator);

/* Opens the session of every flow, by a datagram each, and waits for the answers, so that whoever measures can leave
 * out what the sessions cost to open. Returns whether any came. */
bool generator_greet(struct generator *generator);

/* Who looks on while it runs. */
struct generator_watch {
	int stop_fd; /* as it becomes readable, the load ends early: a descriptor of signalfd(2) */
	void (*look)(void *data, const struct load_result *result, uint64_t elapsed_ns); /* again and again, or NULL */
	void *data;
};

/* Runs the load. Ends early where nothing can come of it: nobody listens, or sending fails. */
void generator_run(struct generator *generator, const struct generator_watch *watch);

const struct load_result *generator_result(const struct generator *generator);

#endif

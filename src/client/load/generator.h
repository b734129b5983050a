/* A load generator for servers that echo, forward or relay datagrams.
 *
 * Flows send numbered datagrams to one target. An echo server returns each datagram to its flow. A forwarder sends it
 * to every receiver. A relay sends it to an echo peer, which returns it. Receivers and echo peers are sockets of the
 * generator, so that they take no CPU time from the server.
 *
 * The generator runs in one thread and does not use libuv. Its owner creates it, connects it, opens sessions if
 * wanted, runs it once and reads the result. */
#ifndef UDPRELAYD_CLIENT_LOAD_GENERATOR_H
#define UDPRELAYD_CLIENT_LOAD_GENERATOR_H

#include <stdbool.h>
#include <stdint.h>

#include "client/load/load_plan.h"

struct generator;

/* Opens the sockets of receivers and echo peers. plan->target may still be unknown. The plan stays the caller's and
 * must outlive the generator. Returns 0 or a negative errno. */
int generator_create(struct generator **generator, const struct load_plan *plan);

/* NULL is accepted. */
void generator_destroy(struct generator *generator);

/* Returns the address of receiver or echo peer i. A forwarder or a relay is configured with it. */
void generator_peer_address(const struct generator *generator, unsigned i, struct address *address);

/* Opens the sockets of all flows and connects them to plan->target. Returns 0 or a negative errno. */
int generator_connect(struct generator *generator);

/* Opens a session for every flow with one datagram each, and waits for the replies. The load can then be measured
 * without the cost of opening sessions. Returns whether any reply arrived. */
bool generator_open_sessions(struct generator *generator);

/* Controls and observes a running load. on_progress is called about 20 times per second. */
struct generator_control {
	int stop_fd; /* signalfd(2) descriptor; a signal ends the load early */
	void (*on_progress)(void *data, const struct load_result *result, uint64_t elapsed_ns); /* NULL: not called */
	void *data;
};

/* Runs the load, then waits for outstanding replies. Ends early if no reply can arrive: the target is unreachable,
 * or sending fails. */
void generator_run(struct generator *generator, const struct generator_control *watch);

const struct load_result *generator_result(const struct generator *generator);

#endif

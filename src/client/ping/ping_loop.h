/* One run of `udprelay ping`: sends numbered datagrams at fixed times, receives the replies and fills a ping_result.
 *
 * The run owns its event loop and uses the socket of the caller. Errors of single datagrams are counted and printed;
 * only a failure of the event loop ends the run with an error. */
#ifndef UDPRELAYD_CLIENT_PING_PING_LOOP_H
#define UDPRELAYD_CLIENT_PING_PING_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/client_socket.h"
#include "client/ping/ping_report.h"

struct ping_loop_options {
	uint64_t count; /* number of datagrams; 0: until interrupted */
	uint64_t interval_ns; /* time between two datagrams */
	uint64_t timeout_ns; /* time to wait for replies after the last datagram */
	bool flood; /* send the next datagram when a reply arrives, and at least 100 per second */
	FILE *output; /* stream for a line per event; NULL: no lines */
};

/* Sends datagrams of result->size bytes, from PROBE_SIZE to CLIENT_DATAGRAM_MAX, to result->destination. The caller
 * fills these two members. Ends after the last reply or its timeout, after SIGINT or SIGTERM, or if writing to
 * options->output fails. Returns 0 or a negative errno. */
int ping_loop_run(const struct ping_loop_options *options, struct client_socket *socket, struct ping_result *result);

#endif

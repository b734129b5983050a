/* A run of ping: sends numbered datagrams at fixed times, and takes what comes back. */
#ifndef UDPRELAYD_CLIENT_PING_PING_LOOP_H
#define UDPRELAYD_CLIENT_PING_PING_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "client/client_socket.h"
#include "client/ping/ping_report.h"

struct pinger_options {
	uint64_t count; /* datagrams; 0: until interrupted */
	uint64_t interval_ns; /* between them */
	uint64_t timeout_ns; /* for which the last answers are waited for */
	bool flood; /* the next one goes when an answer came, and 100 times a second at least */
	FILE *lines; /* where what happens is told; NULL: nowhere */
};

/* Sends datagrams of result->size bytes, PROBE_SIZE to CLIENT_DATAGRAM_MAX, to result->to. Ends when there is nothing
 * more to wait for, by SIGINT or SIGTERM, or where nobody reads the lines any more. Returns 0 or a negative errno. */
int pinger_run(const struct pinger_options *options, struct client_socket *client, struct ping_result *result);

#endif

/* The event loop of `udprelay send`: sends datagrams to one destination and prints the replies at the same time.
 *
 * It sends either one datagram or each line of an input. It ends when everything is sent and the replies have
 * arrived or timed out. Errors of single datagrams are printed and decide the exit status. */
#ifndef UDPRELAYD_CLIENT_SEND_SEND_LOOP_H
#define UDPRELAYD_CLIENT_SEND_SEND_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/address.h"
#include "client/client_socket.h"
#include "client/message_printer.h"
#include "client/payload_encoder.h"
#include "client/send/line_input.h"

/* All members stay the caller's. */
struct send_loop_plan {
	const struct address *destination;
	struct client_socket *socket;
	struct message_printer *printer;

	/* The payload: data with size bytes or, if data is NULL, each line of input after encoding. */
	const uint8_t *data;
	size_t size;
	struct line_input *input;
	int input_fd;
	struct payload_encoder *encoder;

	bool wait_for_replies; /* wait for as many replies as datagrams were sent */
	uint64_t wait_ns; /* longest time to wait after the last datagram */
};

/* Runs until everything is sent and all replies have arrived or timed out, or until SIGINT or SIGTERM. Prints an
 * error message on standard error for each problem. Returns the exit status: 0; 1 if a datagram could not be sent, a
 * reply is missing or the event loop failed; EX_UNAVAILABLE if the destination is unreachable. */
int send_loop_run(const struct send_loop_plan *plan);

#endif

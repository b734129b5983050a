/* Texts go out to one destination, and what comes back is shown; both at once. */
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

/* Everything is borrowed. */
struct exchange_plan {
	const struct address *to;
	struct client_socket *client;
	struct transcript *transcript;

	/* What is sent: one datagram, or where data is NULL each line of the input as wording has it. */
	const uint8_t *data;
	size_t size;
	struct line_input *input;
	int input_fd;
	struct wording *wording;

	bool waits; /* at the end, for as many answers as datagrams were sent */
	uint64_t wait_ns; /* no longer than that */
};

/* Runs until all is sent, and all answers are there or have been waited for, or until SIGINT or SIGTERM. Problems are
 * told on standard error, line by line. Returns the exit status: 0, 1 where something could not be sent or an answer is
 * missing, EX_UNAVAILABLE where nobody was there, 1 where the loop could not be set up. */
int exchange_run(const struct exchange_plan *plan);

#endif

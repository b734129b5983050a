/* A datagram that might come, as a user describes it on the command line. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_QUERY_H
#define UDPRELAYD_ADMIN_EXPLAIN_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "config/config.h"

struct explain_query {
	const struct listener_config *listener; /* in the configuration */
	struct address source;
	struct address destination; /* that the datagram is sent to; length 0: not told, and the listener has several */
	bool has_payload;
	uint8_t *payload;
	size_t size;
};

/* Takes "SRC > LISTENER", where LISTENER is the name of a listener or an address of one, and a payload: a text as it
 * stands, "hex: 01 ff", "-" for what can be read from in, or NULL where it is not known. Returns 0, or EX_USAGE after
 * telling errors what is wrong; then, too, the question is to be finished. */
int explain_query_init(struct explain_query *question, const struct config *config, const char *way,
		       const char *payload, FILE *in, FILE *errors);
void explain_query_finish(struct explain_query *question);

#endif

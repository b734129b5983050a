/* The query of --explain: a possible datagram, as the user describes it on the command line. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_QUERY_H
#define UDPRELAYD_ADMIN_EXPLAIN_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "config/config.h"

struct explain_query {
	const struct listener_config *listener; /* borrowed from the configuration */
	struct address source;
	struct address destination; /* local address of the datagram; length 0: unknown, the listener has several */
	bool has_payload;
	uint8_t *payload; /* owned; may be NULL */
	size_t size;
};

/* Parses flow and payload. flow is "SRC > LISTENER"; LISTENER is the name or an address of a listener. payload is
 * literal text, or "hex: 01 ff", or "-" to read it from in, or NULL if it is unknown. config must outlive the query.
 * Returns 0, or EX_USAGE after writing the reason to errors. In both cases the caller must call explain_query_finish().
 * Aborts when out of memory. */
int explain_query_init(struct explain_query *query, const struct config *config, const char *flow, const char *payload,
		       FILE *in, FILE *errors);
void explain_query_finish(struct explain_query *query);

#endif

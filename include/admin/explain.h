/* What would happen to a datagram, and why: the decisions of the daemon, without a socket. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_H
#define UDPRELAYD_ADMIN_EXPLAIN_H

#include <stdio.h>

#include "admin/explain_query.h"
#include "config/config.h"

/* Writes it for people, one fact a line, and last the verdict in the words of the datagram log. Names of peers are
 * looked up; nothing else is asked of others. Returns 0, or a negative errno where the local addresses cannot be read.
 * Where memory is short, the program ends. */
int explain(const struct config *config, const struct explain_query *question, FILE *out);

#endif

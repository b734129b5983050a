/* --explain: reports what the daemon would do with a datagram, and why. It calls the decision functions of the daemon,
 * but does not bind or send. */
#ifndef UDPRELAYD_ADMIN_EXPLAIN_H
#define UDPRELAYD_ADMIN_EXPLAIN_H

#include <stdio.h>

#include "admin/explain_query.h"
#include "config/config.h"

/* Writes the report to out for people: one fact per line, and the verdict of the datagram log in the last line. Looks
 * up the names of peers (getaddrinfo(3)). Returns 0, or a negative errno if the local addresses cannot be read. Aborts
 * when out of memory. */
int explain(const struct config *config, const struct explain_query *query, FILE *out);

#endif

/* The summary: all counters as lines of the daemon's log, written on SIGUSR1 and at the end. */
#ifndef UDPRELAYD_ADMIN_SUMMARY_H
#define UDPRELAYD_ADMIN_SUMMARY_H

#include "admin/status.h"
#include "base/log.h"

/* Logs at level info one line for each listener, relay and peer, and one for the datagram log. Logs an error when out
 * of memory. */
void summary_write(struct log *log, const struct status_source *source);

#endif

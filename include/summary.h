/* The counters on one screen. */
#ifndef UDPRELAYD_SUMMARY_H
#define UDPRELAYD_SUMMARY_H

#include "config.h"
#include "datagram_log.h"
#include "log.h"
#include "worker.h"

/* Tells log, at level info, a line for each listener and peer and one for the datagram log (NULL: off). */
void summary_write(struct log *log, const struct config *config, struct worker *const *workers, unsigned worker_count,
		   const struct datagram_log *datagram_log);

#endif

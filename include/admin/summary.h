/* The counters on one screen. */
#ifndef UDPRELAYD_ADMIN_SUMMARY_H
#define UDPRELAYD_ADMIN_SUMMARY_H

#include "admin/status.h"
#include "base/log.h"

/* Tells log, at level info, a line for each listener and peer and one for the datagram log. */
void summary_write(struct log *log, const struct status_source *view);

#endif

/* The counters on one screen. */
#ifndef UDPRELAYD_SUMMARY_H
#define UDPRELAYD_SUMMARY_H

#include "generation.h"

/* Tells its log, at level info, a line for each listener and peer and one for the datagram log. */
void summary_write(const struct generation *generation);

#endif

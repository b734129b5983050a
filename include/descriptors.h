/* How many descriptors the process may open. */
#ifndef UDPRELAYD_DESCRIPTORS_H
#define UDPRELAYD_DESCRIPTORS_H

#include "config.h"
#include "log.h"

/* Raises the limit (RLIMIT_NOFILE, getrlimit(2)) to what the sessions of all relays may need at most, with everything else
 * that is open on so many workers. Where that is not permitted, tells log by how much it falls short. */
void descriptors_provide(const struct config *config, unsigned workers, struct log *log);

#endif

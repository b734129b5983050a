/* Finds reasons why a start with a valid configuration would fail on this host now: a missing address, interface or
 * directory. For `udprelayd -t`. Ports in use and rights of another user cannot be checked. */
#ifndef UDPRELAYD_DAEMON_START_CHECK_H
#define UDPRELAYD_DAEMON_START_CHECK_H

#include <stdio.h>

#include "config/config.h"

/* Writes one line for each reason: "PATH:LINE: [SECTION] KEY: `VALUE`: valid, but cannot start now: REASON: FIX".
 * Creates no file and occupies no port of the configuration. */
void start_check(const struct config *config, FILE *out);

#endif

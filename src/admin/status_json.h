/* /status.json: how the daemon fares, as one JSON object. */
#ifndef UDPRELAYD_ADMIN_STATUS_JSON_H
#define UDPRELAYD_ADMIN_STATUS_JSON_H

#include <stdio.h>

#include "admin/status.h"

/* Writes it; errors show in out. Rates are those since before, an earlier status (NULL: none yet). */
void status_json_write(FILE *out, const struct status *status, const struct status *before);

#endif

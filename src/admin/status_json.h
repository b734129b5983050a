/* /status.json: the status as one JSON object. */
#ifndef UDPRELAYD_ADMIN_STATUS_JSON_H
#define UDPRELAYD_ADMIN_STATUS_JSON_H

#include <stdio.h>

#include "admin/status.h"

/* Writes the object. Rates are averages since before, an earlier status; NULL: the rates are 0. The caller checks out
 * for errors (ferror(3)). */
void status_json_write(FILE *out, const struct status *status, const struct status *before);

#endif

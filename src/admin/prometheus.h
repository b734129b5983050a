/* /metrics: all counters and gauges in the text format of Prometheus (version 0.0.4,
 * https://prometheus.io/docs/instrumenting/exposition_formats/). */
#ifndef UDPRELAYD_ADMIN_PROMETHEUS_H
#define UDPRELAYD_ADMIN_PROMETHEUS_H

#include <stdio.h>

#include "admin/status.h"

#define METRICS_TEXT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes them all; errors show in out. */
void prometheus_write(FILE *out, const struct status *status);

/* The inside of a label's value: backslash, double quote and newline are escaped. */
void prometheus_write_label(FILE *out, const char *text);

#endif

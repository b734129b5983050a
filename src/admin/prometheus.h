/* /metrics: all counters and gauges in the Prometheus text format (version 0.0.4,
 * https://prometheus.io/docs/instrumenting/exposition_formats/). */
#ifndef UDPRELAYD_ADMIN_PROMETHEUS_H
#define UDPRELAYD_ADMIN_PROMETHEUS_H

#include <stdio.h>

#include "admin/status.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* Writes all metrics. The caller checks out for errors (ferror(3)). */
void prometheus_write(FILE *out, const struct status *status);

/* Writes the inside of a label value: escapes backslash, double quote and newline. */
void prometheus_write_label(FILE *out, const char *text);

#endif

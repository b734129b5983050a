/* The report of a load: text, JSON and a progress line. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_REPORT_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_REPORT_H

#include <stdio.h>

#include "client/load/load_plan.h"

/* Prints a line "127.0.0.1:7788: 20 flows, depth 4, …". */
void load_report_plan(FILE *out, const struct load_plan *plan);

/* Prints the result as several lines of text. */
void load_report_text(FILE *out, const struct load_plan *plan, const struct load_result *result);

/* Prints the result as one JSON object in one line. */
void load_report_json(FILE *out, const struct load_plan *plan, const struct load_result *result);

/* A progress line on a terminal, which is rewritten about twice a second. */
struct load_progress {
	FILE *out;
	const struct load_plan *plan;
	uint64_t updated_ns; /* time of the last update */
	uint64_t sent, received; /* counts at the last update */
};

/* Updates the progress line if the last update is long enough ago. elapsed_ns is the time since the start of the
 * load. */
void load_progress_show(struct load_progress *progress, const struct load_result *result, uint64_t elapsed_ns);

/* Clears the progress line. */
void load_progress_clear(struct load_progress *progress);

#endif

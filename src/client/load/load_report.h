/* What is told of a load. */
#ifndef UDPRELAYD_CLIENT_LOAD_LOAD_REPORT_H
#define UDPRELAYD_CLIENT_LOAD_LOAD_REPORT_H

#include <stdio.h>

#include "client/load/load_plan.h"

/* "127.0.0.1:7788: 20 flows, depth 4, …", a line. */
void load_report_plan(FILE *out, const struct load_plan *plan);

/* For people, several lines. */
void load_report_text(FILE *out, const struct load_plan *plan, const struct load_result *result);

/* For programs: an object in one line. */
void load_report_json(FILE *out, const struct load_plan *plan, const struct load_result *result);

/* A line on a terminal that is written anew about twice a second. */
struct load_progress {
	FILE *out;
	const struct load_plan *plan;
	uint64_t shown_ns; /* the last time */
	uint64_t sent, received; /* up to then */
};

/* Is called with what there is by now, so long after the beginning, as often as one likes. */
void load_progress_show(struct load_progress *progress, const struct load_result *result, uint64_t elapsed_ns);

/* Takes the line away. */
void load_progress_end(struct load_progress *progress);

#endif

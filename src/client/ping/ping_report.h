/* What a run of ping has found, as text, as JSON, and drawn. */
#ifndef UDPRELAYD_CLIENT_PING_PING_REPORT_H
#define UDPRELAYD_CLIENT_PING_PING_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "client/histogram.h"
#include "client/sequence_tracker.h"

/* Zeroed but for to and size, nothing has happened yet. */
struct ping_result {
	struct address to;
	size_t size; /* of each datagram */
	uint64_t sent; /* refused ones among them */
	uint64_t not_sent; /* there was no room, or no memory */
	uint64_t refused;
	uint64_t foreign; /* datagrams that are no answers of this run */
	uint64_t other_size, other_source; /* answers that are otherwise than what was asked for */
	uint64_t too_late; /* answers of which nobody knows any more whether they are the first; not in the tally */
	struct tally tally;
	uint64_t elapsed_ns;
	struct histogram times; /* of the first answer to each */
	uint64_t last_ns; /* the latest of them */
	uint64_t differences_ns; /* between each and the one before, together */
};

struct ping_answer {
	const struct address *source;
	uint64_t seq; /* from 1 on */
	size_t size;
	uint64_t time_ns;
	bool duplicate, out_of_order, too_late, other_source;
};

/* Takes the round-trip time of a first answer into account. */
void ping_result_add(struct ping_result *result, uint64_t time_ns);

/* Sent, but neither answered nor refused. */
uint64_t ping_result_lost(const struct ping_result *result);

/* The exit status: 0 where there was an answer, EX_UNAVAILABLE where there were only refusals, 1 for silence. */
int ping_result_status(const struct ping_result *result);

/* One line an answer, with what is remarkable about it. */
void ping_report_answer(FILE *out, const struct ping_result *result, const struct ping_answer *answer);

void ping_report_text(FILE *out, const struct ping_result *result);

/* One object, and the end of its line. */
void ping_report_json(FILE *out, const struct ping_result *result);

/* How often which times were seen. Nothing for a single one. */
void ping_report_drawing(FILE *out, const struct ping_result *result);

#endif

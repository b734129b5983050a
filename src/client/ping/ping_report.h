/* The result of a ping run, and its reports: lines of text, JSON and a bar chart.
 *
 * The ping loop fills struct ping_result. The functions that print only read it. */
#ifndef UDPRELAYD_CLIENT_PING_PING_REPORT_H
#define UDPRELAYD_CLIENT_PING_PING_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/address.h"
#include "client/histogram.h"
#include "client/probe.h"

/* The owner sets destination and size; the rest is zero at first. */
struct ping_result {
	struct address destination;
	size_t size; /* bytes of each datagram */
	uint64_t sent; /* includes datagrams that were refused */
	uint64_t not_sent; /* no buffer space or no memory */
	uint64_t refused;
	uint64_t foreign; /* datagrams that are not replies of this run */
	uint64_t other_size, other_source; /* replies with another size, or from another address */
	uint64_t too_late; /* replies before the window of the tracker, which may be duplicates; not in counts */
	struct delivery_counts counts;
	uint64_t elapsed_ns;
	struct histogram round_trips; /* round-trip times of the first reply to each datagram, in nanoseconds */
	uint64_t last_ns; /* the latest round-trip time */
	uint64_t jitter_sum_ns; /* sum of the differences between successive round-trip times */
};

struct ping_reply {
	const struct address *source;
	uint64_t seq; /* counts from 1 */
	size_t size;
	uint64_t time_ns;
	bool duplicate, out_of_order, too_late, other_source;
};

/* Adds the round-trip time of the first reply to a datagram. */
void ping_result_add(struct ping_result *result, uint64_t time_ns);

/* Returns the number of datagrams with neither a reply nor an error. */
uint64_t ping_result_lost(const struct ping_result *result);

/* Returns the exit status: 0 after at least one reply, EX_UNAVAILABLE after errors only, 1 after neither. */
int ping_result_status(const struct ping_result *result);

/* Prints a line about one reply, with its anomalies. */
void ping_report_reply(FILE *out, const struct ping_result *result, const struct ping_reply *reply);

/* Prints the summary as several lines of text. */
void ping_report_text(FILE *out, const struct ping_result *result);

/* Prints one JSON object and a line end. */
void ping_report_json(FILE *out, const struct ping_result *result);

/* Prints the distribution of the round-trip times as a bar chart. Prints nothing for fewer than two replies. */
void ping_report_chart(FILE *out, const struct ping_result *result);

#endif

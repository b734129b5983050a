/* What became of numbered datagrams: each flow counts its own from 0 on, and every receiver ought to see each once and
 * in order. */
#ifndef UDPRELAYD_CLIENT_SEQUENCE_TRACKER_H
#define UDPRELAYD_CLIENT_SEQUENCE_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The latest numbers that are remembered one by one. */
#define TRACKER_WINDOW 4096

struct tracker {
	uint64_t next; /* the number after the highest seen */
	uint64_t seen[TRACKER_WINDOW / 64]; /* one bit each, by number modulo the window */
};

struct tally {
	uint64_t received; /* each datagram once */
	uint64_t duplicated, reordered;
	uint64_t misdelivered; /* another flow's, or none of ours */
};

/* Takes number seq into account. */
void tracker_see(struct tracker *tracker, uint64_t seq, struct tally *tally);

#endif

/* Numbered datagrams (probes), and counts of received, duplicated and reordered ones.
 *
 * Each probe starts with a header that identifies the run, the flow and the sequence number. A server returns or
 * forwards it unchanged. A sequence_tracker finds duplicates and datagrams out of order; each flow of each receiver has
 * its own tracker. */
#ifndef UDPRELAYD_CLIENT_PROBE_H
#define UDPRELAYD_CLIENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Size of the header in bytes. */
#define PROBE_SIZE 24

struct probe {
	uint32_t run_id; /* identifies the datagrams of one run */
	uint32_t flow;
	uint64_t seq; /* each flow counts from 0 */
	uint64_t time_ns; /* time of sending, from probe_now_ns() */
};

/* Writes PROBE_SIZE bytes in host byte order: only the process that writes a probe reads it. */
void probe_write(void *data, const struct probe *probe);

/* Reads the header of a datagram of size bytes. Returns false if the datagram is too short or belongs to another
 * run; *probe is then undefined. */
bool probe_read(const void *data, size_t size, uint32_t run_id, struct probe *probe);

/* Returns CLOCK_MONOTONIC in nanoseconds. */
uint64_t probe_now_ns(void);

/* Returns a random run_id. */
uint32_t probe_new_run_id(void);

/* --- Sequence numbers --- */

/* Size of the window of sequence numbers that the tracker remembers, counted back from the highest one. */
#define SEQUENCE_TRACKER_WINDOW 4096

struct sequence_tracker {
	uint64_t next; /* highest sequence number seen, plus 1 */
	/* One bit for each number of the window, at the number modulo the window size. */
	uint64_t seen[SEQUENCE_TRACKER_WINDOW / 64];
};

struct delivery_counts {
	uint64_t received; /* without duplicates */
	uint64_t duplicated, reordered;
	uint64_t misdelivered; /* datagrams of another flow or of another run */
};

/* Adds one received sequence number to the tracker and to the counts. A number before the window counts as a
 * duplicate: the tracker has no information about it. */
void sequence_tracker_add(struct sequence_tracker *tracker, uint64_t seq, struct delivery_counts *counts);

#endif

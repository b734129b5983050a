/* Numbered datagrams: what stands at the beginning of each, and comes back with it. */
#ifndef UDPRELAYD_CLIENT_PROBE_H
#define UDPRELAYD_CLIENT_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that a probe takes of a datagram. */
#define PROBE_SIZE 24

struct probe {
	uint32_t run; /* tells the datagrams of one run from all others */
	uint32_t flow;
	uint64_t seq; /* counted from 0 on in each flow */
	uint64_t time_ns; /* of probe_now_ns() */
};

/* Writes PROBE_SIZE bytes, in the byte order of this host: none but this process reads them. */
void probe_write(void *data, const struct probe *probe);

/* Returns false where the datagram, of so many bytes, is none of this run, and *probe means nothing. */
bool probe_read(const void *data, size_t size, uint32_t run, struct probe *probe);

/* CLOCK_MONOTONIC. */
uint64_t probe_now_ns(void);

/* Another one each time, by chance. */
uint32_t probe_new_run(void);

#endif

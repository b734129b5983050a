/* The datagram log: who said what to whom. Workers push records into rings, one thread decodes and writes them. */
#ifndef UDPRELAYD_DATAGRAM_LOG_H
#define UDPRELAYD_DATAGRAM_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "address.h"
#include "config.h"
#include "log.h"
#include "metrics.h"

enum verdict { VERDICT_SUNK, VERDICT_ECHOED, VERDICT_FORWARDED, VERDICT_DROPPED };

/* A datagram, as the worker tells of it. The pointers are borrowed for the push; the listener for as long as the log
 * lives. */
struct datagram_record {
	uint64_t time_us; /* since 1970, UTC */
	const struct listener_config *listener;
	const struct address *source;
	const struct address *destination; /* the address that the sender wrote to */
	const void *payload;
	uint32_t size; /* bytes of the payload */
	enum verdict verdict;
	enum drop_reason reason; /* of VERDICT_DROPPED */
	uint16_t sent, copies; /* of VERDICT_FORWARDED: sent of copies */
};

struct datagram_log;

/* One worker's end; single producer. */
struct datagram_ring;

/* Opens the target of config (not LOG_TARGET_OFF) and makes a ring for each worker. Errors of the target are told to
 * log, as is their end. config and log must outlive it. Returns 0 or a negative errno; where a file cannot be opened,
 * that is said in log and the errno returned. */
int datagram_log_create(struct datagram_log **dlog, const struct config *config, unsigned workers, struct log *log);

/* Starts the writer thread. Returns 0 or a negative errno. */
int datagram_log_start(struct datagram_log *dlog);

struct datagram_ring *datagram_log_ring(struct datagram_log *dlog, unsigned worker);

/* Copies the record. Where the ring is full the record is dropped, and the log will say so. Never blocks, allocates or
 * enters the kernel. */
void datagram_ring_push(struct datagram_ring *ring, const struct datagram_record *record);

/* After the last push of a batch: wakes the writer if it sleeps. */
void datagram_ring_wake(struct datagram_ring *ring);

/* Any thread: the writer closes its file and opens it by name again before the next record (for log rotation). */
void datagram_log_reopen(struct datagram_log *dlog);

/* Any thread. At the end written + dropped = pushed. */
uint64_t datagram_log_written(const struct datagram_log *dlog);
uint64_t datagram_log_dropped(const struct datagram_log *dlog);

/* Once the workers have stopped: writes out what waits, for at most timeout_ms, then closes and frees. Records that
 * could not be written are counted as dropped and told to log. A writer stuck in write(2) is left to the end of the
 * process. NULL is accepted. */
void datagram_log_destroy(struct datagram_log *dlog, unsigned timeout_ms);

#endif

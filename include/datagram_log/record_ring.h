/* Queue of records from one worker to the writer thread of the datagram log: a lock-free ring of fixed size.
 * Only the worker pushes (single producer) and only the writer pops (single consumer). The datagram log owns the ring.
 * A push into a full ring drops the record and counts it. */
#ifndef UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H
#define UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H

#include <stdint.h>

#include "base/counter.h"
#include "datagram_log/eventcount.h"
#include "datagram_log/record.h"

struct record_ring;

/* Creates a ring for `records` records with at most `payload` bytes of payload each. The kernel provides the memory at
 * the first use. eventcount must outlive the ring; several rings may share it. Returns 0 or -ENOMEM. */
int record_ring_create(struct record_ring **ring, uint32_t records, uint32_t payload, struct eventcount *eventcount);

/* Frees the ring with its records. NULL is accepted. */
void record_ring_destroy(struct record_ring *ring);

/* Producer: copies the record, its addresses and the first bytes of its payload. If the ring is full, counts the record
 * as dropped. Does not block, allocate or make a system call. */
void record_ring_push(struct record_ring *ring, const struct datagram_record *record);

/* Producer, after the last push of a batch: wakes the consumer if it waits. */
void record_ring_wake(struct record_ring *ring);

/* Consumer: returns the oldest record, or NULL if the ring is empty. *shown is the number of payload bytes in the copy.
 * The record is valid until record_ring_pop(). */
const struct datagram_record *record_ring_peek(struct record_ring *ring, uint32_t *shown);

/* Consumer: removes the record that record_ring_peek() returned. */
void record_ring_pop(struct record_ring *ring);

/* Any thread: the number of records pushed since the creation, without dropped ones, and the number dropped. */
uint64_t record_ring_pushed(const struct record_ring *ring);
uint64_t record_ring_dropped(const struct record_ring *ring);

#endif

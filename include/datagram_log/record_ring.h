/* The way of a record from a worker to the writer of the datagram log: a ring with one producer and one consumer. */
#ifndef UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H
#define UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "datagram_log/record.h"

/* Where the consumer of some rings sleeps. Zeroed memory is not ready: eventcount_init(). */
struct eventcount {
	atomic_bool sleeping;
	sem_t semaphore;
};

void eventcount_init(struct eventcount *waker);
void eventcount_finish(struct eventcount *waker);

/* Any thread: the consumer goes on now, or does not sleep the next time. */
void eventcount_wake(struct eventcount *waker);

/* The consumer says that it is about to sleep, and then looks a last time for records: whoever pushes later will see
 * it, and wake. eventcount_wait() waits for that, for at most timeout_ms; eventcount_cancel() takes it back. */
void eventcount_prepare(struct eventcount *waker);
void eventcount_wait(struct eventcount *waker, unsigned timeout_ms);
void eventcount_cancel(struct eventcount *waker);

struct record_ring;

/* Room for so many records of which each keeps at most payload bytes; the memory becomes resident as it is first used.
 * The waker outlives the ring. Returns 0 or -ENOMEM. */
int record_ring_create(struct record_ring **ring, uint32_t records, uint32_t payload, struct eventcount *waker);

/* NULL is accepted. */
void record_ring_destroy(struct record_ring *ring);

/* The producer. Copies the record, with as much of the payload as is kept. Where the ring is full the record is counted
 * as dropped. Never blocks, allocates or enters the kernel. */
void record_ring_push(struct record_ring *ring, const struct datagram_record *record);

/* The producer, after the last push of a batch: wakes the consumer if it sleeps. */
void record_ring_wake(struct record_ring *ring);

/* The consumer. The oldest record, or NULL; *shown is how much of its payload was kept. Valid until the pop. */
const struct datagram_record *record_ring_peek(struct record_ring *ring, uint32_t *shown);
void record_ring_pop(struct record_ring *ring);

/* Any thread: records that went into the ring since it was made, and those that found it full. */
uint64_t record_ring_pushed(const struct record_ring *ring);
uint64_t record_ring_dropped(const struct record_ring *ring);

#endif

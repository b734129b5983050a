/* The way of a record from a worker to the writer of the datagram log: a ring with one producer and one consumer. */
#ifndef UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H
#define UDPRELAYD_DATAGRAM_LOG_RECORD_RING_H

#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/counter.h"
#include "datagram_log/record.h"

/* Where the consumer of some rings sleeps. Zeroed memory is not ready: waker_init(). */
struct waker {
	atomic_bool sleeping;
	sem_t semaphore;
};

void waker_init(struct waker *waker);
void waker_finish(struct waker *waker);

/* Any thread: the consumer goes on now, or does not sleep the next time. */
void waker_wake(struct waker *waker);

/* The consumer says that it is about to sleep, and then looks a last time for records: whoever pushes later will see
 * it, and wake. waker_sleep() waits for that, for at most timeout_ms; waker_stay() takes it back. */
void waker_announce(struct waker *waker);
void waker_sleep(struct waker *waker, unsigned timeout_ms);
void waker_stay(struct waker *waker);

struct datagram_ring;

/* Room for so many records of which each keeps at most payload bytes; the memory becomes resident as it is first used.
 * The waker outlives the ring. Returns 0 or -ENOMEM. */
int datagram_ring_create(struct datagram_ring **ring, uint32_t records, uint32_t payload, struct waker *waker);

/* NULL is accepted. */
void datagram_ring_destroy(struct datagram_ring *ring);

/* The producer. Copies the record, with as much of the payload as is kept. Where the ring is full the record is counted
 * as dropped. Never blocks, allocates or enters the kernel. */
void datagram_ring_push(struct datagram_ring *ring, const struct datagram_record *record);

/* The producer, after the last push of a batch: wakes the consumer if it sleeps. */
void datagram_ring_wake(struct datagram_ring *ring);

/* The consumer. The oldest record, or NULL; *shown is how much of its payload was kept. Valid until the pop. */
const struct datagram_record *datagram_ring_peek(struct datagram_ring *ring, uint32_t *shown);
void datagram_ring_pop(struct datagram_ring *ring);

/* Any thread: records that went into the ring since it was made, and those that found it full. */
uint64_t datagram_ring_pushed(const struct datagram_ring *ring);
uint64_t datagram_ring_dropped(const struct datagram_ring *ring);

#endif

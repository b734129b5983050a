/* A table of packet rates by sender, for the generic cell rate algorithm (GCRA, ITU-T I.371). Its size is fixed: eight
 * bytes for each sender, in sets of eight. All workers share a table; they change it with atomic exchanges and never
 * wait.
 *
 * What can go wrong: the table is full. Then a new sender replaces the one with the most credit in its set. An evicted
 * source gets its full burst again. Sources with the most credit are evicted first, so a flood does not weaken the
 * limit. */
#ifndef UDPRELAYD_GUARD_GCRA_TABLE_H
#define UDPRELAYD_GUARD_GCRA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gcra_table;

/* senders: capacity of the table; a power of two, at least 8. rate: datagrams per second, at least 1. burst: datagrams
 * that a silent sender may send at once; 0: as many as in a second. Returns 0 or -ENOMEM. */
int gcra_table_create(struct gcra_table **table, size_t senders, uint32_t rate, uint32_t burst);

/* Accepts NULL. */
void gcra_table_destroy(struct gcra_table *table);

/* Charges datagrams (at most TRAIN_MAX) to a sender if it has credit for one datagram. If the train exceeds the credit,
 * the rest becomes a debt: the sender has no credit until the time for the debt has passed. Returns false, and charges
 * nothing, if it has no credit. hash: a keyed hash of the sender, so that no client can choose which senders share its
 * set. now_ms: monotonic; it may differ by some seconds between threads. Any thread may call it. */
bool gcra_table_take(struct gcra_table *table, uint64_t hash, uint32_t datagrams, uint64_t now_ms);

#endif

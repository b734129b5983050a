/* Rates of many senders, in a table that never grows. Any thread may use it, and nobody waits for another. */
#ifndef UDPRELAYD_GUARD_GCRA_TABLE_H
#define UDPRELAYD_GUARD_GCRA_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gcra_table;

/* senders: how many are remembered at a time, in 8 bytes each; a power of two, from 8. Who is forgotten has his whole
 * burst again; those with the most credit are forgotten first, and in the midst of a flood that is no loss to anyone.
 * rate: datagrams a second, from 1. burst: what a sender that was silent may send at once; 0: as many as in a second.
 * Returns 0 or -ENOMEM. */
int gcra_table_create(struct gcra_table **table, size_t senders, uint32_t rate, uint32_t burst);

/* NULL is accepted. */
void gcra_table_destroy(struct gcra_table *table);

/* hash: of the sender, keyed, so that nobody can choose who shares a line with whom. now_ms is monotonic, and may
 * differ a little between threads. Whether the sender has credit for one datagram, so that so many (at most TRAIN_MAX)
 * are taken and charged; debts are paid by waiting. */
bool gcra_table_take(struct gcra_table *table, uint64_t hash, uint32_t datagrams, uint64_t now_ms);

#endif

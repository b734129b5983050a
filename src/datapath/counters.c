#include "datapath/counters.h"

static void counter_sum(counter *a, const counter *b)
{
	counter_add(a, counter_get(b));
}

static void drops_add(counter a[DROP_REASONS], const counter b[DROP_REASONS])
{
	for (int i = 0; i < DROP_REASONS; i++)
		counter_sum(&a[i], &b[i]);
}

void listener_counters_add(struct listener_counters *a, const struct listener_counters *b)
{
	counter_sum(&a->received, &b->received);
	counter_sum(&a->received_bytes, &b->received_bytes);
	counter_sum(&a->sunk, &b->sunk);
	counter_sum(&a->echoed, &b->echoed);
	counter_sum(&a->forwarded, &b->forwarded);
	counter_sum(&a->relayed, &b->relayed);
	drops_add(a->dropped, b->dropped);
}

void relay_counters_add(struct relay_counters *a, const struct relay_counters *b)
{
	counter_sum(&a->ended,
		    &b->ended); /* first, so that a concurrent reader never sees more ended than started sessions */
	for (int i = 0; i < SESSION_ENDS; i++)
		counter_sum(&a->ended_by[i], &b->ended_by[i]);
	counter_sum(&a->started, &b->started);
	drops_add(a->refused, b->refused);
	counter_sum(&a->replies, &b->replies);
	counter_sum(&a->reply_bytes, &b->reply_bytes);
	counter_sum(&a->replied, &b->replied);
	drops_add(a->dropped, b->dropped);
	counter_sum(&a->kernel_dropped, &b->kernel_dropped);
}

void peer_counters_add(struct peer_counters *a, const struct peer_counters *b)
{
	counter_sum(&a->submitted, &b->submitted);
	counter_sum(&a->sent, &b->sent);
	counter_sum(&a->sent_bytes, &b->sent_bytes);
	counter_sum(&a->icmp_errors, &b->icmp_errors);
	drops_add(a->dropped, b->dropped);
	counter_sum(&a->replies, &b->replies);
	counter_sum(&a->reply_bytes, &b->reply_bytes);
}

void receive_counters_add(struct receive_counters *a, const struct receive_counters *b)
{
	for (int i = 0; i < SIZE_BUCKETS; i++) {
		counter_sum(&a->receives[i], &b->receives[i]);
		counter_sum(&a->trains[i], &b->trains[i]);
	}
	counter_sum(&a->datagrams, &b->datagrams);
}

uint64_t drops_total(const counter dropped[DROP_REASONS])
{
	uint64_t total = 0;

	for (int i = 0; i < DROP_REASONS; i++)
		total += counter_get(&dropped[i]);
	return total;
}

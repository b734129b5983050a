#include "datapath/counters.h"

static void add(counter *a, const counter *b)
{
	counter_add(a, counter_get(b));
}

static void add_drops(counter a[DROP_REASONS], const counter b[DROP_REASONS])
{
	for (int i = 0; i < DROP_REASONS; i++)
		add(&a[i], &b[i]);
}

void listener_counters_add(struct listener_counters *a, const struct listener_counters *b)
{
	add(&a->received, &b->received);
	add(&a->received_bytes, &b->received_bytes);
	add(&a->sunk, &b->sunk);
	add(&a->echoed, &b->echoed);
	add(&a->forwarded, &b->forwarded);
	add(&a->relayed, &b->relayed);
	add_drops(a->dropped, b->dropped);
}

void relay_counters_add(struct relay_counters *a, const struct relay_counters *b)
{
	add(&a->ended, &b->ended); /* first: there are never more than were started */
	add(&a->started, &b->started);
	add(&a->answers, &b->answers);
	add(&a->answer_bytes, &b->answer_bytes);
	add(&a->answered, &b->answered);
	add_drops(a->dropped, b->dropped);
	add(&a->kernel_dropped, &b->kernel_dropped);
}

void peer_counters_add(struct peer_counters *a, const struct peer_counters *b)
{
	add(&a->submitted, &b->submitted);
	add(&a->sent, &b->sent);
	add(&a->sent_bytes, &b->sent_bytes);
	add(&a->icmp_errors, &b->icmp_errors);
	add_drops(a->dropped, b->dropped);
	add(&a->answers, &b->answers);
	add(&a->answer_bytes, &b->answer_bytes);
}

void receive_counters_add(struct receive_counters *a, const struct receive_counters *b)
{
	for (int i = 0; i < SIZE_BUCKETS; i++) {
		add(&a->receives[i], &b->receives[i]);
		add(&a->trains[i], &b->trains[i]);
	}
	add(&a->datagrams, &b->datagrams);
}

uint64_t drops_total(const counter dropped[DROP_REASONS])
{
	uint64_t total = 0;

	for (int i = 0; i < DROP_REASONS; i++)
		total += counter_get(&dropped[i]);
	return total;
}

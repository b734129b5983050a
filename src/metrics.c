#include "metrics.h"

static const char *const reason_names[DROP_REASONS] = {
	[DROP_NONE] = "none",
	[DROP_TOO_LARGE] = "too_large",
	[DROP_MALFORMED] = "malformed",
	[DROP_SOURCE_DENIED] = "source_denied",
	[DROP_LOOP] = "loop",
	[DROP_SOURCE_ADDRESS] = "source_address",
	[DROP_SOURCE_PORT] = "source_port",
	[DROP_NO_RETURN] = "no_return",
	[DROP_SOURCE_LIMIT] = "source_limit",
	[DROP_RING] = "ring",
	[DROP_UNRESOLVED] = "unresolved",
	[DROP_REFUSED] = "refused",
	[DROP_UNREACHABLE] = "unreachable",
	[DROP_DENIED] = "denied",
	[DROP_MESSAGE_SIZE] = "message_size",
	[DROP_CONGESTED] = "congested",
	[DROP_NO_MEMORY] = "no_memory",
	[DROP_UNCONVERTIBLE] = "unconvertible",
	[DROP_SESSION_LIMIT] = "session_limit",
	[DROP_NO_DESCRIPTOR] = "no_descriptor",
	[DROP_NO_PORT] = "no_port",
	[DROP_SESSION_ENDED] = "session_ended",
	[DROP_UNEXPECTED] = "unexpected",
	[DROP_SEND_ERROR] = "send_error",
};

const char *drop_reason_name(enum drop_reason reason)
{
	return reason_names[reason];
}

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
	add(&a->handed, &b->handed);
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

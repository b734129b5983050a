#include "upstream/balancer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "upstream/maglev.h"

/* A public constant: relays on different hosts must compute the same hashes. */
static const struct siphash_key balancer_hash_key = {UINT64_C(0x75647072656c6179), UINT64_C(0x62616c616e636572)};

struct balancer {
	enum balance balance;
	const struct balancer_target *targets;
	size_t count;
	bool fails_open;

	uint16_t *candidates; /* indices into targets */
	size_t candidate_count;
	uint64_t total_weight; /* sum of the weights of all candidates */

	int64_t *credit; /* round robin; by index in targets */
	size_t scan_start; /* least sessions: first candidate to compare, so that equal ones are used in turn */
	uint64_t random; /* random: state of the generator, never 0 */
	struct maglev *maglev; /* hash: table of indices into candidates */
	struct maglev_target *maglev_targets;
};

/* --- Hashing --- */

/* The port is left out, so that a client keeps its peer when its port changes. */
static uint64_t balancer_hash_client(const struct address *client)
{
	if (client->any.sa_family == AF_INET)
		return siphash(&balancer_hash_key, &client->v4.sin_addr, sizeof(client->v4.sin_addr));
	if (client->any.sa_family == AF_INET6)
		return siphash(&balancer_hash_key, &client->v6.sin6_addr, sizeof(client->v6.sin6_addr));
	return siphash(&balancer_hash_key, &client->local, client->length);
}

uint64_t balancer_identity(const char *peer, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX + 256];
	char *end = stpncpy(text, peer, 255);

	*end++ = ' ';
	address_format(address, end);
	return siphash(&balancer_hash_key, text, strlen(text));
}

/* --- Candidates --- */

/* Makes candidates of the targets that are backups, or of those that are not. Returns their number. */
static size_t balancer_collect_candidates(struct balancer *balancer, bool backup, bool include_down)
{
	balancer->candidate_count = 0;
	balancer->total_weight = 0;
	for (size_t i = 0; i < balancer->count; i++) {
		const struct balancer_target *target = &balancer->targets[i];

		if (target->backup != backup || !(target->up || include_down))
			continue;
		balancer->candidates[balancer->candidate_count++] = (uint16_t)i;
		balancer->total_weight += target->weight;
	}
	return balancer->candidate_count;
}

static const struct balancer_target *balancer_candidate_at(const struct balancer *balancer, size_t i)
{
	return &balancer->targets[balancer->candidates[i]];
}

void balancer_update(struct balancer *balancer)
{
	balancer->fails_open = false;
	if (!balancer_collect_candidates(balancer, false, false) && !balancer_collect_candidates(balancer, true, false))
		balancer->fails_open = balancer_collect_candidates(balancer, false, true) ||
				       balancer_collect_candidates(balancer, true, true);
	if (balancer->balance != BALANCE_HASH || !balancer->candidate_count)
		return;
	for (size_t i = 0; i < balancer->candidate_count; i++) {
		const struct balancer_target *target = balancer_candidate_at(balancer, i);

		balancer->maglev_targets[i] = (struct maglev_target){target->identity, target->weight};
	}
	maglev_build(balancer->maglev, balancer->maglev_targets, balancer->candidate_count);
}

bool balancer_fails_open(const struct balancer *balancer)
{
	return balancer->fails_open;
}

size_t balancer_candidates(const struct balancer *balancer, const uint16_t **candidates)
{
	*candidates = balancer->candidates;
	return balancer->candidate_count;
}

/* --- Methods. Each returns an index into candidates. --- */

/* Smooth weighted round robin: the turns of a target of weight 5 are spread among the turns of the others. In each turn
 * every candidate gains its weight in credit. The one with the most credit is chosen and pays the total weight. */
static size_t balancer_choose_round_robin(struct balancer *balancer)
{
	size_t best = 0;

	for (size_t i = 0; i < balancer->candidate_count; i++) {
		int64_t *credit = &balancer->credit[balancer->candidates[i]];

		*credit += balancer_candidate_at(balancer, i)->weight;
		if (*credit > balancer->credit[balancer->candidates[best]])
			best = i;
	}
	balancer->credit[balancer->candidates[best]] -= (int64_t)balancer->total_weight;
	return best;
}

/* Marsaglia's xorshift. It is predictable; the choice of a peer need not be secret. */
static uint64_t balancer_next_random(struct balancer *balancer)
{
	balancer->random ^= balancer->random << 13;
	balancer->random ^= balancer->random >> 7;
	balancer->random ^= balancer->random << 17;
	return balancer->random;
}

static size_t balancer_choose_random(struct balancer *balancer)
{
	uint64_t position = balancer_next_random(balancer) % balancer->total_weight;
	size_t i = 0;

	while (position >= balancer_candidate_at(balancer, i)->weight)
		position -= balancer_candidate_at(balancer, i++)->weight;
	return i;
}

/* Returns whether a has fewer sessions than b in proportion to the weights. */
static bool balancer_is_less_loaded(const struct balancer_target *a, const struct balancer_target *b)
{
	return (uint64_t)a->sessions * b->weight < (uint64_t)b->sessions * a->weight;
}

static size_t balancer_choose_least_sessions(struct balancer *balancer)
{
	size_t first = balancer->scan_start++ % balancer->candidate_count;
	size_t best = first;

	for (size_t i = 1; i < balancer->candidate_count; i++) {
		size_t other = (first + i) % balancer->candidate_count;

		if (balancer_is_less_loaded(balancer_candidate_at(balancer, other),
					    balancer_candidate_at(balancer, best)))
			best = other;
	}
	return best;
}

static size_t balancer_choose_candidate(struct balancer *balancer, const struct address *client)
{
	switch (balancer->balance) {
	case BALANCE_HASH:
		return maglev_look_up(balancer->maglev, balancer_hash_client(client));
	case BALANCE_ROUND_ROBIN:
		return balancer_choose_round_robin(balancer);
	case BALANCE_RANDOM:
		return balancer_choose_random(balancer);
	case BALANCE_LEAST_SESSIONS:
		return balancer_choose_least_sessions(balancer);
	case BALANCE_FAILOVER:
		break;
	}
	return 0;
}

size_t balancer_choose(struct balancer *balancer, const struct address *client)
{
	return balancer->candidate_count ? balancer->candidates[balancer_choose_candidate(balancer, client)]
					 : BALANCER_NONE;
}

/* --- Creation --- */

/* Returns 0 or -ENOMEM. The caller frees after an error. */
static int balancer_allocate(struct balancer *balancer)
{
	size_t size = balancer->count + 1;

	balancer->candidates = calloc(size, sizeof(*balancer->candidates));
	balancer->credit = calloc(size, sizeof(*balancer->credit));
	if (!balancer->candidates || !balancer->credit)
		return -ENOMEM;
	if (balancer->balance != BALANCE_HASH)
		return 0;
	balancer->maglev_targets = calloc(size, sizeof(*balancer->maglev_targets));
	return balancer->maglev_targets ? maglev_create(&balancer->maglev, size) : -ENOMEM;
}

int balancer_create(struct balancer **out, enum balance balance, const struct balancer_target *targets, size_t count,
		    unsigned start)
{
	struct balancer *balancer = calloc(1, sizeof(*balancer));
	struct siphash_key key;

	if (!balancer)
		return -ENOMEM;
	*balancer = (struct balancer){.balance = balance, .targets = targets, .count = count};
	if (balancer_allocate(balancer)) {
		balancer_destroy(balancer);
		return -ENOMEM;
	}
	siphash_key_random(&key);
	balancer->random = key.k0 | 1;
	balancer->scan_start = start;
	balancer_update(balancer);
	for (unsigned i = 0; balance == BALANCE_ROUND_ROBIN && balancer->candidate_count && i < start; i++)
		balancer_choose_round_robin(balancer);
	*out = balancer;
	return 0;
}

void balancer_destroy(struct balancer *balancer)
{
	if (!balancer)
		return;
	maglev_destroy(balancer->maglev);
	free(balancer->maglev_targets);
	free(balancer->credit);
	free(balancer->candidates);
	free(balancer);
}

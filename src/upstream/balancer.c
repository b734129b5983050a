#include "upstream/balancer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/siphash.h"
#include "upstream/maglev.h"

/* Known to all: relays that share nothing else agree on what they hash. */
static const struct siphash_key common_key = {UINT64_C(0x75647072656c6179), UINT64_C(0x62616c616e636572)};

struct balancer {
	enum balance balance;
	const struct balancer_target *targets;
	size_t count;
	bool fails_open;

	uint16_t *choices; /* indices of targets */
	size_t choice_count;
	uint64_t weight; /* of all choices together */

	int64_t *credit; /* by target: of the round robin */
	size_t turn; /* where least-sessions begins to look, so that equals are taken in turn */
	uint64_t random; /* state, never 0 */
	struct maglev *maglev; /* of the hash, over choices */
	struct maglev_target *maglev_targets;
};

/* --- Hashing --- */

/* The host alone: a client keeps its peer whatever port it comes from. */
static uint64_t client_hash(const struct address *client)
{
	if (client->any.sa_family == AF_INET)
		return siphash(&common_key, &client->v4.sin_addr, sizeof(client->v4.sin_addr));
	if (client->any.sa_family == AF_INET6)
		return siphash(&common_key, &client->v6.sin6_addr, sizeof(client->v6.sin6_addr));
	return siphash(&common_key, &client->local, client->length);
}

uint64_t balancer_identity(const char *peer, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX + 256];
	char *end = stpncpy(text, peer, 255);

	*end++ = ' ';
	address_format(address, end);
	return siphash(&common_key, text, strlen(text));
}

/* --- Targets --- */

static size_t collect(struct balancer *balancer, bool backup, bool down)
{
	balancer->choice_count = 0;
	balancer->weight = 0;
	for (size_t i = 0; i < balancer->count; i++) {
		const struct balancer_target *target = &balancer->targets[i];

		if (target->backup != backup || !(target->up || down))
			continue;
		balancer->choices[balancer->choice_count++] = (uint16_t)i;
		balancer->weight += target->weight;
	}
	return balancer->choice_count;
}

static const struct balancer_target *choice_at(const struct balancer *balancer, size_t i)
{
	return &balancer->targets[balancer->choices[i]];
}

void balancer_update(struct balancer *balancer)
{
	balancer->fails_open = false;
	if (!collect(balancer, false, false) && !collect(balancer, true, false))
		balancer->fails_open = collect(balancer, false, true) || collect(balancer, true, true);
	if (balancer->balance != BALANCE_HASH || !balancer->choice_count)
		return;
	for (size_t i = 0; i < balancer->choice_count; i++) {
		const struct balancer_target *target = choice_at(balancer, i);

		balancer->maglev_targets[i] = (struct maglev_target){target->identity, target->weight};
	}
	maglev_build(balancer->maglev, balancer->maglev_targets, balancer->choice_count);
}

bool balancer_fails_open(const struct balancer *balancer)
{
	return balancer->fails_open;
}

/* --- Choosing; each returns an index of choices --- */

/* Smooth: a target of weight 5 gets its turns spread among the others'. Each gains its weight, and the one with the
 * most credit pays for all. */
static size_t choose_in_turn(struct balancer *balancer)
{
	size_t best = 0;

	for (size_t i = 0; i < balancer->choice_count; i++) {
		int64_t *credit = &balancer->credit[balancer->choices[i]];

		*credit += choice_at(balancer, i)->weight;
		if (*credit > balancer->credit[balancer->choices[best]])
			best = i;
	}
	balancer->credit[balancer->choices[best]] -= (int64_t)balancer->weight;
	return best;
}

/* Marsaglia's xorshift: nobody need be kept from guessing it. */
static uint64_t next_random(struct balancer *balancer)
{
	balancer->random ^= balancer->random << 13;
	balancer->random ^= balancer->random >> 7;
	balancer->random ^= balancer->random << 17;
	return balancer->random;
}

static size_t choose_at_random(struct balancer *balancer)
{
	uint64_t at = next_random(balancer) % balancer->weight;
	size_t i = 0;

	while (at >= choice_at(balancer, i)->weight)
		at -= choice_at(balancer, i++)->weight;
	return i;
}

/* In proportion to the weights. */
static bool has_fewer(const struct balancer_target *a, const struct balancer_target *b)
{
	return (uint64_t)a->sessions * b->weight < (uint64_t)b->sessions * a->weight;
}

static size_t choose_least(struct balancer *balancer)
{
	size_t best = balancer->turn++ % balancer->choice_count;

	for (size_t i = 1, first = best; i < balancer->choice_count; i++) {
		size_t at = (first + i) % balancer->choice_count;

		if (has_fewer(choice_at(balancer, at), choice_at(balancer, best)))
			best = at;
	}
	return best;
}

static size_t choose(struct balancer *balancer, const struct address *client)
{
	switch (balancer->balance) {
	case BALANCE_HASH:
		return maglev_look_up(balancer->maglev, client_hash(client));
	case BALANCE_ROUND_ROBIN:
		return choose_in_turn(balancer);
	case BALANCE_RANDOM:
		return choose_at_random(balancer);
	case BALANCE_LEAST_SESSIONS:
		return choose_least(balancer);
	case BALANCE_FAILOVER:
		break;
	}
	return 0;
}

size_t balancer_candidates(const struct balancer *balancer, const uint16_t **choices)
{
	*choices = balancer->choices;
	return balancer->choice_count;
}

size_t balancer_choose(struct balancer *balancer, const struct address *client)
{
	return balancer->choice_count ? balancer->choices[choose(balancer, client)] : BALANCER_NONE;
}

/* --- Life --- */

static int allocate(struct balancer *balancer)
{
	size_t room = balancer->count + 1;

	balancer->choices = calloc(room, sizeof(*balancer->choices));
	balancer->credit = calloc(room, sizeof(*balancer->credit));
	if (!balancer->choices || !balancer->credit)
		return -ENOMEM;
	if (balancer->balance != BALANCE_HASH)
		return 0;
	balancer->maglev_targets = calloc(room, sizeof(*balancer->maglev_targets));
	return balancer->maglev_targets ? maglev_create(&balancer->maglev, room) : -ENOMEM;
}

int balancer_create(struct balancer **out, enum balance balance, const struct balancer_target *targets, size_t count,
		    unsigned start)
{
	struct balancer *balancer = calloc(1, sizeof(*balancer));
	struct siphash_key key;

	if (!balancer)
		return -ENOMEM;
	*balancer = (struct balancer){.balance = balance, .targets = targets, .count = count};
	if (allocate(balancer)) {
		balancer_destroy(balancer);
		return -ENOMEM;
	}
	siphash_key_random(&key);
	balancer->random = key.k0 | 1;
	balancer->turn = start;
	balancer_update(balancer);
	for (unsigned i = 0; balance == BALANCE_ROUND_ROBIN && balancer->choice_count && i < start; i++)
		choose_in_turn(balancer);
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
	free(balancer->choices);
	free(balancer);
}

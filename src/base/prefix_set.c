#include "base/prefix_set.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* --- Addresses as numbers --- */

/* An IPv6 address as a number. IPv4 is shifted to the top, so that the bits of a prefix count alike for both. */
struct key {
	uint64_t high, low;
};

static struct key key_of_v4(const struct in_addr *ip)
{
	return (struct key){(uint64_t)ntohl(ip->s_addr) << 32, 0};
}

static struct key key_of_v6(const struct in6_addr *ip)
{
	struct key key;

	memcpy(&key, ip, sizeof(key));
	return (struct key){be64toh(key.high), be64toh(key.low)};
}

static struct key key_of(const struct prefix *prefix)
{
	return prefix->family == AF_INET ? key_of_v4(&prefix->v4) : key_of_v6(&prefix->v6);
}

static int compare_keys(struct key a, struct key b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return a.low < b.low ? -1 : a.low > b.low;
}

/* The host bits that the prefix leaves. */
static struct key host_bits(unsigned bits)
{
	struct key mask = {UINT64_MAX, UINT64_MAX};

	if (bits < 64)
		mask.high >>= bits;
	else
		mask = (struct key){0, bits < 128 ? UINT64_MAX >> (bits - 64) : 0};
	return mask;
}

static struct key last_key(const struct prefix *prefix)
{
	struct key first = key_of(prefix), mask = host_bits(prefix->bits);

	return (struct key){first.high | mask.high, first.low | mask.low};
}

/* --- Texts --- */

/* Clears the host bits. Returns whether there were any. */
static bool clear_host_bits(struct prefix *prefix)
{
	struct key key = key_of(prefix), mask = host_bits(prefix->bits);
	struct key kept = {key.high & ~mask.high, key.low & ~mask.low};

	if (prefix->family == AF_INET) {
		prefix->v4.s_addr = htonl((uint32_t)(kept.high >> 32));
	} else {
		kept = (struct key){htobe64(kept.high), htobe64(kept.low)};
		memcpy(&prefix->v6, &kept, sizeof(kept));
	}
	return key.high & mask.high || key.low & mask.low;
}

char *prefix_format(const struct prefix *prefix, char text[PREFIX_TEXT_MAX])
{
	char ip[INET6_ADDRSTRLEN];

	inet_ntop(prefix->family, &prefix->v6, ip, sizeof(ip));
	snprintf(text, PREFIX_TEXT_MAX, "%s/%u", ip, prefix->bits);
	return text;
}

static bool parse_ip(struct prefix *prefix, const char *text, size_t length)
{
	char ip[INET6_ADDRSTRLEN];

	if (length >= sizeof(ip))
		return false;
	memcpy(ip, text, length);
	ip[length] = '\0';
	*prefix = (struct prefix){.family = AF_INET, .bits = 32};
	if (inet_pton(AF_INET, ip, &prefix->v4) == 1)
		return true;
	*prefix = (struct prefix){.family = AF_INET6, .bits = 128};
	return inet_pton(AF_INET6, ip, &prefix->v6) == 1;
}

/* Decimal digits without leading zeros, at most *bits. */
static bool parse_bits(const char *text, uint8_t *bits)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long number;

	if (!digits || digits > 3 || text[digits] || (*text == '0' && digits > 1))
		return false;
	number = strtoul(text, NULL, 10);
	if (number > *bits)
		return false;
	*bits = (uint8_t)number;
	return true;
}

static bool is_mapped(const struct prefix *prefix)
{
	return prefix->family == AF_INET6 && prefix->bits >= 96 && IN6_IS_ADDR_V4MAPPED(&prefix->v6);
}

static struct prefix unmap(const struct prefix *prefix)
{
	return (struct prefix){
		.family = AF_INET, .bits = (uint8_t)(prefix->bits - 96), .v4 = address_mapped_v4(&prefix->v6)};
}

static bool fault_is(char fault[PREFIX_FAULT_MAX], const char *what, const struct prefix *right)
{
	char text[PREFIX_TEXT_MAX];

	snprintf(fault, PREFIX_FAULT_MAX, right ? "%s: write %s" : "%s", what, right ? prefix_format(right, text) : "");
	return false;
}

bool prefix_parse(struct prefix *prefix, const char *text, char fault[PREFIX_FAULT_MAX])
{
	size_t length = strcspn(text, "/");
	struct prefix parsed, v4;

	if (memchr(text, '%', length))
		return fault_is(fault, "a prefix has no interface: remove it, from the % on", NULL);
	if (!parse_ip(&parsed, text, length))
		return fault_is(fault, "this is no prefix: write one such as 192.0.2.0/24 or 2001:db8::/32", NULL);
	if (text[length] && !parse_bits(text + length + 1, &parsed.bits))
		return fault_is(fault,
				parsed.family == AF_INET ? "this is no length: write one from 0 to 32 behind the /"
							 : "this is no length: write one from 0 to 128 behind the /",
				NULL);
	if (is_mapped(&parsed)) {
		v4 = unmap(&parsed);
		clear_host_bits(&v4);
		return fault_is(fault, "this is IPv4 in IPv6 clothes", &v4);
	}
	if (clear_host_bits(&parsed))
		return fault_is(fault, "there are bits set behind the prefix's length", &parsed);
	*prefix = parsed;
	return true;
}

/* --- Sets --- */

#define NOBODY UINT32_MAX /* for an owner: no prefix */

/* All addresses of a family, cut into ranges where the longest prefix changes. A range goes up to the next one's first
 * address; the first begins at 0. */
struct ranges {
	uint32_t *owners; /* index of that prefix, or NOBODY */
	size_t count;
};

struct prefix_set {
	struct prefix *prefixes;
	struct ranges v4, v6;
	uint32_t *v4_firsts;
	struct key *v6_firsts;
};

/* A family's ranges, as they are made. */
struct cutter {
	const struct prefix *prefixes;
	struct ranges ranges;
	struct key *firsts;
	uint32_t open[129]; /* prefixes that cover where we are, one in the other */
	size_t depth;
};

/* Outer ones before those within them; the same ones in the order that they were written in. */
static int compare_prefixes(const void *a, const void *b)
{
	const struct prefix *one = a, *other = b;
	int order = compare_keys(key_of(one), key_of(other));

	if (one->family != other->family)
		return one->family < other->family ? -1 : 1;
	if (order)
		return order;
	if (one->bits != other->bits)
		return one->bits < other->bits ? -1 : 1;
	return one->line < other->line ? -1 : one->line > other->line;
}

/* From here on, the innermost open prefix owns the addresses. */
static void cut(struct cutter *cutter, struct key first)
{
	struct ranges *ranges = &cutter->ranges;
	uint32_t owner = cutter->depth ? cutter->open[cutter->depth - 1] : NOBODY;

	if (ranges->count && !compare_keys(cutter->firsts[ranges->count - 1], first))
		ranges->count--; /* which would be empty */
	cutter->firsts[ranges->count] = first;
	ranges->owners[ranges->count++] = owner;
}

/* Closes the innermost; where the last address of all is its last, nothing follows. */
static void close_one(struct cutter *cutter)
{
	struct key last = last_key(&cutter->prefixes[cutter->open[--cutter->depth]]);

	if (++last.low || ++last.high)
		cut(cutter, last);
}

static void close_before(struct cutter *cutter, struct key first)
{
	while (cutter->depth && compare_keys(last_key(&cutter->prefixes[cutter->open[cutter->depth - 1]]), first) < 0)
		close_one(cutter);
}

static void open_one(struct cutter *cutter, uint32_t index)
{
	const struct prefix *prefix = &cutter->prefixes[index];
	struct key first = key_of(prefix);

	close_before(cutter, first);
	if (cutter->depth) {
		const struct prefix *outer = &cutter->prefixes[cutter->open[cutter->depth - 1]];

		if (outer->bits == prefix->bits)
			return; /* the same again */
	}
	cutter->open[cutter->depth++] = index;
	cut(cutter, first);
}

/* The ranges of the sorted prefixes from begin to end, which are of one family. */
static struct ranges cut_all(const struct prefix *prefixes, uint32_t begin, uint32_t end, struct key **firsts)
{
	size_t room = 2 * (size_t)(end - begin) + 1;
	struct cutter cutter = {.prefixes = prefixes};

	cutter.firsts = xcheck(calloc(room, sizeof(*cutter.firsts)));
	cutter.ranges.owners = xcheck(calloc(room, sizeof(*cutter.ranges.owners)));
	cut(&cutter, (struct key){0, 0});
	for (uint32_t i = begin; i < end; i++)
		open_one(&cutter, i);
	while (cutter.depth)
		close_one(&cutter);
	*firsts = cutter.firsts;
	return cutter.ranges;
}

/* They take a quarter of the room so, and more of them are in the processor's caches. */
static uint32_t *shorten(struct key *firsts, size_t count)
{
	uint32_t *v4 = xcheck(malloc(count * sizeof(*v4)));

	for (size_t i = 0; i < count; i++)
		v4[i] = (uint32_t)(firsts[i].high >> 32);
	free(firsts);
	return v4;
}

struct prefix_set *prefix_set_create(const struct prefix *prefixes, size_t count)
{
	struct prefix_set *set = xcheck(calloc(1, sizeof(*set)));
	struct key *firsts;
	uint32_t v4_count = 0;

	set->prefixes = xcheck(calloc(count + 1, sizeof(*prefixes)));
	for (size_t i = 0; i < count; i++) {
		set->prefixes[i] = prefixes[i];
		v4_count += prefixes[i].family == AF_INET;
	}
	qsort(set->prefixes, count, sizeof(*prefixes), compare_prefixes);
	set->v4 = cut_all(set->prefixes, 0, v4_count, &firsts);
	set->v4_firsts = shorten(firsts, set->v4.count);
	set->v6 = cut_all(set->prefixes, v4_count, (uint32_t)count, &set->v6_firsts);
	return set;
}

void prefix_set_destroy(struct prefix_set *set)
{
	if (!set)
		return;
	free(set->prefixes);
	free(set->v4.owners);
	free(set->v6.owners);
	free(set->v4_firsts);
	free(set->v6_firsts);
	free(set);
}

/* --- Looking up: the last range that does not begin behind the address --- */

static const struct prefix *owner(const struct prefix_set *set, const struct ranges *ranges, size_t range)
{
	return ranges->owners[range] == NOBODY ? NULL : &set->prefixes[ranges->owners[range]];
}

static const struct prefix *find_v4(const struct prefix_set *set, uint32_t ip)
{
	size_t range = 0;

	for (size_t left = set->v4.count; left > 1; left -= left / 2)
		range += set->v4_firsts[range + left / 2] <= ip ? left / 2 : 0;
	return owner(set, &set->v4, range);
}

static const struct prefix *find_v6(const struct prefix_set *set, struct key ip)
{
	size_t range = 0;

	for (size_t left = set->v6.count; left > 1; left -= left / 2)
		range += compare_keys(set->v6_firsts[range + left / 2], ip) <= 0 ? left / 2 : 0;
	return owner(set, &set->v6, range);
}

const struct prefix *prefix_set_find(const struct prefix_set *set, const struct address *address)
{
	if (!set)
		return NULL;
	if (address->any.sa_family == AF_INET)
		return find_v4(set, ntohl(address->v4.sin_addr.s_addr));
	if (address->any.sa_family != AF_INET6)
		return NULL;
	if (address_is_v4_mapped(address))
		return find_v4(set, ntohl(address_mapped_v4(&address->v6.sin6_addr).s_addr));
	return find_v6(set, key_of_v6(&address->v6.sin6_addr));
}

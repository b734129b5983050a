/* A prefix set is a sorted list of address ranges for each family. A range belongs to the longest prefix that contains
 * it, so a lookup is one binary search. prefix_set_create() copies the prefixes and owns all arrays of the set, which
 * never changes afterwards. */
#include "base/prefix_set.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

/* --- Addresses as numbers --- */

/* An IPv6 address as a number. An IPv4 address takes the highest 32 bits, so that the length of a prefix has the same
 * meaning for both families. */
struct ip_key {
	uint64_t high, low;
};

static struct ip_key key_of_v4(const struct in_addr *ip)
{
	return (struct ip_key){(uint64_t)ntohl(ip->s_addr) << 32, 0};
}

static struct ip_key key_of_v6(const struct in6_addr *ip)
{
	struct ip_key key;

	memcpy(&key, ip, sizeof(key));
	return (struct ip_key){be64toh(key.high), be64toh(key.low)};
}

static struct ip_key key_of(const struct prefix *prefix)
{
	return prefix->family == AF_INET ? key_of_v4(&prefix->v4) : key_of_v6(&prefix->v6);
}

static int compare_keys(struct ip_key a, struct ip_key b)
{
	if (a.high != b.high)
		return a.high < b.high ? -1 : 1;
	return a.low < b.low ? -1 : a.low > b.low;
}

/* Returns a mask of the host bits after a prefix of this length. */
static struct ip_key host_bits(unsigned bits)
{
	struct ip_key mask = {UINT64_MAX, UINT64_MAX};

	if (bits < 64)
		mask.high >>= bits;
	else
		mask = (struct ip_key){0, bits < 128 ? UINT64_MAX >> (bits - 64) : 0};
	return mask;
}

static struct ip_key last_key(const struct prefix *prefix)
{
	struct ip_key first = key_of(prefix), mask = host_bits(prefix->bits);

	return (struct ip_key){first.high | mask.high, first.low | mask.low};
}

/* --- Text --- */

/* Clears the host bits. Returns true if any of them was set. */
static bool clear_host_bits(struct prefix *prefix)
{
	struct ip_key key = key_of(prefix), mask = host_bits(prefix->bits);
	struct ip_key network = {key.high & ~mask.high, key.low & ~mask.low};

	if (prefix->family == AF_INET) {
		prefix->v4.s_addr = htonl((uint32_t)(network.high >> 32));
	} else {
		network = (struct ip_key){htobe64(network.high), htobe64(network.low)};
		memcpy(&prefix->v6, &network, sizeof(network));
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

/* Parses decimal digits without leading zeros. *bits is the maximum on entry and the number on return. */
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

static bool prefix_is_v4_mapped(const struct prefix *prefix)
{
	return prefix->family == AF_INET6 && prefix->bits >= 96 && IN6_IS_ADDR_V4MAPPED(&prefix->v6);
}

static struct prefix prefix_unmap(const struct prefix *prefix)
{
	return (struct prefix){
		.family = AF_INET, .bits = (uint8_t)(prefix->bits - 96), .v4 = address_mapped_v4(&prefix->v6)};
}

/* Writes a fault and, if correct is not NULL, the correct prefix. Returns false. */
static bool prefix_write_fault(char fault[PREFIX_FAULT_MAX], const char *problem, const struct prefix *correct)
{
	char text[PREFIX_TEXT_MAX];

	snprintf(fault, PREFIX_FAULT_MAX, correct ? "%s: write %s" : "%s", problem,
		 correct ? prefix_format(correct, text) : "");
	return false;
}

bool prefix_parse(struct prefix *prefix, const char *text, char fault[PREFIX_FAULT_MAX])
{
	size_t length = strcspn(text, "/"), ip_length = strcspn(text, "%/");
	struct prefix parsed, v4;

	if (!parse_ip(&parsed, text, ip_length))
		return prefix_write_fault(fault, "not a prefix: write one such as 192.0.2.0/24 or 2001:db8::/32", NULL);
	if (text[length] && !parse_bits(text + length + 1, &parsed.bits))
		return prefix_write_fault(fault,
					  parsed.family == AF_INET
						  ? "not a prefix length: write a number from 0 to 32 after the /"
						  : "not a prefix length: write a number from 0 to 128 after the /",
					  NULL);
	if (prefix_is_v4_mapped(&parsed)) {
		v4 = prefix_unmap(&parsed);
		clear_host_bits(&v4);
		return prefix_write_fault(fault, "this is an IPv4-mapped IPv6 prefix", &v4);
	}
	if (ip_length < length) {
		clear_host_bits(&parsed);
		return prefix_write_fault(fault, "a prefix has no interface", &parsed);
	}
	if (clear_host_bits(&parsed))
		return prefix_write_fault(fault, "some bits after the prefix length are set", &parsed);
	*prefix = parsed;
	return true;
}

/* --- Sets --- */

#define NO_PREFIX UINT32_MAX

/* The ranges of one family. Together they cover all its addresses: the first one starts at address 0, and each one ends
 * before the start of the next. */
struct ranges {
	uint32_t *entries; /* for each range the index of its longest prefix, or NO_PREFIX */
	size_t count;
};

struct prefix_set {
	struct prefix *prefixes;
	struct ranges v4, v6;
	uint32_t *v4_starts; /* the first address of each range */
	struct ip_key *v6_starts;
};

/* Builds the ranges of one family from its sorted prefixes. */
struct range_builder {
	const struct prefix *prefixes;
	struct ranges ranges;
	struct ip_key *starts;
	uint32_t stack[129]; /* prefixes that contain the current address: at most one per length, the longest last */
	size_t depth;
};

/* Sorts a prefix before the prefixes inside it, and equal prefixes by line. */
static int compare_prefixes(const void *a, const void *b)
{
	const struct prefix *left = a, *right = b;
	int order = compare_keys(key_of(left), key_of(right));

	if (left->family != right->family)
		return left->family < right->family ? -1 : 1;
	if (order)
		return order;
	if (left->bits != right->bits)
		return left->bits < right->bits ? -1 : 1;
	return left->line < right->line ? -1 : left->line > right->line;
}

/* Starts a range for the innermost prefix on the stack. */
static void emit_range(struct range_builder *builder, struct ip_key first)
{
	struct ranges *ranges = &builder->ranges;
	uint32_t entry = builder->depth ? builder->stack[builder->depth - 1] : NO_PREFIX;

	if (ranges->count && !compare_keys(builder->starts[ranges->count - 1], first))
		ranges->count--; /* the range before would be empty */
	builder->starts[ranges->count] = first;
	ranges->entries[ranges->count++] = entry;
}

/* Removes the innermost prefix and starts a range after it, unless it ends at the highest address. */
static void pop_prefix(struct range_builder *builder)
{
	struct ip_key last = last_key(&builder->prefixes[builder->stack[--builder->depth]]);

	if (++last.low || ++last.high)
		emit_range(builder, last);
}

/* Removes the prefixes that end before an address. */
static void pop_prefixes_before(struct range_builder *builder, struct ip_key first)
{
	while (builder->depth &&
	       compare_keys(last_key(&builder->prefixes[builder->stack[builder->depth - 1]]), first) < 0)
		pop_prefix(builder);
}

static void push_prefix(struct range_builder *builder, uint32_t index)
{
	const struct prefix *prefix = &builder->prefixes[index];
	struct ip_key first = key_of(prefix);

	pop_prefixes_before(builder, first);
	if (builder->depth) {
		const struct prefix *outer = &builder->prefixes[builder->stack[builder->depth - 1]];

		if (outer->bits == prefix->bits)
			return; /* equal, from a later line */
	}
	builder->stack[builder->depth++] = index;
	emit_range(builder, first);
}

/* Returns the ranges of the sorted prefixes from begin up to end, all of one family. *starts is allocated. */
static struct ranges build_ranges(const struct prefix *prefixes, uint32_t begin, uint32_t end, struct ip_key **starts)
{
	size_t most = 2 * (size_t)(end - begin) + 1; /* each prefix adds at most two ranges */
	struct range_builder builder = {.prefixes = prefixes};

	builder.starts = xcalloc(most, sizeof(*builder.starts));
	builder.ranges.entries = xcalloc(most, sizeof(*builder.ranges.entries));
	emit_range(&builder, (struct ip_key){0, 0});
	for (uint32_t i = begin; i < end; i++)
		push_prefix(&builder, i);
	while (builder.depth)
		pop_prefix(&builder);
	*starts = builder.starts;
	return builder.ranges;
}

/* Frees starts and returns them as IPv4 addresses. These take a quarter of the memory, so more of them fit into the CPU
 * cache. */
static uint32_t *pack_v4_starts(struct ip_key *starts, size_t count)
{
	uint32_t *v4 = xcheck(malloc(count * sizeof(*v4)));

	for (size_t i = 0; i < count; i++)
		v4[i] = (uint32_t)(starts[i].high >> 32);
	free(starts);
	return v4;
}

struct prefix_set *prefix_set_create(const struct prefix *prefixes, size_t count)
{
	struct prefix_set *set = xcalloc(1, sizeof(*set));
	struct ip_key *starts;
	uint32_t v4_count = 0;

	set->prefixes = xcalloc(count + 1, sizeof(*prefixes));
	for (size_t i = 0; i < count; i++) {
		set->prefixes[i] = prefixes[i];
		v4_count += prefixes[i].family == AF_INET;
	}
	qsort(set->prefixes, count, sizeof(*prefixes), compare_prefixes);
	set->v4 = build_ranges(set->prefixes, 0, v4_count, &starts);
	set->v4_starts = pack_v4_starts(starts, set->v4.count);
	set->v6 = build_ranges(set->prefixes, v4_count, (uint32_t)count, &set->v6_starts);
	return set;
}

void prefix_set_destroy(struct prefix_set *set)
{
	if (!set)
		return;
	free(set->prefixes);
	free(set->v4.entries);
	free(set->v6.entries);
	free(set->v4_starts);
	free(set->v6_starts);
	free(set);
}

/* --- Lookup: the last range that starts at or before the address --- */

static const struct prefix *range_prefix(const struct prefix_set *set, const struct ranges *ranges, size_t range)
{
	return ranges->entries[range] == NO_PREFIX ? NULL : &set->prefixes[ranges->entries[range]];
}

static const struct prefix *find_v4(const struct prefix_set *set, uint32_t ip)
{
	size_t range = 0;

	for (size_t left = set->v4.count; left > 1; left -= left / 2)
		range += set->v4_starts[range + left / 2] <= ip ? left / 2 : 0;
	return range_prefix(set, &set->v4, range);
}

static const struct prefix *find_v6(const struct prefix_set *set, struct ip_key ip)
{
	size_t range = 0;

	for (size_t left = set->v6.count; left > 1; left -= left / 2)
		range += compare_keys(set->v6_starts[range + left / 2], ip) <= 0 ? left / 2 : 0;
	return range_prefix(set, &set->v6, range);
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

/* Parses lines of text as prefixes. A formatted prefix must parse to the same prefix, and a lookup in a set must agree
 * with a search through all prefixes. The first bytes are addresses to look up. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/prefix_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PREFIXES 64
#define LOOKUPS 4

static void check(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static bool parse(struct prefix *prefix, const char *text)
{
	char fault[PREFIX_FAULT_MAX] = "", again[PREFIX_TEXT_MAX];
	struct prefix same;

	if (!prefix_parse(prefix, text, fault)) {
		check(*fault && strlen(fault) < sizeof(fault));
		return false;
	}
	check(prefix->bits <= (prefix->family == AF_INET ? 32 : 128) && !prefix->line);
	check(prefix_parse(&same, prefix_format(prefix, again), fault));
	check(same.family == prefix->family && same.bits == prefix->bits);
	check(!memcmp(&same.v6, &prefix->v6, prefix->family == AF_INET ? 4 : 16));
	return true;
}

static bool covers(const struct prefix *prefix, const uint8_t *ip)
{
	const uint8_t *own = (const uint8_t *)&prefix->v6;

	for (unsigned bit = 0; bit < prefix->bits; bit++) {
		if ((own[bit / 8] ^ ip[bit / 8]) & 0x80 >> bit % 8)
			return false;
	}
	return true;
}

static const struct prefix *search(const struct prefix *prefixes, size_t count, sa_family_t family, const uint8_t *ip)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < count; i++) {
		if (prefixes[i].family == family && covers(&prefixes[i], ip) &&
		    (!best || prefixes[i].bits > best->bits))
			best = &prefixes[i];
	}
	return best;
}

static void look_up(const struct prefix_set *set, const struct prefix *prefixes, size_t count, const uint8_t *bytes)
{
	sa_family_t family = bytes[0] % 2 ? AF_INET : AF_INET6;
	const uint8_t *ip = bytes + 1;
	struct address address = {.length = family == AF_INET ? sizeof(address.v4) : sizeof(address.v6)};
	const struct prefix *found, *expected;

	address.any.sa_family = family;
	if (family == AF_INET)
		memcpy(&address.v4.sin_addr, ip, 4);
	else
		memcpy(&address.v6.sin6_addr, ip, 16);
	if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address.v6.sin6_addr))
		expected = search(prefixes, count, AF_INET, ip + 12);
	else
		expected = search(prefixes, count, family, ip);
	found = prefix_set_find(set, &address);
	check(!found == !expected && (!found || (found->bits == expected->bits && found->line == expected->line)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct prefix prefixes[PREFIXES];
	struct prefix_set *set;
	size_t count = 0, head = LOOKUPS * 17;
	char *text, *rest, *line;

	if (size < head)
		return 0;
	text = rest = strndup((const char *)data + head, size - head);
	check(text);
	for (unsigned number = 1; (line = strsep(&rest, "\n")) && count < PREFIXES; number++) {
		if (parse(&prefixes[count], line))
			prefixes[count++].line = number;
	}
	set = prefix_set_create(prefixes, count);
	for (unsigned i = 0; i < LOOKUPS; i++)
		look_up(set, prefixes, count, data + (size_t)i * 17);
	prefix_set_destroy(set);
	free(text);
	return 0;
}

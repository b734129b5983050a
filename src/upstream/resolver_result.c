#include "upstream/resolver_result.h"

#include <string.h>

/* Name servers that block a name answer so; the kernel would send it to ourselves. */
static bool is_nowhere(const struct address *address)
{
	return address_is_wildcard(address) || address_is_v4_mapped(address);
}

static bool from_addrinfo(struct address *address, const struct addrinfo *info, uint16_t port)
{
	if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
		return false;
	memset(address, 0, sizeof(*address));
	memcpy(&address->any, info->ai_addr, info->ai_addrlen);
	address->length = info->ai_addrlen;
	address_set_port(address, port);
	return !is_nowhere(address);
}

static bool answer_has(const struct resolver_result *answer, const struct address *address)
{
	for (size_t i = 0; i < answer->count; i++) {
		if (address_equal(&answer->addresses[i], address))
			return true;
	}
	return false;
}

static void answer_add(struct resolver_result *answer, const struct address *address)
{
	if (answer_has(answer, address))
		return;
	if (answer->count == RESOLVER_ADDRESSES_MAX)
		answer->more = true;
	else
		answer->addresses[answer->count++] = *address;
}

static bool list_has(const struct addrinfo *list, const struct address *address)
{
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		struct address other;

		if (from_addrinfo(&other, i, address_port(address)) && address_equal(&other, address))
			return true;
	}
	return false;
}

void resolver_result_read(struct resolver_result *answer, const struct resolver_result *now,
			  const struct addrinfo *list, uint16_t port)
{
	answer->count = 0;
	answer->more = false;
	for (size_t i = 0; i < now->count; i++) {
		if (list_has(list, &now->addresses[i]))
			answer_add(answer, &now->addresses[i]);
	}
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		struct address address;

		if (from_addrinfo(&address, i, port))
			answer_add(answer, &address);
	}
}

bool resolver_results_equal(const struct resolver_result *a, const struct resolver_result *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (!address_equal(&a->addresses[i], &b->addresses[i]))
			return false;
	}
	return true;
}

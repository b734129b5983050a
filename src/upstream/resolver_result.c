#include "upstream/resolver_result.h"

#include <string.h>

/* Name servers that block a name reply with a wildcard address. The kernel would send datagrams for it to this host. */
static bool resolver_result_is_unusable(const struct address *address)
{
	return address_is_wildcard(address) || address_is_v4_mapped(address);
}

/* Returns false if the address cannot be used. */
static bool resolver_result_convert(struct address *address, const struct addrinfo *info, uint16_t port)
{
	if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
		return false;
	memset(address, 0, sizeof(*address));
	memcpy(&address->any, info->ai_addr, info->ai_addrlen);
	address->length = info->ai_addrlen;
	address_set_port(address, port);
	return !resolver_result_is_unusable(address);
}

static bool resolver_result_has(const struct resolver_result *result, const struct address *address)
{
	for (size_t i = 0; i < result->count; i++) {
		if (address_equal(&result->addresses[i], address))
			return true;
	}
	return false;
}

static void resolver_result_add(struct resolver_result *result, const struct address *address)
{
	if (resolver_result_has(result, address))
		return;
	if (result->count == RESOLVER_ADDRESSES_MAX)
		result->more = true;
	else
		result->addresses[result->count++] = *address;
}

static bool resolver_result_list_has(const struct addrinfo *list, const struct address *address)
{
	for (const struct addrinfo *info = list; info; info = info->ai_next) {
		struct address other;

		if (resolver_result_convert(&other, info, address_port(address)) && address_equal(&other, address))
			return true;
	}
	return false;
}

void resolver_result_read(struct resolver_result *result, const struct resolver_result *previous,
			  const struct addrinfo *list, uint16_t port)
{
	result->count = 0;
	result->more = false;
	for (size_t i = 0; i < previous->count; i++) {
		if (resolver_result_list_has(list, &previous->addresses[i]))
			resolver_result_add(result, &previous->addresses[i]);
	}
	for (const struct addrinfo *info = list; info; info = info->ai_next) {
		struct address address;

		if (resolver_result_convert(&address, info, port))
			resolver_result_add(result, &address);
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

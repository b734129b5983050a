#include "upstream/resolver_result.h"

#include <string.h>

/* Returns false if the address has another family. */
static bool resolver_result_convert(struct address *address, const struct addrinfo *info, uint16_t port)
{
	if (info->ai_family != AF_INET && info->ai_family != AF_INET6)
		return false;
	memset(address, 0, sizeof(*address));
	memcpy(&address->any, info->ai_addr, info->ai_addrlen);
	address->length = info->ai_addrlen;
	address_set_port(address, port);
	return true;
}

static bool resolver_result_has(const struct resolver_result *result, const struct address *address)
{
	for (size_t i = 0; i < result->count; i++) {
		if (address_equal(&result->addresses[i], address))
			return true;
	}
	return false;
}

static void resolver_result_add(struct resolver_result *result, const struct address *address,
				const struct ifaddrs *interfaces)
{
	enum destination kind = destination_classify(address, interfaces);

	if (kind != DESTINATION_HOST) {
		if (result->refused_kind == DESTINATION_HOST)
			result->refused = *address;
		result->refused_kind = result->refused_kind ? result->refused_kind : kind;
		return;
	}
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

/* If the addresses of the interfaces cannot be read, the kernel still refuses to send to their broadcast addresses. */
void resolver_result_read(struct resolver_result *result, const struct resolver_result *previous,
			  const struct addrinfo *list, uint16_t port)
{
	struct ifaddrs *interfaces;

	if (getifaddrs(&interfaces))
		interfaces = NULL;
	*result = (struct resolver_result){0};
	for (size_t i = 0; i < previous->count; i++) {
		if (resolver_result_list_has(list, &previous->addresses[i]))
			resolver_result_add(result, &previous->addresses[i], interfaces);
	}
	for (const struct addrinfo *info = list; info; info = info->ai_next) {
		struct address address;

		if (resolver_result_convert(&address, info, port))
			resolver_result_add(result, &address, interfaces);
	}
	if (interfaces)
		freeifaddrs(interfaces);
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

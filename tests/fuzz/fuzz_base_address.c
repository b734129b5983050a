/* Parses text as an address, and uses bytes as an address from the kernel. The formatted address must parse to the same
 * address. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void check_format(const struct address *address, bool readable)
{
	char text[ADDRESS_TEXT_MAX];
	struct address again;

	address_format(address, text);
	check(strlen(text) < sizeof(text));
	for (const char *c = text; *c; c++)
		check(*c > ' ' && *c < 0x7f);
	if (!readable || strchr(text, '\\'))
		return;
	check(address_parse(&again, text) == 0);
	check(address_equal(&again, address) && address_hash(&again) == address_hash(address));
}

static void check_text(const char *text)
{
	char host[ADDRESS_HOST_MAX];
	struct address address;
	uint16_t port;

	if (address_parse(&address, text) == 0) {
		check(address.length <= sizeof(struct sockaddr_un));
		check_format(&address, true);
		address_set_port(&address, 0);
		check_format(&address, true);
	}
	if (address_split(text, host, &port) == 0)
		check(strlen(host) < sizeof(host));
	if (address_from_ip(&address, text, 7788) == 0) {
		check(address_port(&address) == 7788);
		check_format(&address, true);
	}
}

/* The first byte chooses a family, the rest is the socket address. */
static void check_bytes(const uint8_t *data, size_t size)
{
	static const sa_family_t families[] = {AF_UNSPEC, AF_INET, AF_INET6, AF_UNIX};
	static const socklen_t lengths[] = {0, sizeof(struct sockaddr_in), sizeof(struct sockaddr_in6), 0};
	struct address address = {0};
	unsigned choice = data[0] % 4;
	size_t room = sizeof(address.local) - sizeof(sa_family_t), length = size - 1 < room ? size - 1 : room;

	memcpy((char *)&address.local + sizeof(sa_family_t), data + 1, length);
	address.any.sa_family = families[choice];
	address.length = lengths[choice] ? lengths[choice] : (socklen_t)(sizeof(sa_family_t) + size - 1);
	check_format(&address, false);
	check(address_equal(&address, &address));
	address_is_wildcard(&address);
	address_is_multicast(&address);
	address_lacks_zone(&address);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = strndup((const char *)data, size);

	check(text);
	check_text(text);
	if (size && size <= 1 + sizeof(struct sockaddr_un))
		check_bytes(data, size);
	free(text);
	return 0;
}

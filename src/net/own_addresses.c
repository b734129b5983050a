#include "net/own_addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/port_set.h"

/* One address of a local interface. Workers read the array while the main loop appends entries and updates `present`.
 * The address of an entry never changes, and no entry is removed. */
struct interface_address {
	struct address address; /* port 0 */
	atomic_bool present;
	bool seen; /* in the current refresh; main loop only */
};

struct own_addresses {
	struct port_set ports; /* ports of `bound`, to reject other sources quickly */
	struct address *bound;
	size_t bound_count;
	bool wildcard; /* one of `bound` is a wildcard */
	struct interface_address *local;
	size_t local_capacity;
	atomic_size_t local_count;
	bool full; /* an address was ignored because the capacity is exhausted */
	atomic_uint version; /* number of refreshes */
};

static const struct sockaddr_in *sockaddr_as_v4(const struct sockaddr *any)
{
	return (const struct sockaddr_in *)(const void *)any;
}

static const struct sockaddr_in6 *sockaddr_as_v6(const struct sockaddr *any)
{
	return (const struct sockaddr_in6 *)(const void *)any;
}

/* Returns false if the family is neither IPv4 nor IPv6. */
static bool host_from_sockaddr(struct address *address, const struct sockaddr *any)
{
	if (any && any->sa_family == AF_INET)
		*address = (struct address){.length = sizeof(address->v4), .v4 = *sockaddr_as_v4(any)};
	else if (any && any->sa_family == AF_INET6)
		*address = (struct address){.length = sizeof(address->v6), .v6 = *sockaddr_as_v6(any)};
	else
		return false;
	address_set_port(address, 0);
	return true;
}

static struct interface_address *find_interface_address(const struct own_addresses *own, const struct address *address)
{
	size_t count = atomic_load_explicit(&own->local_count, memory_order_acquire);

	for (size_t i = 0; i < count; i++) {
		if (address_equal(&own->local[i].address, address))
			return &own->local[i];
	}
	return NULL;
}

static void add_interface_address(struct own_addresses *own, const struct sockaddr *any)
{
	size_t count = atomic_load_explicit(&own->local_count, memory_order_relaxed);
	struct address address;
	struct interface_address *local;

	if (!host_from_sockaddr(&address, any))
		return;
	local = find_interface_address(own, &address);
	if (!local && count == own->local_capacity) {
		own->full = true;
		return;
	}
	if (!local) {
		local = &own->local[count];
		local->address = address;
		atomic_store_explicit(&own->local_count, count + 1, memory_order_release);
	}
	local->seen = true;
	atomic_store_explicit(&local->present, true, memory_order_relaxed);
}

/* Adds the last address of an IPv4 network. The kernel treats it as the broadcast address even if the interface has no
 * broadcast address configured. Networks with a prefix of 31 or 32 bits have none. */
static void add_directed_broadcast(struct own_addresses *own, const struct ifaddrs *interface)
{
	struct sockaddr_in broadcast = *sockaddr_as_v4(interface->ifa_addr);
	in_addr_t host_bits = ~sockaddr_as_v4(interface->ifa_netmask)->sin_addr.s_addr;

	broadcast.sin_addr.s_addr |= host_bits;
	if (ntohl(host_bits) > 1)
		add_interface_address(own, (const struct sockaddr *)&broadcast);
}

/* Includes the broadcast addresses: the kernel delivers a copy of each broadcast to this host, too. */
static void add_interface(struct own_addresses *own, const struct ifaddrs *interface)
{
	add_interface_address(own, interface->ifa_addr);
	if (interface->ifa_flags & IFF_BROADCAST)
		add_interface_address(own, interface->ifa_broadaddr);
	if (interface->ifa_addr && interface->ifa_addr->sa_family == AF_INET && interface->ifa_netmask)
		add_directed_broadcast(own, interface);
}

static int create_interface_addresses(struct own_addresses *own)
{
	struct ifaddrs *first;
	size_t count = OWN_ADDRESSES_LATER;

	if (getifaddrs(&first))
		return errno == EAFNOSUPPORT ? 0 : -errno; /* AF_NETLINK is not allowed */
	for (struct ifaddrs *i = first; i; i = i->ifa_next)
		count += 3; /* the most that add_interface() adds */
	own->local = calloc(count, sizeof(*own->local));
	own->local_capacity = own->local ? count : 0;
	for (struct ifaddrs *i = first; own->local && i; i = i->ifa_next)
		add_interface(own, i);
	freeifaddrs(first);
	return own->local ? 0 : -ENOMEM;
}

bool own_addresses_refresh(struct own_addresses *own)
{
	struct ifaddrs *first;

	if (!own->wildcard || !own->local || getifaddrs(&first))
		return true;
	for (size_t i = 0; i < own->local_count; i++)
		own->local[i].seen = false;
	for (struct ifaddrs *i = first; i; i = i->ifa_next)
		add_interface(own, i);
	freeifaddrs(first);
	for (size_t i = 0; i < own->local_count; i++) {
		if (!own->local[i].seen)
			atomic_store_explicit(&own->local[i].present, false, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&own->version, 1, memory_order_release);
	return !own->full;
}

unsigned own_addresses_version(const struct own_addresses *own)
{
	return atomic_load_explicit(&own->version, memory_order_acquire);
}

int own_addresses_create(struct own_addresses **out, const struct address *bound, size_t count)
{
	struct own_addresses *own = calloc(1, sizeof(*own));
	int error;

	if (!own)
		return -ENOMEM;
	own->bound = calloc(count + 1, sizeof(*bound));
	error = own->bound ? create_interface_addresses(own) : -ENOMEM;
	if (error) {
		own_addresses_destroy(own);
		return error;
	}
	for (size_t i = 0; i < count; i++) {
		own->bound[own->bound_count++] = bound[i];
		own->wildcard |= address_is_wildcard(&bound[i]);
		port_set_add(&own->ports, address_port(&bound[i]));
	}
	*out = own;
	return 0;
}

void own_addresses_destroy(struct own_addresses *own)
{
	if (!own)
		return;
	free(own->bound);
	free(own->local);
	free(own);
}

/* 127.0.0.0/8 and the limited broadcast address 255.255.255.255. */
static bool is_loopback_or_broadcast(const struct address *source)
{
	in_addr_t ip = ntohl(source->v4.sin_addr.s_addr);

	return source->any.sa_family == AF_INET && (ip >> 24 == IN_LOOPBACKNET || ip == INADDR_BROADCAST);
}

static bool is_interface_address(const struct own_addresses *own, const struct address *source)
{
	struct address host = *source;
	const struct interface_address *local;

	if (is_loopback_or_broadcast(source))
		return true;
	address_set_port(&host, 0);
	local = find_interface_address(own, &host);
	return local && atomic_load_explicit(&local->present, memory_order_relaxed);
}

bool own_addresses_has(const struct own_addresses *own, const struct address *source)
{
	if (!port_set_has(&own->ports, address_port(source)))
		return false;
	for (size_t i = 0; i < own->bound_count; i++) {
		const struct address *bound = &own->bound[i];

		if (address_equal(bound, source))
			return true;
		if (bound->any.sa_family == source->any.sa_family && address_is_wildcard(bound) &&
		    address_port(bound) == address_port(source) && is_interface_address(own, source))
			return true;
	}
	return false;
}

/* Follows symbolic links. */
static bool is_same_socket_file(const struct address *a, const struct address *b)
{
	struct stat one, other;

	return !stat(a->local.sun_path, &one) && !stat(b->local.sun_path, &other) && one.st_dev == other.st_dev &&
	       one.st_ino == other.st_ino;
}

bool own_addresses_reaches_us(const struct own_addresses *own, const struct address *to)
{
	if (to->any.sa_family != AF_UNIX)
		return own_addresses_has(own, to);
	for (size_t i = 0; i < own->bound_count; i++) {
		if (own->bound[i].any.sa_family == AF_UNIX && is_same_socket_file(&own->bound[i], to))
			return true;
	}
	return false;
}

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

/* Workers read it while the main loop adds others and says which are here: an address never changes, nor goes. */
struct local {
	struct address address; /* port 0 */
	atomic_bool here;
	bool seen; /* the main loop's own */
};

struct own_addresses {
	struct port_set ports; /* of bound: a source with another port is none of ours */
	struct address *bound;
	size_t bound_count;
	bool wildcard; /* among them */
	struct local *local; /* of the interfaces */
	size_t local_room;
	atomic_size_t local_count;
	bool full;
	atomic_uint version; /* of which are here */
};

static const struct sockaddr_in *as_v4(const struct sockaddr *any)
{
	return (const struct sockaddr_in *)(const void *)any;
}

static const struct sockaddr_in6 *as_v6(const struct sockaddr *any)
{
	return (const struct sockaddr_in6 *)(const void *)any;
}

static bool from_sockaddr(struct address *address, const struct sockaddr *any)
{
	if (any && any->sa_family == AF_INET)
		*address = (struct address){.length = sizeof(address->v4), .v4 = *as_v4(any)};
	else if (any && any->sa_family == AF_INET6)
		*address = (struct address){.length = sizeof(address->v6), .v6 = *as_v6(any)};
	else
		return false;
	address_set_port(address, 0);
	return true;
}

static struct local *local_find(const struct own_addresses *own, const struct address *address)
{
	size_t count = atomic_load_explicit(&own->local_count, memory_order_acquire);

	for (size_t i = 0; i < count; i++) {
		if (address_equal(&own->local[i].address, address))
			return &own->local[i];
	}
	return NULL;
}

static void local_add(struct own_addresses *own, const struct sockaddr *any)
{
	size_t count = atomic_load_explicit(&own->local_count, memory_order_relaxed);
	struct address address;
	struct local *local;

	if (!from_sockaddr(&address, any))
		return;
	local = local_find(own, &address);
	if (!local && count == own->local_room) {
		own->full = true;
		return;
	}
	if (!local) {
		local = &own->local[count];
		local->address = address;
		atomic_store_explicit(&own->local_count, count + 1, memory_order_release);
	}
	local->seen = true;
	atomic_store_explicit(&local->here, true, memory_order_relaxed);
}

/* The last address of a network, which the kernel takes for everybody in it, whether or not the interface has it for
 * that. Networks of one or two addresses have none. */
static void local_add_last(struct own_addresses *own, const struct ifaddrs *interface)
{
	struct sockaddr_in last = *as_v4(interface->ifa_addr);
	in_addr_t hosts = ~as_v4(interface->ifa_netmask)->sin_addr.s_addr;

	last.sin_addr.s_addr |= hosts;
	if (ntohl(hosts) > 1)
		local_add(own, (const struct sockaddr *)&last);
}

/* What is sent to everybody in a network of ours comes to ourselves too. */
static void local_add_interface(struct own_addresses *own, const struct ifaddrs *interface)
{
	local_add(own, interface->ifa_addr);
	if (interface->ifa_flags & IFF_BROADCAST)
		local_add(own, interface->ifa_broadaddr);
	if (interface->ifa_addr && interface->ifa_addr->sa_family == AF_INET && interface->ifa_netmask)
		local_add_last(own, interface);
}

static int local_read(struct own_addresses *own)
{
	struct ifaddrs *first;
	size_t count = OWN_ADDRESSES_LATER;

	if (getifaddrs(&first))
		return errno == EAFNOSUPPORT ? 0 : -errno; /* no socket may be made that would tell */
	for (struct ifaddrs *i = first; i; i = i->ifa_next)
		count += 3;
	own->local = calloc(count, sizeof(*own->local));
	own->local_room = own->local ? count : 0;
	for (struct ifaddrs *i = first; own->local && i; i = i->ifa_next)
		local_add_interface(own, i);
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
		local_add_interface(own, i);
	freeifaddrs(first);
	for (size_t i = 0; i < own->local_count; i++) {
		if (!own->local[i].seen)
			atomic_store_explicit(&own->local[i].here, false, memory_order_relaxed);
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
	error = own->bound ? local_read(own) : -ENOMEM;
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

/* All of 127/8, and everybody. */
static bool is_always_local(const struct address *source)
{
	in_addr_t ip = ntohl(source->v4.sin_addr.s_addr);

	return source->any.sa_family == AF_INET && (ip >> 24 == IN_LOOPBACKNET || ip == INADDR_BROADCAST);
}

static bool is_local(const struct own_addresses *own, const struct address *source)
{
	struct address host = *source;
	const struct local *local;

	if (is_always_local(source))
		return true;
	address_set_port(&host, 0);
	local = local_find(own, &host);
	return local && atomic_load_explicit(&local->here, memory_order_relaxed);
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
		    address_port(bound) == address_port(source) && is_local(own, source))
			return true;
	}
	return false;
}

static bool is_same_file(const struct address *a, const struct address *b)
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
		if (own->bound[i].any.sa_family == AF_UNIX && is_same_file(&own->bound[i], to))
			return true;
	}
	return false;
}

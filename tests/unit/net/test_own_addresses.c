/* Own addresses, with one simulated interface. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/own_addresses.h"

int __real_getifaddrs(struct ifaddrs **list);
int __wrap_getifaddrs(struct ifaddrs **list);
void __real_freeifaddrs(struct ifaddrs *list);
void __wrap_freeifaddrs(struct ifaddrs *list);

/* The simulated interface, used if `active`. */
static struct {
	bool active, fails;
	struct sockaddr_in ip, mask;
	struct ifaddrs interface;
} simulated;

int __wrap_getifaddrs(struct ifaddrs **list)
{
	if (!simulated.active)
		return __real_getifaddrs(list);
	errno = ENOBUFS;
	*list = &simulated.interface;
	return simulated.fails ? -1 : 0;
}

void __wrap_freeifaddrs(struct ifaddrs *list)
{
	if (!simulated.active)
		__real_freeifaddrs(list);
}

/* Simulates an interface. ip is in host byte order. */
static void simulate(uint32_t ip, unsigned bits)
{
	simulated.active = true;
	simulated.ip = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
	simulated.mask =
		(struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(UINT32_MAX << (32 - bits))};
	simulated.interface = (struct ifaddrs){.ifa_flags = IFF_UP,
					       .ifa_addr = (struct sockaddr *)&simulated.ip,
					       .ifa_netmask = (struct sockaddr *)&simulated.mask};
}

struct fixture {
	struct own_addresses *own;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct address bound[3];

	memset(&fixture, 0, sizeof(fixture));
	address_from_ip(&bound[0], "0.0.0.0", 7788);
	address_from_ip(&bound[1], "192.0.2.1", 9000);
	address_from_ip(&bound[2], "::", 7788);
	*state = &fixture;
	return own_addresses_create(&fixture.own, bound, 3);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	own_addresses_destroy(f->own);
	memset(&simulated, 0, sizeof(simulated));
	return 0;
}

/* --- Interfaces --- */

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static bool is_own(const struct fixture *f, const char *text)
{
	struct address address;

	assert_int_equal(address_parse(&address, text), 0);
	return own_addresses_has(f->own, &address);
}

static void test_broadcast_addresses_are_own(void **state)
{
	struct fixture *f = *state;

	simulate(IP(198, 51, 100, 9), 24);
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.255:7788"));
	assert_false(is_own(f, "198.51.100.254:7788"));
	assert_true(is_own(f, "255.255.255.255:7788"));
	assert_false(is_own(f, "255.255.255.255:7789"));
	simulate(IP(198, 51, 100, 8), 31);
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.8:7788"));
	assert_false(is_own(f, "198.51.100.9:7788"));
	assert_false(is_own(f, "198.51.100.255:7788"));
}

static void test_refresh_follows_the_interfaces(void **state)
{
	struct fixture *f = *state;
	unsigned version = own_addresses_version(f->own);

	for (int i = 0; i < 3; i++) {
		assert_false(is_own(f, "198.51.100.9:7788"));
		simulate(IP(198, 51, 100, 9), 32);
		assert_true(own_addresses_refresh(f->own));
		assert_true(is_own(f, "198.51.100.9:7788"));
		assert_false(is_own(f, "198.51.100.9:9000"));
		simulate(IP(198, 51, 100, 10), 32);
		assert_true(own_addresses_refresh(f->own));
		assert_int_equal(own_addresses_version(f->own), version += 2);
	}
}

static void test_a_failed_refresh_keeps_the_addresses(void **state)
{
	struct fixture *f = *state;

	simulate(IP(198, 51, 100, 9), 32);
	assert_true(own_addresses_refresh(f->own));
	simulate(IP(198, 51, 100, 10), 32);
	simulated.fails = true;
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.9:7788"));
}

/* An address that returns needs no further entry. Beyond the capacity, refresh returns false. */
static void test_capacity_is_limited(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		simulate(IP(198, 51, 100, 9) + i % 2, 32);
		assert_true(own_addresses_refresh(f->own));
	}
	for (i = 2; i < OWN_ADDRESSES_LATER; i++) {
		simulate(IP(198, 51, 100, 9) + i, 32);
		assert_true(own_addresses_refresh(f->own));
	}
	assert_true(is_own(f, "198.51.101.8:7788"));
	for (; i < 1000 && own_addresses_refresh(f->own); i++)
		simulate(IP(198, 51, 100, 9) + i, 32);
	assert_in_range(i, OWN_ADDRESSES_LATER + 1, 999);
}

/* --- Listeners --- */

static void test_bound_addresses_are_own(void **state)
{
	struct fixture *f = *state;

	assert_true(is_own(f, "192.0.2.1:9000"));
	assert_false(is_own(f, "192.0.2.1:9001"));
	assert_true(is_own(f, "127.0.0.1:7788"));
	assert_true(is_own(f, "[::1]:7788"));
	assert_false(is_own(f, "[2001:db8::1]:7788"));
}

static void test_a_unix_path_is_own_under_any_name(void **state)
{
	struct address bound, peer;
	struct own_addresses *own;
	char directory[] = "/tmp/own_addresses.XXXXXX", text[64], other[64];
	FILE *file;

	(void)state;
	assert_non_null(mkdtemp(directory));
	snprintf(text, sizeof(text), "unix:%s/a", directory);
	assert_non_null(file = fopen(text + 5, "w"));
	fclose(file);
	snprintf(other, sizeof(other), "unix:%s/b", directory);
	assert_int_equal(symlink(text + 5, other + 5), 0);
	assert_int_equal(address_parse(&bound, text), 0);
	assert_int_equal(address_parse(&peer, other), 0);
	assert_int_equal(own_addresses_create(&own, &bound, 1), 0);
	assert_true(own_addresses_reaches_us(own, &peer));
	assert_false(own_addresses_has(own, &peer));
	unlink(other + 5);
	assert_false(own_addresses_reaches_us(own, &peer));
	own_addresses_destroy(own);
	unlink(text + 5);
	rmdir(directory);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_bound_addresses_are_own),
		test(test_a_unix_path_is_own_under_any_name),
		test(test_broadcast_addresses_are_own),
		test(test_refresh_follows_the_interfaces),
		test(test_a_failed_refresh_keeps_the_addresses),
		test(test_capacity_is_limited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

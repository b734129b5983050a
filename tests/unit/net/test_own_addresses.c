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

/* The only interface, where a test plays one. */
static struct {
	bool plays, fails;
	struct sockaddr_in ip, mask;
	struct ifaddrs interface;
} played;

int __wrap_getifaddrs(struct ifaddrs **list)
{
	if (!played.plays)
		return __real_getifaddrs(list);
	errno = ENOBUFS;
	*list = &played.interface;
	return played.fails ? -1 : 0;
}

void __wrap_freeifaddrs(struct ifaddrs *list)
{
	if (!played.plays)
		__real_freeifaddrs(list);
}

/* ip: as a number of the host. */
static void play(uint32_t ip, unsigned bits)
{
	played.plays = true;
	played.ip = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(ip)};
	played.mask = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(UINT32_MAX << (32 - bits))};
	played.interface = (struct ifaddrs){.ifa_flags = IFF_UP,
					    .ifa_addr = (struct sockaddr *)&played.ip,
					    .ifa_netmask = (struct sockaddr *)&played.mask};
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
	memset(&played, 0, sizeof(played));
	return 0;
}

/* --- Interfaces that change --- */

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static bool is_own(const struct fixture *f, const char *text)
{
	struct address address;

	assert_int_equal(address_parse(&address, text), 0);
	return own_addresses_has(f->own, &address);
}

static void everybody_in_a_network_is_ourselves_too(void **state)
{
	struct fixture *f = *state;

	play(IP(198, 51, 100, 9), 24);
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.255:7788"));
	assert_false(is_own(f, "198.51.100.254:7788"));
	assert_true(is_own(f, "255.255.255.255:7788"));
	assert_false(is_own(f, "255.255.255.255:7789"));
	play(IP(198, 51, 100, 8), 31);
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.8:7788"));
	assert_false(is_own(f, "198.51.100.9:7788"));
	assert_false(is_own(f, "198.51.100.255:7788"));
}

static void an_address_comes_and_goes(void **state)
{
	struct fixture *f = *state;
	unsigned version = own_addresses_version(f->own);

	for (int i = 0; i < 3; i++) {
		assert_false(is_own(f, "198.51.100.9:7788"));
		play(IP(198, 51, 100, 9), 32);
		assert_true(own_addresses_refresh(f->own));
		assert_true(is_own(f, "198.51.100.9:7788"));
		assert_false(is_own(f, "198.51.100.9:9000"));
		play(IP(198, 51, 100, 10), 32);
		assert_true(own_addresses_refresh(f->own));
		assert_int_equal(own_addresses_version(f->own), version += 2);
	}
}

static void what_cannot_be_read_stays(void **state)
{
	struct fixture *f = *state;

	play(IP(198, 51, 100, 9), 32);
	assert_true(own_addresses_refresh(f->own));
	play(IP(198, 51, 100, 10), 32);
	played.fails = true;
	assert_true(own_addresses_refresh(f->own));
	assert_true(is_own(f, "198.51.100.9:7788"));
}

/* Those that were there come again; of very many others, all but the last are known. */
static void there_is_room_for_so_many(void **state)
{
	struct fixture *f = *state;
	uint32_t i;

	for (i = 0; i < 1000; i++) {
		play(IP(198, 51, 100, 9) + i % 2, 32);
		assert_true(own_addresses_refresh(f->own));
	}
	for (i = 2; i < OWN_ADDRESSES_LATER; i++) {
		play(IP(198, 51, 100, 9) + i, 32);
		assert_true(own_addresses_refresh(f->own));
	}
	assert_true(is_own(f, "198.51.101.8:7788"));
	for (; i < 1000 && own_addresses_refresh(f->own); i++)
		play(IP(198, 51, 100, 9) + i, 32);
	assert_in_range(i, OWN_ADDRESSES_LATER + 1, 999);
}

/* --- Listeners --- */

static void bound_addresses_are_own(void **state)
{
	struct fixture *f = *state;

	assert_true(is_own(f, "192.0.2.1:9000"));
	assert_false(is_own(f, "192.0.2.1:9001"));
	assert_true(is_own(f, "127.0.0.1:7788"));
	assert_true(is_own(f, "[::1]:7788"));
	assert_false(is_own(f, "[2001:db8::1]:7788"));
}

static void a_unix_path_is_own_under_any_name(void **state)
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
		test(bound_addresses_are_own),
		test(a_unix_path_is_own_under_any_name),
		test(everybody_in_a_network_is_ourselves_too),
		test(an_address_comes_and_goes),
		test(what_cannot_be_read_stays),
		test(there_is_room_for_so_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <net/if.h>

#include "base/destination.h"

/* A network with this address and prefix, without a configured broadcast address. */
struct network {
	struct sockaddr_in ip, mask, broadcast;
	struct ifaddrs interface;
};

static struct sockaddr_in v4_of(const char *ip)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};

	assert_int_equal(inet_pton(AF_INET, ip, &v4.sin_addr), 1);
	return v4;
}

static const struct ifaddrs *network_of(struct network *network, const char *ip, const char *mask)
{
	network->ip = v4_of(ip);
	network->mask = v4_of(mask);
	network->interface = (struct ifaddrs){.ifa_flags = IFF_UP,
					      .ifa_addr = (struct sockaddr *)&network->ip,
					      .ifa_netmask = (struct sockaddr *)&network->mask};
	return &network->interface;
}

static enum destination classify(const char *ip, const struct ifaddrs *interfaces)
{
	struct address address;

	assert_int_equal(address_from_ip(&address, ip, 9), 0);
	return destination_classify(&address, interfaces);
}

static void test_addresses_of_hosts(void **state)
{
	static const char *const hosts[] = {"1.0.0.0",   "127.0.0.1", "192.0.2.255",     "223.255.255.255",
					    "240.0.0.1", "::1",       "fe80::1%1",       "2001:db8::ffff:ffff",
					    "10.0.0.0",  "feff::1",   "255.255.255.254", "64:ff9b::ffff:ffff"};
	struct address path;

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_int_equal(classify(hosts[i], NULL), DESTINATION_HOST);
	assert_int_equal(address_parse(&path, "unix:/x"), 0);
	assert_int_equal(destination_classify(&path, NULL), DESTINATION_HOST);
}

static void test_other_addresses(void **state)
{
	(void)state;
	assert_int_equal(classify("0.0.0.0", NULL), DESTINATION_NOBODY);
	assert_int_equal(classify("0.0.0.1", NULL), DESTINATION_NOBODY);
	assert_int_equal(classify("0.255.255.255", NULL), DESTINATION_NOBODY);
	assert_int_equal(classify("::", NULL), DESTINATION_NOBODY);
	assert_int_equal(classify("255.255.255.255", NULL), DESTINATION_BROADCAST);
	assert_int_equal(classify("224.0.0.1", NULL), DESTINATION_MULTICAST);
	assert_int_equal(classify("239.255.255.255", NULL), DESTINATION_MULTICAST);
	assert_int_equal(classify("ff02::1%1", NULL), DESTINATION_MULTICAST);
	assert_int_equal(classify("::ffff:192.0.2.1", NULL), DESTINATION_V4_MAPPED);
	assert_int_equal(classify("::ffff:255.255.255.255", NULL), DESTINATION_V4_MAPPED);
	assert_string_equal(destination_text(DESTINATION_BROADCAST), "a broadcast address");
}

static void test_broadcast_of_a_network(void **state)
{
	struct network network;

	(void)state;
	assert_int_equal(classify("192.0.2.255", network_of(&network, "192.0.2.7", "255.255.255.0")),
			 DESTINATION_BROADCAST);
	assert_int_equal(classify("192.0.2.0", &network.interface), DESTINATION_HOST);
	assert_int_equal(classify("192.0.3.255", &network.interface), DESTINATION_HOST);
	assert_int_equal(classify("192.0.2.15", network_of(&network, "192.0.2.9", "255.255.255.240")),
			 DESTINATION_BROADCAST);
	assert_int_equal(classify("192.0.2.9", network_of(&network, "192.0.2.8", "255.255.255.254")), DESTINATION_HOST);
	assert_int_equal(classify("192.0.2.8", network_of(&network, "192.0.2.8", "255.255.255.255")), DESTINATION_HOST);
}

static void test_configured_broadcast_address(void **state)
{
	struct network network;

	(void)state;
	network_of(&network, "192.0.2.7", "255.255.255.255");
	network.broadcast = v4_of("192.0.2.99");
	network.interface.ifa_broadaddr = (struct sockaddr *)&network.broadcast;
	assert_int_equal(classify("192.0.2.99", &network.interface), DESTINATION_HOST); /* a point-to-point address */
	network.interface.ifa_flags |= IFF_BROADCAST;
	assert_int_equal(classify("192.0.2.99", &network.interface), DESTINATION_BROADCAST);
}

static void test_second_interface(void **state)
{
	struct network first, second;
	struct ifaddrs unnumbered = {.ifa_next = &first.interface};

	(void)state;
	network_of(&first, "198.51.100.1", "255.255.255.0");
	network_of(&second, "192.0.2.1", "255.255.255.0");
	first.interface.ifa_next = &second.interface;
	assert_int_equal(classify("192.0.2.255", &unnumbered), DESTINATION_BROADCAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_of_hosts),     cmocka_unit_test(test_other_addresses),
		cmocka_unit_test(test_broadcast_of_a_network), cmocka_unit_test(test_configured_broadcast_address),
		cmocka_unit_test(test_second_interface),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "client/load/address_scope.h"

static void assert_scope(const char *const ips[], enum address_scope expected)
{
	struct address address;

	for (; *ips; ips++) {
		assert_int_equal(address_from_ip(&address, *ips, 7), 0);
		if (address_scope_of(&address) != expected)
			fail_msg("%s is %d, not %d", *ips, address_scope_of(&address), expected);
	}
}

/* The first and the last address of each prefix. */
static void test_local_addresses(void **state)
{
	static const char *const ips[] = {"127.0.0.0",
					  "127.255.255.255",
					  "10.0.0.0",
					  "10.255.255.255",
					  "172.16.0.0",
					  "172.31.255.255",
					  "192.168.0.0",
					  "192.168.255.255",
					  "169.254.0.0",
					  "169.254.255.255",
					  "::1",
					  "fe80::",
					  "febf:ffff::1",
					  "fc00::",
					  "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
					  "::ffff:127.0.0.1",
					  "::ffff:10.1.2.3",
					  "::ffff:192.168.0.1",
					  NULL};

	(void)state;
	assert_scope(ips, SCOPE_LOCAL);
}

/* The addresses next to the local prefixes, and similar ones. */
static void test_global_addresses(void **state)
{
	static const char *const ips[] = {"126.255.255.255",
					  "128.0.0.0",
					  "9.255.255.255",
					  "11.0.0.0",
					  "172.15.255.255",
					  "172.32.0.0",
					  "192.167.255.255",
					  "192.169.0.0",
					  "169.253.255.255",
					  "169.255.0.0",
					  "223.255.255.255",
					  "240.0.0.0",
					  "255.255.255.254",
					  "0.0.0.0",
					  "100.64.0.1",
					  "192.0.2.1",
					  "::",
					  "::2",
					  "::127.0.0.1",
					  "fbff:ffff::1",
					  "fe00::1",
					  "fe7f:ffff::1",
					  "fec0::1",
					  "2001:db8::1",
					  "64:ff9b::10.0.0.1",
					  "2002:a00:1::1",
					  "::ffff:8.8.8.8",
					  NULL};

	(void)state;
	assert_scope(ips, SCOPE_GLOBAL);
}

static void test_multicast_and_broadcast(void **state)
{
	static const char *const ips[] = {"224.0.0.0", "239.255.255.255",  "255.255.255.255",        "ff00::",
					  "ff02::1",   "::ffff:224.0.0.1", "::ffff:255.255.255.255", NULL};

	(void)state;
	assert_scope(ips, SCOPE_MULTICAST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_local_addresses),
		cmocka_unit_test(test_global_addresses),
		cmocka_unit_test(test_multicast_and_broadcast),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

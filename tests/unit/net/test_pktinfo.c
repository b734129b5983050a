#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <string.h>

#include "net/pktinfo.h"

static void assert_address(const struct address *address, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(address, text), expected);
}

static void test_ipv4_has_two_addresses(void **state)
{
	struct in_pktinfo info = {.ipi_ifindex = 3};
	struct pktinfo local;

	(void)state;
	inet_pton(AF_INET, "192.0.2.255", &info.ipi_addr);
	inet_pton(AF_INET, "192.0.2.1", &info.ipi_spec_dst);
	pktinfo_parse4(&local, &info);
	assert_address(&local.destination, "192.0.2.255:0");
	assert_address(&local.reply_source, "192.0.2.1:0");
}

static void test_ipv6_has_one_address(void **state)
{
	struct in6_pktinfo info = {.ipi6_ifindex = 3};
	struct pktinfo local;

	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &info.ipi6_addr);
	pktinfo_parse6(&local, &info);
	assert_address(&local.destination, "[2001:db8::1]:0");
	assert_true(address_equal(&local.destination, &local.reply_source));
	assert_int_equal(local.destination.v6.sin6_scope_id, 0);
}

static void test_link_local_addresses_have_the_interface(void **state)
{
	struct in6_pktinfo info = {.ipi6_ifindex = 3};
	struct pktinfo local;

	(void)state;
	inet_pton(AF_INET6, "fe80::1", &info.ipi6_addr);
	pktinfo_parse6(&local, &info);
	assert_int_equal(local.destination.v6.sin6_scope_id, 3);
	assert_int_equal(local.reply_source.v6.sin6_scope_id, 3);
}

static void test_the_kernel_chooses_the_source_of_a_multicast_reply(void **state)
{
	struct in6_pktinfo info = {.ipi6_ifindex = 3};
	struct pktinfo local;

	(void)state;
	inet_pton(AF_INET6, "ff02::1", &info.ipi6_addr);
	pktinfo_parse6(&local, &info);
	assert_int_equal(local.reply_source.length, 0);
	assert_int_equal(local.destination.v6.sin6_scope_id, 3);
}

static void test_the_data_may_be_unaligned(void **state)
{
	struct in_pktinfo info = {0};
	struct pktinfo local;
	uint8_t bytes[sizeof(info) + 1];

	(void)state;
	inet_pton(AF_INET, "192.0.2.9", &info.ipi_addr);
	memcpy(bytes + 1, &info, sizeof(info));
	pktinfo_parse4(&local, bytes + 1);
	assert_address(&local.destination, "192.0.2.9:0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ipv4_has_two_addresses),
		cmocka_unit_test(test_ipv6_has_one_address),
		cmocka_unit_test(test_link_local_addresses_have_the_interface),
		cmocka_unit_test(test_the_kernel_chooses_the_source_of_a_multicast_reply),
		cmocka_unit_test(test_the_data_may_be_unaligned),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

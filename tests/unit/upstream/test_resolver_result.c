#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <stdio.h>
#include <string.h>

#include "upstream/resolver_result.h"

int __wrap_getifaddrs(struct ifaddrs **list);
void __wrap_freeifaddrs(struct ifaddrs *list);

/* One network, 198.51.100.0/24, or no list of interfaces. */
static bool getifaddrs_fails;
static struct sockaddr_in network_ip, network_mask;
static struct ifaddrs network = {.ifa_addr = (struct sockaddr *)&network_ip,
				 .ifa_netmask = (struct sockaddr *)&network_mask};

int __wrap_getifaddrs(struct ifaddrs **list)
{
	network_ip = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc6336407)};
	network_mask = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xffffff00)};
	*list = getifaddrs_fails ? (void *)1 : &network;
	return getifaddrs_fails ? -1 : 0;
}

void __wrap_freeifaddrs(struct ifaddrs *list)
{
	assert_ptr_equal(list, &network);
}

#define PORT 53
#define LIST_MAX 100

/* A list as getaddrinfo(3) returns it. */
static struct {
	struct addrinfo infos[LIST_MAX];
	struct address addresses[LIST_MAX];
} list;

static struct addrinfo *list_of(const char *const *ips, size_t count)
{
	assert_true(count && count <= LIST_MAX);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(address_from_ip(&list.addresses[i], ips[i], 0), 0);
		list.infos[i] = (struct addrinfo){.ai_family = list.addresses[i].any.sa_family,
						  .ai_addr = &list.addresses[i].any,
						  .ai_addrlen = list.addresses[i].length,
						  .ai_next = i + 1 < count ? &list.infos[i + 1] : NULL};
	}
	return list.infos;
}

#define LIST(...)                                                                                                      \
	list_of((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void assert_addresses(const struct resolver_result *result, const char *expected)
{
	char text[8192] = "", address[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < result->count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, address_format(&result->addresses[i], address));
	}
	assert_string_equal(text, expected);
}

static void test_addresses_get_the_port(void **state)
{
	static const struct resolver_result none;
	struct resolver_result result;

	(void)state;
	resolver_result_read(&result, &none, LIST("192.0.2.1", "2001:db8::1"), PORT);
	assert_addresses(&result, "192.0.2.1:53 [2001:db8::1]:53");
	assert_false(result.more);
}

static void test_no_list(void **state)
{
	struct resolver_result previous, result;

	(void)state;
	memset(&result, 0xff, sizeof(result));
	resolver_result_read(&previous, &(struct resolver_result){0}, LIST("192.0.2.1"), PORT);
	resolver_result_read(&result, &previous, NULL, PORT);
	assert_int_equal(result.count, 0);
	assert_false(result.more);
}

static void test_duplicates_are_left_out(void **state)
{
	static const struct resolver_result none;
	struct resolver_result result;

	(void)state;
	resolver_result_read(&result, &none, LIST("192.0.2.1", "192.0.2.2", "192.0.2.1"), PORT);
	assert_addresses(&result, "192.0.2.1:53 192.0.2.2:53");
}

static void test_unusable_addresses_are_left_out(void **state)
{
	static const struct resolver_result none;
	struct resolver_result result;
	struct addrinfo *infos;

	(void)state;
	resolver_result_read(&result, &none, LIST("0.0.0.0", "::", "::ffff:192.0.2.9", "192.0.2.1"), PORT);
	assert_addresses(&result, "192.0.2.1:53");
	infos = LIST("192.0.2.1", "192.0.2.2");
	infos[0].ai_family = AF_UNIX;
	resolver_result_read(&result, &none, infos, PORT);
	assert_addresses(&result, "192.0.2.2:53");
}

static void test_addresses_of_no_host_are_refused(void **state)
{
	static const struct resolver_result none;
	struct resolver_result result;
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	resolver_result_read(&result, &none,
			     LIST("0.0.0.1", "255.255.255.255", "198.51.100.255", "224.0.0.1", "ff02::1", "192.0.2.1"),
			     PORT);
	assert_addresses(&result, "192.0.2.1:53");
	assert_int_equal(result.refused_kind, DESTINATION_NOBODY);
	assert_string_equal(address_format(&result.refused, text), "0.0.0.1:53");
	resolver_result_read(&result, &none, LIST("198.51.100.255"), PORT);
	assert_int_equal(result.count, 0);
	assert_int_equal(result.refused_kind, DESTINATION_BROADCAST);
	resolver_result_read(&result, &none, LIST("198.51.100.254"), PORT);
	assert_addresses(&result, "198.51.100.254:53");
	assert_int_equal(result.refused_kind, DESTINATION_HOST);
}

/* An interface may get the network of an address that is in use. */
static void test_previous_address_that_becomes_a_broadcast_is_refused(void **state)
{
	static const struct resolver_result none;
	struct resolver_result previous, result;

	(void)state;
	getifaddrs_fails = true;
	resolver_result_read(&previous, &none, LIST("198.51.100.255"), PORT);
	assert_addresses(&previous, "198.51.100.255:53");
	getifaddrs_fails = false;
	resolver_result_read(&result, &previous, LIST("198.51.100.255"), PORT);
	assert_int_equal(result.count, 0);
	assert_int_equal(result.refused_kind, DESTINATION_BROADCAST);
}

static void test_previous_addresses_come_first_in_their_order(void **state)
{
	struct resolver_result previous, result;

	(void)state;
	resolver_result_read(&previous, &(struct resolver_result){0}, LIST("192.0.2.1", "192.0.2.2", "192.0.2.3"),
			     PORT);
	resolver_result_read(&result, &previous, LIST("192.0.2.4", "192.0.2.3", "192.0.2.1"), PORT);
	assert_addresses(&result, "192.0.2.1:53 192.0.2.3:53 192.0.2.4:53");
}

/* Fills ips with the addresses 192.0.2.FIRST to 192.0.2.(FIRST + count - 1). */
static struct addrinfo *list_of_many(unsigned first, unsigned count)
{
	static char texts[LIST_MAX][16];
	const char *ips[LIST_MAX];

	for (unsigned i = 0; i < count; i++) {
		snprintf(texts[i], sizeof(texts[i]), "192.0.2.%u", (first + i) % 256);
		ips[i] = texts[i];
	}
	return list_of(ips, count);
}

static void test_maximum_of_addresses(void **state)
{
	static const struct resolver_result none;
	struct resolver_result result;

	(void)state;
	resolver_result_read(&result, &none, list_of_many(0, RESOLVER_ADDRESSES_MAX), PORT);
	assert_int_equal(result.count, RESOLVER_ADDRESSES_MAX);
	assert_false(result.more);
	resolver_result_read(&result, &none, list_of_many(0, RESOLVER_ADDRESSES_MAX + 1), PORT);
	assert_int_equal(result.count, RESOLVER_ADDRESSES_MAX);
	assert_true(result.more);
}

static void test_previous_addresses_stay_beyond_the_maximum(void **state)
{
	struct resolver_result previous, result;

	(void)state;
	resolver_result_read(&previous, &(struct resolver_result){0}, list_of_many(90, 1), PORT);
	resolver_result_read(&result, &previous, list_of_many(0, LIST_MAX), PORT);
	assert_int_equal(result.count, RESOLVER_ADDRESSES_MAX);
	assert_true(address_equal(&result.addresses[0], &previous.addresses[0]));
}

static void test_equal(void **state)
{
	static const struct resolver_result none;
	struct resolver_result a, b;

	(void)state;
	resolver_result_read(&a, &none, LIST("192.0.2.1", "192.0.2.2"), PORT);
	resolver_result_read(&b, &none, LIST("192.0.2.1", "192.0.2.2"), PORT);
	assert_true(resolver_results_equal(&a, &b));
	resolver_result_read(&b, &none, LIST("192.0.2.1", "192.0.2.3"), PORT);
	assert_false(resolver_results_equal(&a, &b));
	resolver_result_read(&b, &none, LIST("192.0.2.1"), PORT);
	assert_false(resolver_results_equal(&a, &b));
	assert_false(resolver_results_equal(&b, &a));
	resolver_result_read(&b, &none, LIST("192.0.2.1", "192.0.2.2"), PORT + 1);
	assert_false(resolver_results_equal(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses_get_the_port),
		cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_duplicates_are_left_out),
		cmocka_unit_test(test_unusable_addresses_are_left_out),
		cmocka_unit_test(test_addresses_of_no_host_are_refused),
		cmocka_unit_test(test_previous_address_that_becomes_a_broadcast_is_refused),
		cmocka_unit_test(test_previous_addresses_come_first_in_their_order),
		cmocka_unit_test(test_maximum_of_addresses),
		cmocka_unit_test(test_previous_addresses_stay_beyond_the_maximum),
		cmocka_unit_test(test_equal),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

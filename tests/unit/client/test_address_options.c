#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/address_options.h"
#include "tests/unit/support/loopback.h"

static const struct cli_option_spec options[] = {ADDRESS_OPTION_SPECS, {0}};

static const struct cli_command command = {
	.name = "test", .operands = "HOST", .purpose = "Tests.\n", .options = options, .example = "h 1"};

/* --- Replacements of system functions --- */

/* The addresses of every name, and the address without a route; "*": all addresses. */
static const char *const *addresses_of_names;
static const char *unroutable;
static int hinted_family;

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list);
void __wrap_freeaddrinfo(struct addrinfo *list);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length);
int __real_connect(int fd, const struct sockaddr *address, socklen_t length);

int __wrap_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **list)
{
	struct address literal;
	struct addrinfo **end = list;

	assert_null(service);
	hinted_family = hints->ai_family;
	if (!addresses_of_names && address_from_ip(&literal, host, 0))
		return EAI_NONAME;
	for (size_t i = 0; !i || (addresses_of_names && addresses_of_names[i]); i++) {
		struct addrinfo *info = calloc(1, sizeof(*info));
		struct address *address = calloc(1, sizeof(*address));

		assert_int_equal(address_from_ip(address, addresses_of_names ? addresses_of_names[i] : host, 0), 0);
		*info = (struct addrinfo){.ai_family = address->any.sa_family,
					  .ai_addr = &address->any,
					  .ai_addrlen = address->length,
					  .ai_canonname = (char *)address};
		*end = info;
		end = &info->ai_next;
	}
	return 0;
}

void __wrap_freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_canonname);
		free(list);
		list = next;
	}
}

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t length)
{
	struct address without_route;

	if (unroutable && (!strcmp(unroutable, "*") ||
			   (!address_from_ip(&without_route, unroutable, 0) && without_route.length == length &&
			    !memcmp(&without_route.any, address, length)))) {
		errno = ENETUNREACH;
		return -1;
	}
	return __real_connect(fd, address, length);
}

/* --- Fixture --- */

static int stderr_copy;

/* Standard error is discarded meanwhile; the integration tests check the messages. */
static int set_up(void **state)
{
	(void)state;
	addresses_of_names = NULL;
	unroutable = NULL;
	hinted_family = -1;
	stderr_copy = dup(STDERR_FILENO);
	return !freopen("/dev/null", "w", stderr);
}

static int tear_down(void **state)
{
	(void)state;
	fflush(stderr);
	dup2(stderr_copy, STDERR_FILENO);
	close(stderr_copy);
	return 0;
}

/* Parses up to two operands. */
static int parse(const char *first, const char *second, int family, struct address *destination)
{
	char host[64], port[64], *argv[] = {(char *)"test", first ? host : NULL, second ? port : NULL, NULL};

	snprintf(host, sizeof(host), "%s", first ? first : "");
	snprintf(port, sizeof(port), "%s", second ? second : "");
	optind = 1;
	return address_options_parse_destination(&command, first ? second ? 3 : 2 : 1, argv, family, destination);
}

static void assert_destination(const struct address *destination, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(destination, text), expected);
}

/* --- Destination --- */

static void test_destination_in_one_or_two_words(void **state)
{
	static const struct {
		const char *first, *second, *expected;
		int optind;
	} cases[] = {{"127.0.0.1", "7788", "127.0.0.1:7788", 3},
		     {"127.0.0.1:7788", NULL, "127.0.0.1:7788", 2},
		     {"127.0.0.1:7788", "text", "127.0.0.1:7788", 2},
		     {"::1", "7788", "[::1]:7788", 3},
		     {"[::1]", "65535", "[::1]:65535", 3},
		     {"[::1]:1", "text", "[::1]:1", 2},
		     {"unix:/tmp/s", "text", "unix:/tmp/s", 2}};
	struct address destination;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].first, cases[i].second, AF_UNSPEC, &destination), 0);
		assert_destination(&destination, cases[i].expected);
		assert_int_equal(optind, cases[i].optind);
	}
}

static void test_invalid_destinations_are_rejected(void **state)
{
	static const char *const cases[][2] = {{NULL, NULL},     {"127.0.0.1", NULL},   {"127.0.0.1", "0"},
					       {"", "7788"},     {"127.0.0.1", "x"},    {"127.0.0.1", "65536"},
					       {"*", "7788"},    {"*:7788", NULL},      {"0.0.0.0", "7788"},
					       {"[::]:1", NULL}, {"127.0.0.1:0", NULL}, {"unix:", NULL}};
	struct address destination;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(parse(cases[i][0], cases[i][1], AF_UNSPEC, &destination), EX_USAGE);
}

static void test_unknown_name_is_unavailable(void **state)
{
	struct address destination;

	(void)state;
	assert_int_equal(parse("no.such.host", "1", AF_INET6, &destination), EX_UNAVAILABLE);
	assert_int_equal(hinted_family, AF_INET6);
}

static void test_first_routable_address_is_used(void **state)
{
	static const char *const addresses[] = {"127.0.0.2", "127.0.0.3", "127.0.0.4", NULL};
	struct address destination;

	(void)state;
	addresses_of_names = addresses;
	assert_int_equal(parse("a.name", "1", AF_UNSPEC, &destination), 0);
	assert_destination(&destination, "127.0.0.2:1");
	unroutable = addresses[0];
	assert_int_equal(parse("a.name", "1", AF_UNSPEC, &destination), 0);
	assert_destination(&destination, "127.0.0.3:1");
}

static void test_first_address_is_used_without_any_route(void **state)
{
	static const char *const addresses[] = {"127.0.0.2", "127.0.0.3", NULL};
	struct address destination;

	(void)state;
	addresses_of_names = addresses;
	unroutable = "*";
	assert_int_equal(parse("a.name", "1", AF_UNSPEC, &destination), 0);
	assert_destination(&destination, "127.0.0.2:1");
}

/* connect(2) without SO_BROADCAST rejects it, but there is a route. */
static void test_broadcast_address_is_routable(void **state)
{
	static const char *const addresses[] = {"127.255.255.255", "127.0.0.3", NULL};
	struct address destination;

	(void)state;
	addresses_of_names = addresses;
	assert_int_equal(parse("a.name", "1", AF_UNSPEC, &destination), 0);
	assert_destination(&destination, "127.255.255.255:1");
}

static void test_mapped_address_becomes_ipv4(void **state)
{
	static const char *const addresses[] = {"::ffff:127.0.0.1", NULL};
	struct address destination;

	(void)state;
	addresses_of_names = addresses;
	assert_int_equal(parse("a.name", "1", AF_UNSPEC, &destination), 0);
	assert_destination(&destination, "127.0.0.1:1");
}

/* --- Source --- */

static int resolve(struct address_options *addresses, const char *destination, const char *bind)
{
	char operand[64], *argv[] = {(char *)"test", operand, NULL};

	snprintf(operand, sizeof(operand), "%s", destination);
	*addresses = (struct address_options){0};
	if (bind)
		assert_true(address_options_handle(addresses, 'b', bind));
	optind = 1;
	return address_options_resolve(addresses, &command, 2, argv);
}

static void test_source_follows_the_destination(void **state)
{
	struct address_options addresses;

	(void)state;
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "*:9"), 0);
	assert_destination(&addresses.source, "0.0.0.0:9");
	assert_int_equal(resolve(&addresses, "[::1]:7788", "*:9"), 0);
	assert_destination(&addresses.source, "[::]:9");
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "127.0.0.2:0"), 0);
	assert_destination(&addresses.source, "127.0.0.2:0");
}

static void test_source_of_another_family_is_rejected(void **state)
{
	struct address_options addresses;

	(void)state;
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "[::1]:9"), EX_USAGE);
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "unix:/tmp/s"), EX_USAGE);
	assert_int_equal(resolve(&addresses, "unix:/tmp/s", "127.0.0.1:9"), EX_USAGE);
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "no address"), EX_USAGE);
}

static void test_options_are_recognised(void **state)
{
	struct address_options addresses = {0};

	(void)state;
	assert_true(address_options_handle(&addresses, '4', NULL));
	assert_int_equal(addresses.family, AF_INET);
	assert_true(address_options_handle(&addresses, '6', NULL));
	assert_int_equal(addresses.family, AF_INET6);
	assert_false(address_options_handle(&addresses, 'x', NULL));
}

/* --- Socket --- */

static void test_socket_is_bound_to_the_source(void **state)
{
	struct address_options addresses;

	(void)state;
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", "127.0.0.2:0"), 0);
	assert_int_equal(address_options_open_socket(&addresses, true), 0);
	assert_true(address_same_host(&addresses.socket.local, &addresses.source));
	assert_int_not_equal(address_port(&addresses.socket.local), 0);
	client_socket_close(&addresses.socket);
}

static void test_busy_port_is_unavailable(void **state)
{
	struct address_options addresses;
	struct address local;
	char text[ADDRESS_TEXT_MAX];
	int fd = bound(&local);

	(void)state;
	assert_int_equal(resolve(&addresses, "127.0.0.1:7788", address_format(&local, text)), 0);
	assert_int_equal(address_options_open_socket(&addresses, true), EX_UNAVAILABLE);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_destination_in_one_or_two_words, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_invalid_destinations_are_rejected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_name_is_unavailable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_first_routable_address_is_used, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_first_address_is_used_without_any_route, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_broadcast_address_is_routable, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_mapped_address_becomes_ipv4, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_source_follows_the_destination, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_source_of_another_family_is_rejected, set_up, tear_down),
		cmocka_unit_test(test_options_are_recognised),
		cmocka_unit_test_setup_teardown(test_socket_is_bound_to_the_source, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_busy_port_is_unavailable, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

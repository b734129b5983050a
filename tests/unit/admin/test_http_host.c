#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "admin/http_host.h"

static char *names[] = {(char *)"metrics.example.net", (char *)"Dotted.example.", (char *)"198.51.100.7",
			(char *)"2001:db8::7"};

static enum http_host check(const char *value, const char *bound)
{
	struct address address;

	assert_int_equal(address_parse(&address, bound), 0);
	return http_host_check(value, &address, names, sizeof(names) / sizeof(names[0]));
}

#define V4 "192.0.2.1:9100"
#define V6 "[2001:db8::1]:9100"

static void test_known_hosts(void **state)
{
	static const char *const hosts[] = {
		"localhost",        "LocalHost:9100",      "localhost.",
		"localhost:",       "localhost.:80",       "ip6-localhost",
		"127.0.0.1",        "127.9.8.7:65535",     "[::1]",
		"[::1]:1",          "192.0.2.1",           "192.0.2.1:9100",
		"192.0.2.1:1",      "metrics.example.net", "METRICS.example.net.:1",
		"dotted.EXAMPLE",   "dotted.example.",     "198.51.100.7:80",
		"[2001:db8::7]:80", "[2001:DB8:0::7]",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_int_equal(check(hosts[i], V4), HTTP_HOST_KNOWN);
	assert_int_equal(check("[2001:db8::1]:9100", V6), HTTP_HOST_KNOWN);
	assert_int_equal(check("[fe80::1%25eth0]:9100", "[fe80::1%1]:9100"), HTTP_HOST_KNOWN);
	assert_int_equal(check("[fe80::1]", "[fe80::1%1]:9100"), HTTP_HOST_KNOWN);
}

static void test_unknown_hosts(void **state)
{
	static const char *const hosts[] = {
		"evil.example",
		"localhost.evil.example",
		"evil.localhost",
		"192.0.2.2",
		"[2001:db8::1]",
		"metrics.example.ne",
		"a",
		"metrics.example.net.evil.example",
		"127.0.0.1.evil.test",
		"198.51.100.8",
		"0.0.0.0",
		"[::]",
		"[::ffff:127.0.0.1]",
		"2130706433",
		"127.1",
		"metrics.example.net..",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_int_equal(check(hosts[i], V4), HTTP_HOST_UNKNOWN);
	assert_int_equal(check("192.0.2.1", V6), HTTP_HOST_UNKNOWN);
}

static void test_invalid_hosts(void **state)
{
	static const char *const hosts[] = {
		"",
		":80",
		"localhost:http",
		"localhost:123456",
		"localhost:65536",
		"[::1]:99999",
		"[::1%evil.example]",
		"[::1%25eth0]",
		"[fe80::1%eth0]",
		"[fe80::1%25]",
		"[fe80::1%25a%b]",
		"localhost:80:80",
		"user@localhost",
		"local host",
		"localhost/",
		"localhost, a",
		"[::1",
		"::1",
		"[]",
		"[127.0.0.1]",
		"[::1]x",
		"[::1]:x",
		"[%25eth0]",
		"http://localhost",
		"\xc3\xa4.example",
	};
	char longest[ADDRESS_HOST_MAX + 1];

	(void)state;
	for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++)
		assert_int_equal(check(hosts[i], V4), HTTP_HOST_INVALID);
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(check(longest, V4), HTTP_HOST_INVALID);
	longest[sizeof(longest) - 2] = '\0';
	assert_int_equal(check(longest, V4), HTTP_HOST_UNKNOWN);
}

/* A browser cannot connect to the socket. A proxy may pass the name that its client wrote. */
static void test_every_valid_host_is_known_at_a_path(void **state)
{
	(void)state;
	assert_int_equal(check("evil.example", "unix:/run/http"), HTTP_HOST_KNOWN);
	assert_int_equal(check("", "unix:/run/http"), HTTP_HOST_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_known_hosts),
		cmocka_unit_test(test_unknown_hosts),
		cmocka_unit_test(test_invalid_hosts),
		cmocka_unit_test(test_every_valid_host_is_known_at_a_path),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/address.h"

static struct address parse(const char *text)
{
	struct address address;

	memset(&address, 0xaa, sizeof(address));
	if (address_parse(&address, text))
		fail_msg("`%s` is an address", text);
	return address;
}

static void test_texts_of_equal_addresses(void **state)
{
	struct address a = parse("[2001:DB8:0:0:0:0:0:1]:80"), b = parse("[2001:db8::1]:80");
	struct address c = parse("[fe80::1%1]:80"), d = parse("[fe80::1%lo]:80");

	(void)state;
	assert_true(address_equal(&a, &b));
	assert_true(address_equal(&c, &d));
}

static const char *const wrong[] = {
	"",
	":",
	"*:1",
	"192.0.2.1",
	"192.0.2.1:",
	"192.0.2.1:65536",
	"192.0.2.1:99999999999999999999",
	"192.0.2.1:-1",
	"192.0.2.1:+1",
	"192.0.2.1:080",
	"192.0.2.1: 80",
	"192.0.2.1:80 ",
	" 192.0.2.1:80",
	"192.0.2.1:0x50",
	"192.0.2:80",
	"192.0.2.1.1:80",
	"192.0.2.256:80",
	"192.0.2.01:80",
	"0xc0000201:80",
	"192.0.2.1:80:80",
	"localhost:80",
	"::1",
	"::1:80",
	"2001:db8::1:80",
	"[::1]",
	"[::1]:",
	"[::1]80",
	"[::1:80",
	"::1]:80",
	"[]:80",
	"[192.0.2.1]:80",
	"[::1]]:80",
	"[[::1]]:80",
	"[1:2:3:4:5:6:7:8:9]:80",
	"[0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0:0]:80",
	"unix",
	"unix:",
	"unix:relative",
	"unix:@abstract",
	"UNIX:/x",
};

static void test_invalid_texts_are_rejected(void **state)
{
	struct address address = parse("192.0.2.1:1"), before = address;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		if (address_parse(&address, wrong[i]) != -EINVAL)
			fail_msg("`%s` is no address", wrong[i]);
		assert_memory_equal(&address, &before, sizeof(address));
	}
}

static const struct {
	const char *text;
	bool names;
	const char *fault;
} faults[] = {
	{"", false, "the address is missing: write ADDRESS:PORT"},
	{":", true, "the address is missing: write ADDRESS:PORT"},
	{":x", false, "the address is missing: write ADDRESS:PORT"},
	{"1.2.3.4", false, "the port is missing: write 1.2.3.4:PORT"},
	{"*", false, "the port is missing: write *:PORT"},
	{"*:", false, "the port is missing: write *:PORT"},
	{"*", true, "not a host name: "},
	{"host", true, "the port is missing: write host:PORT"},
	{"host", false, "names are not accepted here: write an IP address"},
	{"7788", false, "the address before the port is missing: write *:7788"},
	{":7788", true, "the address before the port is missing: write HOST:7788"},
	{"99999", false, "the port is greater than 65535: write *:PORT"},
	{"007", true, "the port begins with 0: write HOST:7"},
	{"99999999999999999999999999999999999999999999999999999999999999999999999999", true,
	 "the port is greater than 65535: write HOST:PORT"},
	{"*:65536", false, "the port is greater than 65535: write *:PORT"},
	{"*:99999999999999999999", false, "the port is greater than 65535: write *:PORT"},
	{"1.2.3.4:01", false, "the port begins with 0: write 1.2.3.4:1"},
	{"1.2.3.4:00", false, "the port begins with 0: write 1.2.3.4:0"},
	{"1.2.3.4:065536", false, "the port begins with 0: write 1.2.3.4:PORT"},
	{"1.2.3.4:http", false, "the port is not a number: write 1.2.3.4:PORT"},
	{"1.2.3.4:53x", false, "the port is not a number: write 1.2.3.4:53"},
	{"1.2.3.4:65536x", false, "the port is not a number: write 1.2.3.4:PORT"},
	{"[::1]:53x", false, "the port is not a number: write [::1]:53"},
	{"53x", false, "the port is not a number: write *:53"},
	{"53x", true, "the port is not a number: write HOST:53"},
	{"1.2.3.4:+1", false, "the port is not a number: write 1.2.3.4:PORT"},
	{"localhost:1", false, "names are not accepted here: write an IP address"},
	{"1.2.3:4", false, "not an IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"},
	{"1.2.3.256:4", true, "not an IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"},
	{"a.0x7f:4", true, "not a host name: write letters, digits, `-`, `_` and `.`, begin with a letter"},
	{"a b:4", true, "not a host name: "},
	{"a b:4", false, "not an IP address: write IPV4:PORT or [IPV6]:PORT"},
	{"::1:77", false, "an IPv6 address needs brackets: write [::1]:77"},
	{"2001:db8::1:77", true, "an IPv6 address needs brackets: write [2001:db8::1]:77"},
	{"fe80::1%lo:77", true, "an IPv6 address needs brackets: write [fe80::1%lo]:77"},
	{"1:2:3:4:5:6:7:8", true, "an IPv6 address needs brackets: write [1:2:3:4:5:6:7:8]:PORT"},
	{"::1", true, "an IPv6 address needs brackets: write [::1]:PORT"},
	{"a:5:6", true, "too many `:`: write ADDRESS:PORT"},
	{"[::1", false, "the `]` is missing: write [::1]:PORT"},
	{"[fe80::1%lo:77", false, "the `]` is missing: write [fe80::1%lo]:77"},
	{"[1.2.3.4:5", false, "the `]` is missing: write [IPV6]:PORT"},
	{"[", false, "the `]` is missing: write [IPV6]:PORT"},
	{"[::1]", false, "the port is missing: write [::1]:PORT"},
	{"[::1]77", false, "the port is missing: write [::1]:PORT"},
	{"[::1]:", false, "the port is missing: write [::1]:PORT"},
	{"[::1]:65536", false, "the port is greater than 65535: write [::1]:PORT"},
	{"[1.2.3.4]:5", true, "only an IPv6 address has brackets: write 1.2.3.4:5"},
	{"[host]", true, "only an IPv6 address has brackets: write host:PORT"},
	{"[::g]:5", true, "the brackets do not contain an IPv6 address: write one, as in [2001:db8::1]:7788"},
	{"[::1%lo]:5", true, "only a link-local address has an interface: write [::1]:5"},
	{"[fe80::1%nosuch]:5", true, "no such interface: write one that `ip link` lists"},
	{"unix:x", false, "the path does not begin with `/`: write unix:/x"},
	{"unix:", true, "the path is missing: write one, such as unix:/run/socket"},
	{"UNIX:/x", false, "`unix:` has capital letters: write unix:/x"},
	{"/run/x", false, "a path needs `unix:` before it: write unix:/run/x"},
};

static void test_faults_explain_the_error(void **state)
{
	char fault[ADDRESS_ERROR_MAX], text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		address_error_text(faults[i].text, faults[i].names, fault);
		if (strncmp(fault, faults[i].fault, strlen(faults[i].fault)))
			fail_msg("`%s`: `%s`", faults[i].text, fault);
	}
	snprintf(text, sizeof(text), "unix:/%0*d", 107, 0);
	assert_string_equal(address_error_text(text, true, fault),
			    "the path has 108 bytes, but a socket address holds at most 107: shorten it");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(*address_error_text(wrong[i], i % 2, fault));
	for (const char *c = "0:[a./%"; *c; c++) {
		memset(text, *c, sizeof(text));
		text[sizeof(text) - 1] = '\0';
		assert_true(*address_error_text(text, true, fault));
	}
}

/* The kernel ignores the zone of an address that is not link-local. */
static void test_only_link_local_addresses_have_zones(void **state)
{
	struct address address;

	(void)state;
	address = parse("[fe80::1%7]:80");
	assert_int_equal(address.v6.sin6_scope_id, 7);
	assert_int_equal(address_from_ip(&address, "febf::1%7", 0), 0);
	assert_int_equal(address_from_ip(&address, "ff01::1%7", 0), 0);
	assert_int_equal(address_from_ip(&address, "::1%lo", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "2001:db8::1%lo", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "ff05::1%lo", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "192.0.2.1%lo", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "fe80::1%", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "fe80::1%0", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "fe80::1%4294967296", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "fe80::1%no-such-thing", 0), -EINVAL);
	assert_int_equal(address_from_ip(&address, "fe80::1%lo%lo", 0), -EINVAL);
}

static void test_long_paths_are_rejected(void **state)
{
	char text[sizeof("unix:") + 108], printed[ADDRESS_TEXT_MAX];
	struct address address;

	(void)state;
	snprintf(text, sizeof(text), "unix:/%0*d", 106, 0);
	address = parse(text);
	assert_int_equal(address.length, sizeof(struct sockaddr_un));
	assert_string_equal(address_format(&address, printed), text);
	snprintf(text, sizeof(text), "unix:/%0*d", 107, 0);
	assert_int_equal(address_parse(&address, text), -EINVAL);
}

static void test_host_and_port_are_split(void **state)
{
	char host[ADDRESS_HOST_MAX], text[400];
	uint16_t port;

	(void)state;
	assert_int_equal(address_split("a-1.example_x.:65535", host, &port), 0);
	assert_string_equal(host, "a-1.example_x.");
	assert_int_equal(port, 65535);
	assert_int_equal(address_split("*:0", host, &port), 0);
	assert_string_equal(host, "*");
	assert_int_equal(address_split("[::1]:9", host, &port), 0);
	assert_string_equal(host, "::1");
	assert_int_equal(address_split("[name]:9", host, &port), -EINVAL);
	assert_int_equal(address_split("*.example:9", host, &port), -EINVAL);
	assert_int_equal(address_split("a b:9", host, &port), -EINVAL);
	assert_int_equal(address_split("\xc3\xa4:9", host, &port), -EINVAL);
	assert_int_equal(address_split(":9", host, &port), -EINVAL);
	snprintf(text, sizeof(text), "%0255d:9", 0);
	assert_int_equal(address_split(text, host, &port), 0);
	snprintf(text, sizeof(text), "%0256d:9", 0);
	assert_int_equal(address_split(text, host, &port), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_of_equal_addresses),
		cmocka_unit_test(test_invalid_texts_are_rejected),
		cmocka_unit_test(test_faults_explain_the_error),
		cmocka_unit_test(test_only_link_local_addresses_have_zones),
		cmocka_unit_test(test_long_paths_are_rejected),
		cmocka_unit_test(test_host_and_port_are_split),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

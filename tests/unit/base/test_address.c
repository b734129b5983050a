#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/address.h"

static struct address parsed(const char *text)
{
	struct address address;

	memset(&address, 0xaa, sizeof(address));
	if (address_parse(&address, text))
		fail_msg("`%s` is an address", text);
	return address;
}

static void what_is_printed_can_be_read(void **state)
{
	static const char *const texts[] = {
		"192.0.2.1:7788",        "0.0.0.0:0",
		"255.255.255.255:65535", "[::]:0",
		"[2001:db8::1]:7788",    "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535",
		"[::ffff:192.0.2.1]:1",  "[fe80::1%lo]:53",
		"[ff02::1%lo]:53",       "[fe80::1%4294967295]:53",
		"unix:/run/x",           "unix:/",
	};
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct address address = parsed(texts[i]);

		assert_string_equal(address_format(&address, text), texts[i]);
		assert_ptr_equal(address_format(&address, text), text);
	}
}

static void one_address_has_many_texts(void **state)
{
	struct address a = parsed("[2001:DB8:0:0:0:0:0:1]:80"), b = parsed("[2001:db8::1]:80");
	struct address c = parsed("[fe80::1%1]:80"), d = parsed("[fe80::1%lo]:80");

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

static void what_is_no_address_is_refused(void **state)
{
	struct address address = parsed("192.0.2.1:1"), before = address;

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
	{"", false, "the port is missing: write ADDRESS:PORT"},
	{"1.2.3.4", false, "the port is missing: write ADDRESS:PORT"},
	{"*", false, "the port is missing: write ADDRESS:PORT"},
	{"*:", false, "the port is missing: write ADDRESS:PORT"},
	{"host", true, "the port is missing: write ADDRESS:PORT"},
	{"7788", false, "the address before the port is missing: write *:7788"},
	{":7788", true, "the address before the port is missing: write HOST:7788"},
	{"*:65536", false, "the port is more than 65535: write a lower one"},
	{"*:99999999999999999999", false, "the port is more than 65535: write a lower one"},
	{"1.2.3.4:01", false, "the port begins with 0: remove the zero"},
	{"1.2.3.4:http", false, "the port is no number: write one up to 65535"},
	{"1.2.3.4:+1", false, "the port is no number: write one up to 65535"},
	{"localhost:1", false, "names are not accepted here: write an IP address"},
	{"1.2.3:4", false, "this is no IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"},
	{"1.2.3.256:4", true, "this is no IPv4 address: write four numbers from 0 to 255, as in 192.0.2.1"},
	{"a.0x7f:4", true, "this is no name: a name has letters, digits, `-`, `_` and `.`, begins with a letter"},
	{"a b:4", true, "this is no name: "},
	{"a b:4", false, "this is no IP address: write IPV4:PORT or [IPV6]:PORT"},
	{"::1:77", false, "write [::1]:77: an IPv6 address stands in brackets"},
	{"2001:db8::1:77", true, "write [2001:db8::1]:77: an IPv6 address stands in brackets"},
	{"fe80::1%lo:77", true, "write [fe80::1%lo]:77: an IPv6 address stands in brackets"},
	{"1:2:3:4:5:6:7:8", true, "write [1:2:3:4:5:6:7:8]:PORT: an IPv6 address stands in brackets"},
	{"::1", true, "write [::1]:PORT: an IPv6 address stands in brackets"},
	{"a:5:6", true, "there are several `:`: write ADDRESS:PORT"},
	{"[::1", false, "the `]` is missing: write [IPV6]:PORT"},
	{"[::1]", false, "the port is missing: write [IPV6]:PORT"},
	{"[::1]77", false, "the port is missing: write [IPV6]:PORT"},
	{"[::1]:", false, "the port is missing: write ADDRESS:PORT"},
	{"[::1]:65536", false, "the port is more than 65535: write a lower one"},
	{"[1.2.3.4]:5", true, "there is no IPv6 address in the brackets: write [IPV6]:PORT, or others without"},
	{"[::1%lo]:5", true, "only a link-local address has an interface: remove it, from the % on"},
	{"[fe80::1%nosuch]:5", true, "there is no such interface: `ip link` lists them"},
	{"unix:x", false, "the path must begin with /, as in unix:/run/socket"},
	{"unix:", true, "the path must begin with /, as in unix:/run/socket"},
	{"UNIX:/x", false, "write `unix:` in small letters"},
	{"/run/x", false, "a path needs `unix:` before it: write unix:/run/x"},
};

static void what_is_wrong_is_said(void **state)
{
	char fault[ADDRESS_FAULT_MAX], text[400];

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		address_fault(faults[i].text, faults[i].names, fault);
		if (strncmp(fault, faults[i].fault, strlen(faults[i].fault)))
			fail_msg("`%s`: `%s`", faults[i].text, fault);
	}
	snprintf(text, sizeof(text), "unix:/%0*d", 107, 0);
	assert_string_equal(address_fault(text, true, fault),
			    "the path has 108 bytes, more than the 107 that a socket takes: shorten it");
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_true(*address_fault(wrong[i], i % 2, fault));
	for (const char *c = "0:[a./%"; *c; c++) {
		memset(text, *c, sizeof(text));
		text[sizeof(text) - 1] = '\0';
		assert_true(*address_fault(text, true, fault));
	}
}

/* The kernel passes over the zone of an address that is not link-local. */
static void zones_are_for_link_local_addresses(void **state)
{
	struct address address;

	(void)state;
	address = parsed("[fe80::1%7]:80");
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

static void some_want_a_zone(void **state)
{
	struct address address;

	(void)state;
	address = parsed("[fe80::1]:80");
	assert_true(address_lacks_zone(&address));
	address = parsed("[ff02::1]:80");
	assert_true(address_lacks_zone(&address));
	address = parsed("[fe80::1%lo]:80");
	assert_false(address_lacks_zone(&address));
	address = parsed("[ff05::1]:80");
	assert_false(address_lacks_zone(&address));
	address = parsed("169.254.0.1:80");
	assert_false(address_lacks_zone(&address));
	address = parsed("unix:/x");
	assert_false(address_lacks_zone(&address));
}

static void paths_have_a_bound(void **state)
{
	char text[sizeof("unix:") + 108], printed[ADDRESS_TEXT_MAX];
	struct address address;

	(void)state;
	snprintf(text, sizeof(text), "unix:/%0*d", 106, 0);
	address = parsed(text);
	assert_int_equal(address.length, sizeof(struct sockaddr_un));
	assert_string_equal(address_format(&address, printed), text);
	snprintf(text, sizeof(text), "unix:/%0*d", 107, 0);
	assert_int_equal(address_parse(&address, text), -EINVAL);
}

static struct address unix_address(const void *path, size_t length)
{
	struct address address = {.local = {.sun_family = AF_UNIX}};

	memcpy(address.local.sun_path, path, length);
	address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return address;
}

static void odd_bytes_of_a_path_are_escaped(void **state)
{
	char text[ADDRESS_TEXT_MAX], full[108];
	struct address address;

	(void)state;
	address = unix_address("/a b\\c\n\xff~", 10);
	assert_string_equal(address_format(&address, text), "unix:/a\\x20b\\x5cc\\x0a\\xff~");
	address = unix_address("\0bus", 4);
	assert_string_equal(address_format(&address, text), "unix:\\x00bus");
	address = unix_address("", 0);
	assert_string_equal(address_format(&address, text), "unix:");
	address.length = 0;
	assert_string_equal(address_format(&address, text), "unix:");
	memset(full, '\xff', sizeof(full));
	address = unix_address(full, sizeof(full));
	assert_int_equal(strlen(address_format(&address, text)), 5 + 4 * 108);
	address.length++;
	assert_int_equal(strlen(address_format(&address, text)), 5 + 4 * 108);
}

static void host_and_port_are_split(void **state)
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

static void ports_are_read_and_set(void **state)
{
	struct address v4 = parsed("192.0.2.1:0"), v6 = parsed("[::1]:65535"), local = parsed("unix:/x");

	(void)state;
	assert_int_equal(address_port(&v4), 0);
	assert_int_equal(address_port(&v6), 65535);
	assert_int_equal(address_port(&local), 0);
	address_set_port(&v4, 513);
	address_set_port(&v6, 0);
	address_set_port(&local, 7);
	assert_int_equal(v4.v4.sin_port, htons(513));
	assert_int_equal(address_port(&v6), 0);
	assert_string_equal(local.local.sun_path, "/x");
}

static void kinds_are_told_apart(void **state)
{
	static const struct {
		const char *text;
		bool wildcard, multicast;
	} kinds[] = {
		{"0.0.0.0:1", true, false},    {"[::]:1", true, false},
		{"0.0.0.1:1", false, false},   {"[::1]:1", false, false},
		{"224.0.0.0:1", false, true},  {"239.255.255.255:1", false, true},
		{"240.0.0.0:1", false, false}, {"[ff02::1]:1", false, true},
		{"[fe80::1]:1", false, false}, {"[::ffff:0.0.0.0]:1", false, false},
		{"unix:/x", false, false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		struct address address = parsed(kinds[i].text);

		assert_int_equal(address_is_wildcard(&address), kinds[i].wildcard);
		assert_int_equal(address_is_multicast(&address), kinds[i].multicast);
	}
}

static void different_addresses_differ(void **state)
{
	static const char *const texts[] = {"192.0.2.1:1",
					    "192.0.2.1:2",
					    "192.0.2.2:1",
					    "[2001:db8::1]:1",
					    "[2001:db8::1]:2",
					    "[2001:db8::2]:1",
					    "[::ffff:192.0.2.1]:1",
					    "[fe80::1]:1",
					    "[fe80::1%1]:1",
					    "[fe80::1%2]:1",
					    "unix:/a",
					    "unix:/b",
					    "unix:/a/b"};
	enum { COUNT = sizeof(texts) / sizeof(texts[0]) };

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		for (size_t j = 0; j < COUNT; j++) {
			struct address a = parsed(texts[i]), b = parsed(texts[j]);

			assert_int_equal(address_equal(&a, &b), i == j);
			assert_true(i != j || address_hash(&a) == address_hash(&b));
		}
	}
}

/* What the kernel and we leave undefined must not count. */
static void padding_does_not_count(void **state)
{
	struct address a = parsed("192.0.2.1:1"), b = a, c = parsed("[::1]:1"), d = c;
	struct address none = {0}, unnamed = unix_address("", 0), too_long = unix_address("/x", 3);

	(void)state;
	memset(b.v4.sin_zero, 1, sizeof(b.v4.sin_zero));
	assert_true(address_equal(&a, &b));
	assert_int_equal(address_hash(&a), address_hash(&b));
	d.v6.sin6_flowinfo = 1;
	assert_true(address_equal(&c, &d));
	assert_int_equal(address_hash(&c), address_hash(&d));
	assert_true(address_equal(&none, &none));
	assert_true(address_equal(&unnamed, &unnamed));
	assert_false(address_equal(&none, &unnamed));
	too_long.length = sizeof(too_long.local) + 1;
	assert_true(address_equal(&too_long, &too_long));
	assert_int_equal(address_hash(&none), address_hash(&none));
	assert_int_equal(address_hash(&too_long), address_hash(&too_long));
}

/* 4,096 clients of one network, in a table of as many buckets: no bucket has more than a few. */
static void hashes_spread(void **state)
{
	static uint8_t buckets[4096];
	struct address address = parsed("192.0.2.1:1");
	unsigned worst = 0;

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		address.v4.sin_addr.s_addr = htonl(0x0a000000 + i / 16);
		address_set_port(&address, (uint16_t)(40000 + i % 16));
		buckets[address_hash(&address) % 4096]++;
	}
	for (size_t i = 0; i < 4096; i++)
		worst = buckets[i] > worst ? buckets[i] : worst;
	assert_in_range(worst, 1, 12);
}

static void a_mapped_address_becomes_ipv4(void **state)
{
	struct address mapped, v4, v6;

	(void)state;
	assert_int_equal(address_parse(&mapped, "[::ffff:192.0.2.1]:7788"), 0);
	assert_int_equal(address_parse(&v4, "192.0.2.1:7788"), 0);
	assert_int_equal(address_parse(&v6, "[2001:db8::1]:7788"), 0);
	assert_true(address_is_v4_mapped(&mapped));
	assert_false(address_is_v4_mapped(&v4));
	assert_false(address_is_v4_mapped(&v6));
	address_unmap(&mapped);
	assert_true(address_equal(&mapped, &v4));
	address_unmap(&v6);
	assert_int_equal(v6.any.sa_family, AF_INET6);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mapped_address_becomes_ipv4),
		cmocka_unit_test(what_is_printed_can_be_read),
		cmocka_unit_test(one_address_has_many_texts),
		cmocka_unit_test(what_is_no_address_is_refused),
		cmocka_unit_test(what_is_wrong_is_said),
		cmocka_unit_test(zones_are_for_link_local_addresses),
		cmocka_unit_test(some_want_a_zone),
		cmocka_unit_test(paths_have_a_bound),
		cmocka_unit_test(odd_bytes_of_a_path_are_escaped),
		cmocka_unit_test(host_and_port_are_split),
		cmocka_unit_test(ports_are_read_and_set),
		cmocka_unit_test(kinds_are_told_apart),
		cmocka_unit_test(different_addresses_differ),
		cmocka_unit_test(padding_does_not_count),
		cmocka_unit_test(hashes_spread),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

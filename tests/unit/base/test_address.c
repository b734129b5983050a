#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
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

static void test_formatted_addresses_parse(void **state)
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
		struct address address = parse(texts[i]);

		assert_string_equal(address_format(&address, text), texts[i]);
		assert_ptr_equal(address_format(&address, text), text);
	}
}

static void test_link_local_addresses_lack_zone(void **state)
{
	struct address address;

	(void)state;
	address = parse("[fe80::1]:80");
	assert_true(address_lacks_zone(&address));
	address = parse("[ff02::1]:80");
	assert_true(address_lacks_zone(&address));
	address = parse("[fe80::1%lo]:80");
	assert_false(address_lacks_zone(&address));
	address = parse("[ff05::1]:80");
	assert_false(address_lacks_zone(&address));
	address = parse("169.254.0.1:80");
	assert_false(address_lacks_zone(&address));
	address = parse("unix:/x");
	assert_false(address_lacks_zone(&address));
}

static struct address unix_address(const void *path, size_t length)
{
	struct address address = {.local = {.sun_family = AF_UNIX}};

	memcpy(address.local.sun_path, path, length);
	address.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
	return address;
}

static void test_path_bytes_are_escaped(void **state)
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

static void test_port_is_read_and_set(void **state)
{
	struct address v4 = parse("192.0.2.1:0"), v6 = parse("[::1]:65535"), local = parse("unix:/x");

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

static void test_wildcard_and_multicast(void **state)
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
		struct address address = parse(kinds[i].text);

		assert_int_equal(address_is_wildcard(&address), kinds[i].wildcard);
		assert_int_equal(address_is_multicast(&address), kinds[i].multicast);
	}
}

static void test_different_addresses_differ(void **state)
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
			struct address a = parse(texts[i]), b = parse(texts[j]);

			assert_int_equal(address_equal(&a, &b), i == j);
			assert_true(i != j || address_hash(&a) == address_hash(&b));
		}
	}
}

static void test_same_host_ignores_port(void **state)
{
	struct address a = parse("192.0.2.1:1"), b = parse("192.0.2.1:2"), c = parse("192.0.2.2:1");
	struct address d = parse("[2001:db8::1]:1"), e = parse("[2001:db8::1]:2"), f = parse("[2001:db8::2]:1");
	struct address mapped = parse("[::ffff:192.0.2.1]:1"), local = parse("unix:/a");

	(void)state;
	assert_true(address_same_host(&a, &b));
	assert_false(address_same_host(&a, &c));
	assert_true(address_same_host(&d, &e));
	assert_false(address_same_host(&d, &f));
	assert_false(address_same_host(&a, &mapped));
	assert_false(address_same_host(&local, &local));
}

/* Bytes that the kernel leaves undefined do not change the result. */
static void test_padding_is_ignored(void **state)
{
	struct address a = parse("192.0.2.1:1"), b = a, c = parse("[::1]:1"), d = c;
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

/* 4,096 clients of one network, in a table with as many buckets: no bucket has more than 12. */
static void test_hashes_are_spread(void **state)
{
	static uint8_t buckets[4096];
	struct address address = parse("192.0.2.1:1");
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

static void test_mapped_address_becomes_ipv4(void **state)
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

static void test_sources_differ_by_address_or_prefix(void **state)
{
	static const struct {
		const char *a, *b;
		bool equal;
	} rows[] = {
		{"192.0.2.1:1", "192.0.2.1:2", true},
		{"192.0.2.1:1", "192.0.2.2:1", false},
		{"192.0.2.1:1", "[::ffff:192.0.2.1]:1", true},
		{"[2001:db8::1]:1", "[2001:db8::ffff:1]:2", true},
		{"[2001:db8::1]:1", "[2001:db8:0:1::1]:1", false},
	};
	struct siphash_key key, other;

	(void)state;
	siphash_key_random(&key);
	siphash_key_random(&other);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address a = parse(rows[i].a), b = parse(rows[i].b);

		assert_int_equal(address_source_hash(&a, &key) == address_source_hash(&b, &key), rows[i].equal);
		assert_int_not_equal(address_source_hash(&a, &key), address_source_hash(&a, &other));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mapped_address_becomes_ipv4),
		cmocka_unit_test(test_formatted_addresses_parse),
		cmocka_unit_test(test_link_local_addresses_lack_zone),
		cmocka_unit_test(test_path_bytes_are_escaped),
		cmocka_unit_test(test_port_is_read_and_set),
		cmocka_unit_test(test_wildcard_and_multicast),
		cmocka_unit_test(test_different_addresses_differ),
		cmocka_unit_test(test_same_host_ignores_port),
		cmocka_unit_test(test_padding_is_ignored),
		cmocka_unit_test(test_hashes_are_spread),
		cmocka_unit_test(test_sources_differ_by_address_or_prefix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

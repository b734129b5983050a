#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/prefix_set.h"

static struct prefix parse(const char *text)
{
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefix;

	if (!prefix_parse(&prefix, text, fault))
		fail_msg("`%s`: %s", text, fault);
	return prefix;
}

/* Creates a set of prefixes that are separated by blanks. Their lines are 1, 2 and so on. */
static struct prefix_set *create_set(const char *texts)
{
	char *copy = strdup(texts), *rest = copy, *text;
	struct prefix prefixes[32];
	struct prefix_set *set;
	unsigned count = 0;

	while ((text = strsep(&rest, " "))) {
		if (!*text)
			continue;
		prefixes[count] = parse(text);
		prefixes[count].line = count + 1;
		count++;
	}
	set = prefix_set_create(prefixes, count);
	free(copy);
	return set;
}

static const char *find(const struct prefix_set *set, const char *ip)
{
	static char text[PREFIX_TEXT_MAX];
	const struct prefix *prefix;
	struct address address;

	assert_int_equal(address_from_ip(&address, ip, 1), 0);
	prefix = prefix_set_find(set, &address);
	return prefix ? prefix_format(prefix, text) : "none";
}

#define assert_finds(set, ip, expected) assert_string_equal(find(set, ip), expected)

/* --- Text --- */

static void test_formatted_prefixes_parse(void **state)
{
	static const char *const texts[] = {"192.0.2.0/24", "0.0.0.0/0",         "192.0.2.1/32",
					    "128.0.0.0/1",  "2001:db8::/32",     "::/0",
					    "::1/128",      "2001:db8::8/125",   "8000::/1",
					    "fe80::/10",    "2001:db8:0:1::/64", "2001:db8:0:0:8000::/65"};
	char text[PREFIX_TEXT_MAX];
	struct prefix prefix;

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		prefix = parse(texts[i]);
		assert_string_equal(prefix_format(&prefix, text), texts[i]);
		assert_int_equal(prefix.line, 0);
	}
	prefix = parse("192.0.2.1");
	assert_int_equal(prefix.bits, 32);
	prefix = parse("2001:0DB8::1");
	assert_int_equal(prefix.bits, 128);
	prefix = parse("ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255/128");
	assert_string_equal(prefix_format(&prefix, text), "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
}

static void test_faults_name_the_correct_form(void **state)
{
	static const char *const faults[][2] = {
		{"all", "not a prefix: write one such as 192.0.2.0/24 or 2001:db8::/32"},
		{"", "not a prefix: "},
		{"/24", "not a prefix: "},
		{"192.0.2/24", "not a prefix: "},
		{"1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:1:2:3:4:5:6:7:8/1", "not a prefix: "},
		{"192.0.2.0/33", "not a prefix length: write a number from 0 to 32 after the /"},
		{"2001:db8::/129", "not a prefix length: write a number from 0 to 128 after the /"},
		{"192.0.2.0/", "not a prefix length: "},
		{"192.0.2.0/-1", "not a prefix length: "},
		{"192.0.2.0/024", "not a prefix length: "},
		{"192.0.2.0/24/24", "not a prefix length: "},
		{"192.0.2.0/4294967296", "not a prefix length: "},
		{"192.0.2.0/255.255.255.0", "not a prefix length: "},
		{"fe80::1%eth0", "a prefix has no interface: write fe80::1/128"},
		{"fe80::1%eth0/64", "a prefix has no interface: write fe80::/64"},
		{"192.0.2.1%eth0/33", "not a prefix length: "},
		{"::ffff:192.0.2.1%eth0", "this is an IPv4-mapped IPv6 prefix: write 192.0.2.1/32"},
		{"%eth0", "not a prefix: "},
		{"192.0.2.1/24", "some bits after the prefix length are set: write 192.0.2.0/24"},
		{"0.0.0.1/0", "some bits after the prefix length are set: write 0.0.0.0/0"},
		{"192.0.2.3/31", "some bits after the prefix length are set: write 192.0.2.2/31"},
		{"2001:db8::1/64", "some bits after the prefix length are set: write 2001:db8::/64"},
		{"2001:db8:0:1::/63", "some bits after the prefix length are set: write 2001:db8::/63"},
		{"::1/127", "some bits after the prefix length are set: write ::/127"},
		{"8000::/0", "some bits after the prefix length are set: write ::/0"},
		{"::ffff:192.0.2.1", "this is an IPv4-mapped IPv6 prefix: write 192.0.2.1/32"},
		{"::ffff:192.0.2.1/120", "this is an IPv4-mapped IPv6 prefix: write 192.0.2.0/24"},
		{"::ffff:0:0/96", "this is an IPv4-mapped IPv6 prefix: write 0.0.0.0/0"},
	};
	struct prefix prefix = {.line = 7};
	char fault[PREFIX_FAULT_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		assert_false(prefix_parse(&prefix, faults[i][0], fault));
		if (strncmp(fault, faults[i][1], strlen(faults[i][1])))
			fail_msg("`%s`: %s", faults[i][0], fault);
	}
	assert_int_equal(prefix.line, 7);
}

/* --- Sets --- */

static void test_empty_set(void **state)
{
	struct prefix_set *set = prefix_set_create(NULL, 0);

	(void)state;
	assert_finds(set, "0.0.0.0", "none");
	assert_finds(set, "255.255.255.255", "none");
	assert_finds(set, "::", "none");
	assert_finds(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "none");
	prefix_set_destroy(set);
	assert_finds(NULL, "192.0.2.1", "none");
	prefix_set_destroy(NULL);
}

static void test_longest_prefix_is_found(void **state)
{
	struct prefix_set *set =
		create_set("10.1.2.3 10.0.0.0/8 10.1.0.0/16 10.1.2.0/24 10.255.255.255/32 10.0.0.0/32 "
			   "10.0.0.0/24 2001:db8:1::/48 2001:db8::/32 2001:db8:1:2::/64 2001:db8:1:2::3");

	(void)state;
	assert_finds(set, "9.255.255.255", "none");
	assert_finds(set, "10.0.0.0", "10.0.0.0/32");
	assert_finds(set, "10.0.0.1", "10.0.0.0/24");
	assert_finds(set, "10.0.1.0", "10.0.0.0/8");
	assert_finds(set, "10.1.1.255", "10.1.0.0/16");
	assert_finds(set, "10.1.2.2", "10.1.2.0/24");
	assert_finds(set, "10.1.2.3", "10.1.2.3/32");
	assert_finds(set, "10.1.2.4", "10.1.2.0/24");
	assert_finds(set, "10.1.3.0", "10.1.0.0/16");
	assert_finds(set, "10.2.0.0", "10.0.0.0/8");
	assert_finds(set, "10.255.255.254", "10.0.0.0/8");
	assert_finds(set, "10.255.255.255", "10.255.255.255/32");
	assert_finds(set, "11.0.0.0", "none");
	assert_finds(set, "2001:db8:0:ffff:ffff:ffff:ffff:ffff", "2001:db8::/32");
	assert_finds(set, "2001:db8:1:2::2", "2001:db8:1:2::/64");
	assert_finds(set, "2001:db8:1:2::3", "2001:db8:1:2::3/128");
	assert_finds(set, "2001:db8:1:2::4", "2001:db8:1:2::/64");
	assert_finds(set, "2001:db8:1:3::", "2001:db8:1::/48");
	assert_finds(set, "2001:db8:2::", "2001:db8::/32");
	assert_finds(set, "2001:db9::", "none");
	prefix_set_destroy(set);
}

static void test_adjacent_ranges(void **state)
{
	struct prefix_set *set =
		create_set("192.0.2.128/25 192.0.2.0/25 192.0.3.0/24 2001:db8::/33 2001:db8:8000::/33");

	(void)state;
	assert_finds(set, "192.0.1.255", "none");
	assert_finds(set, "192.0.2.0", "192.0.2.0/25");
	assert_finds(set, "192.0.2.127", "192.0.2.0/25");
	assert_finds(set, "192.0.2.128", "192.0.2.128/25");
	assert_finds(set, "192.0.2.255", "192.0.2.128/25");
	assert_finds(set, "192.0.3.0", "192.0.3.0/24");
	assert_finds(set, "192.0.4.0", "none");
	assert_finds(set, "2001:db8:7fff:ffff:ffff:ffff:ffff:ffff", "2001:db8::/33");
	assert_finds(set, "2001:db8:8000::", "2001:db8:8000::/33");
	assert_finds(set, "2001:db9::", "none");
	prefix_set_destroy(set);
}

static void test_shortest_and_longest_prefixes(void **state)
{
	struct prefix_set *set = create_set("0.0.0.0/0 0.0.0.0/32 255.255.255.255/32 ::/0 ::/128 "
					    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 128.0.0.0/1");

	(void)state;
	assert_finds(set, "0.0.0.0", "0.0.0.0/32");
	assert_finds(set, "0.0.0.1", "0.0.0.0/0");
	assert_finds(set, "255.255.255.254", "128.0.0.0/1");
	assert_finds(set, "255.255.255.255", "255.255.255.255/32");
	assert_finds(set, "::", "::/128");
	assert_finds(set, "::1", "::/0");
	assert_finds(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe", "::/0");
	assert_finds(set, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128");
	prefix_set_destroy(set);
}

/* A prefix of every length, each inside the previous one. */
static void test_prefixes_nest_to_any_depth(void **state)
{
	struct prefix prefixes[129 + 33] = {0};
	struct prefix_set *set;

	(void)state;
	for (unsigned bits = 0; bits <= 128; bits++)
		prefixes[bits] = (struct prefix){.family = AF_INET6, .bits = (uint8_t)bits};
	for (unsigned bits = 0; bits <= 32; bits++)
		prefixes[129 + bits] = (struct prefix){.family = AF_INET, .bits = (uint8_t)bits};
	set = prefix_set_create(prefixes, 129 + 33);
	assert_finds(set, "::", "::/128");
	assert_finds(set, "::1", "::/127");
	assert_finds(set, "::1:0:0:0", "::/79");
	assert_finds(set, "8000::", "::/0");
	assert_finds(set, "0.0.0.0", "0.0.0.0/32");
	assert_finds(set, "0.0.0.2", "0.0.0.0/30");
	assert_finds(set, "128.0.0.0", "0.0.0.0/0");
	prefix_set_destroy(set);
}

static void test_families_are_separate(void **state)
{
	struct prefix_set *v4 = create_set("0.0.0.0/0"), *v6 = create_set("::/0");
	struct address address;

	(void)state;
	assert_finds(v4, "::1", "none");
	assert_finds(v4, "::192.0.2.1", "none");
	assert_finds(v6, "192.0.2.1", "none");
	assert_int_equal(address_parse(&address, "unix:/run/x"), 0);
	assert_null(prefix_set_find(v4, &address));
	assert_null(prefix_set_find(v6, &address));
	prefix_set_destroy(v4);
	prefix_set_destroy(v6);
}

static void test_mapped_address_is_found_as_ipv4(void **state)
{
	struct prefix_set *set = create_set("192.0.2.0/24 ::/0");

	(void)state;
	assert_finds(set, "::ffff:192.0.2.1", "192.0.2.0/24");
	assert_finds(set, "::ffff:192.0.3.1", "none");
	assert_finds(set, "::fffe:192.0.2.1", "::/0");
	prefix_set_destroy(set);
}

static void test_equal_prefixes_keep_first_line(void **state)
{
	struct prefix_set *set =
		create_set("10.0.0.0/8 192.0.2.0/24 10.0.0.0/8 192.0.2.0/24 192.0.2.0/25 192.0.2.0/24");
	struct address address;

	(void)state;
	address_from_ip(&address, "192.0.2.200", 0);
	assert_int_equal(prefix_set_find(set, &address)->line, 2);
	address_from_ip(&address, "192.0.2.100", 0);
	assert_int_equal(prefix_set_find(set, &address)->line, 5);
	address_from_ip(&address, "10.9.9.9", 0);
	assert_int_equal(prefix_set_find(set, &address)->line, 1);
	prefix_set_destroy(set);
}

/* --- Comparison with a linear search --- */

#define MANY 50000
#define LOOKUPS 1000

static uint64_t random_state = 20261122;

static uint64_t random_number(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool has_bit(const uint8_t *ip, unsigned i)
{
	return ip[i / 8] >> (7 - i % 8) & 1;
}

static const uint8_t *bytes_of(const struct address *address)
{
	return address->any.sa_family == AF_INET ? (const uint8_t *)&address->v4.sin_addr
						 : (const uint8_t *)&address->v6.sin6_addr;
}

static bool covers(const struct prefix *prefix, const struct address *address)
{
	const uint8_t *ip = (const uint8_t *)&prefix->v6, *other = bytes_of(address);

	for (unsigned i = 0; i < prefix->bits; i++) {
		if (has_bit(ip, i) != has_bit(other, i))
			return false;
	}
	return prefix->family == address->any.sa_family;
}

/* Uses few different first bytes, so that many prefixes are inside others. */
static void random_ip(uint8_t *ip, size_t size)
{
	for (size_t i = 0; i < size; i++)
		ip[i] = (uint8_t)(random_number() >> 32);
	ip[0] = (uint8_t)(0x20 + ip[0] % 16);
	if (random_number() % 2)
		ip[1] %= 4;
}

static struct prefix random_prefix(unsigned line)
{
	bool v4 = random_number() % 2;
	struct prefix prefix = {.family = v4 ? AF_INET : AF_INET6, .line = line};
	unsigned most = v4 ? 32 : 128;
	uint8_t *ip = (uint8_t *)&prefix.v6;

	prefix.bits = (uint8_t)(most / 2 + random_number() % (most / 2 + 1));
	random_ip(ip, most / 8);
	for (unsigned i = prefix.bits; i < most; i++)
		ip[i / 8] = (uint8_t)(ip[i / 8] & ~(0x80 >> i % 8));
	return prefix;
}

/* Half of the addresses are inside the prefix, or differ from it only in its last bit. */
static struct address random_address(const struct prefix *prefix)
{
	bool v4 = prefix->family == AF_INET;
	struct address address = {0};
	uint8_t *ip;

	address.any.sa_family = prefix->family;
	ip = (uint8_t *)bytes_of(&address);
	random_ip(ip, v4 ? 4 : 16);
	if (random_number() % 2)
		return address;
	memcpy(ip, &prefix->v6, v4 ? 4 : 16);
	for (unsigned i = prefix->bits ? prefix->bits - random_number() % 2 : 0; i < (v4 ? 32u : 128u); i++)
		ip[i / 8] ^= (uint8_t)(random_number() % 2 << (7 - i % 8));
	return address;
}

static const struct prefix *find_linearly(const struct prefix *prefixes, size_t count, const struct address *address)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < count; i++) {
		if ((!best || prefixes[i].bits > best->bits) && covers(&prefixes[i], address))
			best = &prefixes[i];
	}
	return best;
}

static void test_lookup_matches_linear_search(void **state)
{
	struct prefix *prefixes = calloc(MANY, sizeof(*prefixes));
	struct prefix_set *set;
	unsigned hits = 0;

	(void)state;
	for (unsigned i = 0; i < MANY; i++)
		prefixes[i] = random_prefix(i + 1);
	set = prefix_set_create(prefixes, MANY);
	for (unsigned i = 0; i < LOOKUPS; i++) {
		struct address address = random_address(&prefixes[random_number() % MANY]);
		const struct prefix *expected = find_linearly(prefixes, MANY, &address);
		const struct prefix *found = prefix_set_find(set, &address);

		assert_int_equal(!expected, !found);
		hits += expected != NULL;
		if (expected)
			assert_memory_equal(found, expected, sizeof(*found));
	}
	assert_in_range(hits, LOOKUPS / 4, LOOKUPS - 1);
	prefix_set_destroy(set);
	free(prefixes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formatted_prefixes_parse),
		cmocka_unit_test(test_faults_name_the_correct_form),
		cmocka_unit_test(test_empty_set),
		cmocka_unit_test(test_longest_prefix_is_found),
		cmocka_unit_test(test_adjacent_ranges),
		cmocka_unit_test(test_shortest_and_longest_prefixes),
		cmocka_unit_test(test_prefixes_nest_to_any_depth),
		cmocka_unit_test(test_families_are_separate),
		cmocka_unit_test(test_mapped_address_is_found_as_ipv4),
		cmocka_unit_test(test_equal_prefixes_keep_first_line),
		cmocka_unit_test(test_lookup_matches_linear_search),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

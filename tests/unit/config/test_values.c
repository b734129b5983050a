#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "config/values.h"

#define UNTOUCHED 4711

static void booleans(void **state)
{
	static const char *const words[] = {"on", "yes", "true", "ON", "Yes", "tRuE"};
	static const char *const others[] = {"off", "no", "false", "OFF"};
	static const char *const wrong[] = {"", "1", "0", "o", "onn", " on", "y", "enabled"};
	bool result;

	(void)state;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		result = false;
		assert_true(value_boolean(words[i], &result) && result);
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		result = true;
		assert_true(value_boolean(others[i], &result) && !result);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_false(value_boolean(wrong[i], &result));
		assert_false(result);
	}
}

static void numbers(void **state)
{
	static const char *const wrong[] = {"",
					    "9",
					    "101",
					    "-10",
					    "+10",
					    " 10",
					    "10 ",
					    "0x10",
					    "10K",
					    "1e2",
					    "10.0",
					    "ten",
					    "18446744073709551626"};
	uint64_t result;

	(void)state;
	assert_true(value_number("10", 10, 100, &result) && result == 10);
	assert_true(value_number("0100", 10, 100, &result) && result == 100);
	assert_true(value_number("999999999999999999", 0, UINT64_MAX, &result) && result == 999999999999999999);
	result = UNTOUCHED;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_number(wrong[i], 10, 100, &result));
	assert_int_equal(result, UNTOUCHED);
}

static void sizes(void **state)
{
	static const char *const wrong[] = {"",    "K",   "1KB",  "1KiB", "1T",
					    "1 K", "-1K", "1.5M", "KK",   "99999999999999999G"};
	uint64_t result;

	(void)state;
	assert_true(value_size("512", 0, UINT64_MAX, &result) && result == 512);
	assert_true(value_size("64K", 0, UINT64_MAX, &result) && result == 65536);
	assert_true(value_size("4m", 0, UINT64_MAX, &result) && result == 4 << 20);
	assert_true(value_size("1G", 0, UINT64_MAX, &result) && result == 1 << 30);
	assert_true(value_size("1K", 1024, 1024, &result));
	result = UNTOUCHED;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_size(wrong[i], 0, UINT64_MAX, &result));
	assert_false(value_size("1K", 1025, 2000, &result));
	assert_false(value_size("2K", 0, 2047, &result));
	assert_int_equal(result, UNTOUCHED);
}

static void durations(void **state)
{
	static const char *const wrong[] = {"", "5", "5min", "5d", "s", "1h30m", "0.5s", "-1s", "999999999999999999h"};
	uint64_t result;

	(void)state;
	assert_true(value_duration("500ms", 0, UINT64_MAX, &result) && result == 500);
	assert_true(value_duration("5s", 0, UINT64_MAX, &result) && result == 5000);
	assert_true(value_duration("2M", 0, UINT64_MAX, &result) && result == 120000);
	assert_true(value_duration("24h", 0, UINT64_MAX, &result) && result == 86400000);
	result = UNTOUCHED;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_duration(wrong[i], 0, UINT64_MAX, &result));
	assert_int_equal(result, UNTOUCHED);
}

static void choices(void **state)
{
	static const char *const words[] = {"text", "json", NULL};
	unsigned result = UNTOUCHED;

	(void)state;
	assert_true(value_choice("JSON", words, &result) && result == 1);
	assert_true(value_choice("text", words, &result) && result == 0);
	assert_false(value_choice("", words, &result));
	assert_false(value_choice("jso", words, &result));
	assert_int_equal(result, 0);
}

static void ports(void **state)
{
	static const char *const right[] = {"7", "0", "100-163", "65535", "7"};
	static const char *const wrong[] = {"",   ",",     "1,",    "1,2",  "65536",   "2-1", "1-",
					    "-1", "1-2-3", "1 - 2", "http", "0-65536", "1;2"};
	struct port_set set = {0}, before;
	unsigned count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++)
		assert_true(value_ports(right[i], &set));
	for (unsigned port = 0; port < 65536; port++)
		count += port_set_has(&set, (uint16_t)port);
	assert_int_equal(count, 3 + 64);
	assert_true(port_set_has(&set, 0) && port_set_has(&set, 7) && port_set_has(&set, 65535));
	assert_true(port_set_has(&set, 100) && port_set_has(&set, 163) && !port_set_has(&set, 164));
	before = set;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_ports(wrong[i], &set));
	assert_memory_equal(&set, &before, sizeof(set));
	assert_true(value_ports("0-65535", &set));
	assert_true(port_set_has(&set, 40000));
	assert_false(port_set_has(NULL, 1));
}

static void interfaces(void **state)
{
	static const char *const wrong[] = {"",        ".", "..", "a/b", "a:b", "a b", "a%b", "a,b", "abcdefghijklmnop",
					    "\xc3\xa4"};
	char result[IF_NAMESIZE] = "";

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_interface(wrong[i], result));
	assert_string_equal(result, "");
	assert_true(value_interface("abcdefghijklmno", result));
	assert_string_equal(result, "abcdefghijklmno");
	assert_true(value_interface("br-lan.100@x", result));
}

static void hex_digits(void **state)
{
	uint8_t bytes[4] = {1, 2, 3, 4};

	(void)state;
	assert_null(value_hex("00fFa9", bytes));
	assert_memory_equal(bytes, "\x00\xff\xa9\x04", 4);
	assert_null(value_hex("", bytes));
	assert_string_equal(value_hex("123", bytes), "has an odd number of hex digits: write two for each byte");
	assert_string_equal(value_hex("12 3", bytes),
			    "is not a hex number: write two digits for each byte, such as `00 ff`");
	assert_memory_equal(bytes, "\x00\xff\xa9\x04", 4);
}

static void words_of_hex_digits(void **state)
{
	char text[] = "00 ff,\n0a0b\t7f", odd[] = "00 0a0 ff", letters[] = "0a0b zz";
	uint8_t bytes[sizeof(text)];
	const char *word = NULL;
	size_t size = UNTOUCHED;

	(void)state;
	assert_null(value_hex_words(text, bytes, &size, &word));
	assert_int_equal(size, 5);
	assert_memory_equal(bytes, "\x00\xff\x0a\x0b\x7f", 5);
	assert_non_null(strstr(value_hex_words(odd, bytes, &size, &word), "odd number"));
	assert_string_equal(word, "0a0");
	assert_non_null(strstr(value_hex_words(letters, bytes, &size, &word), "not a hex number"));
	assert_string_equal(word, "zz");
}

static void lists(void **state)
{
	char text[] = " a , b c\t,,d,", *cursor = text;

	(void)state;
	assert_string_equal(value_next_item(&cursor), "a");
	assert_string_equal(value_next_item(&cursor), "b c");
	assert_string_equal(value_next_item(&cursor), "");
	assert_string_equal(value_next_item(&cursor), "d");
	assert_string_equal(value_next_item(&cursor), "");
	assert_null(value_next_item(&cursor));
	assert_null(value_next_item(&cursor));
}

static void distances(void **state)
{
	char longer[100];

	(void)state;
	assert_int_equal(value_distance("", ""), 0);
	assert_int_equal(value_distance("", "abc"), 3);
	assert_int_equal(value_distance("abc", ""), 3);
	assert_int_equal(value_distance("Peers", "pEERS"), 0);
	assert_int_equal(value_distance("kitten", "sitting"), 3);
	assert_int_equal(value_distance("adress", "address"), 1);
	memset(longer, 'a', sizeof(longer));
	longer[99] = '\0';
	assert_in_range(value_distance(longer, "a"), 40, 100);
	assert_in_range(value_distance("a", longer), 40, 100);
}

static void host_names(void **state)
{
	static const char *const names[] = {"a", "1a", "a.example", "a.example.", "3com.com", "a-1"};
	static const char *const wrong[] = {"",       "1",    "192.168.1", "a.1", "a.1.", "0x7f.1",
					    "a.0xff", "a.0x", ".",         "-a",  "_a"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(value_host_name(names[i]));
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(value_host_name(wrong[i]));
}

static void addresses_and_names_differ(void **state)
{
	(void)state;
	assert_true(value_is_address("192.0.2.1:5"));
	assert_true(value_is_address("192.0.2.1"));
	assert_true(value_is_address("2001:db8::1"));
	assert_true(value_is_address("192.0.2.1/5"));
	assert_true(value_is_address("a.example:5"));
	assert_true(value_is_address("unix:/x"));
	assert_false(value_is_address("a.example"));
	assert_false(value_is_address("1"));
	assert_false(value_is_address("192.0.2"));
	assert_false(value_is_address(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(booleans),
		cmocka_unit_test(numbers),
		cmocka_unit_test(sizes),
		cmocka_unit_test(durations),
		cmocka_unit_test(host_names),
		cmocka_unit_test(addresses_and_names_differ),
		cmocka_unit_test(choices),
		cmocka_unit_test(ports),
		cmocka_unit_test(interfaces),
		cmocka_unit_test(lists),
		cmocka_unit_test(distances),
		cmocka_unit_test(hex_digits),
		cmocka_unit_test(words_of_hex_digits),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "text/converter.h"

#define LIMIT 64

static struct converter *converter;
static char out[64];

static int tear_down(void **state)
{
	(void)state;
	converter_destroy(converter);
	return 0;
}

static void create_converter(const char *from, const char *to, enum codec_errors errors)
{
	converter_destroy(converter);
	converter = NULL;
	assert_int_equal(converter_create(&converter, (char *[]){(char *)from}, 1, to, errors, LIMIT), 0);
}

static ssize_t convert(const char *bytes, size_t capacity)
{
	return converter_run(converter, bytes, strlen(bytes), out, capacity);
}

static void assert_bytes(const char *bytes, const char *expected, size_t size)
{
	assert_int_equal(convert(bytes, sizeof(out)), size);
	assert_memory_equal(out, expected, size);
}

#define assert_converts(bytes, expected) assert_bytes(bytes, expected, sizeof(expected) - 1)

static void test_charsets_are_converted(void **state)
{
	(void)state;
	create_converter("gbk", "utf-8", CODEC_STRICT);
	assert_converts("\xc4\xe3\xba\xc3!", "你好!");
	create_converter("utf-8", "gbk", CODEC_STRICT);
	assert_converts("你好!", "\xc4\xe3\xba\xc3!");
	create_converter("utf-8", "gb18030", CODEC_STRICT);
	assert_converts("\u9fb4𝄞\ue78d", "\x82\x35\x90\x37\x94\x32\xbe\x34\xa6\xd9");
	create_converter("utf-8", "shift_jis", CODEC_STRICT);
	assert_converts("\\~¥‾", "\\~\\~");
}

static void test_utf16_starts_with_byte_order_mark(void **state)
{
	(void)state;
	create_converter("utf-8", "utf-16", CODEC_STRICT);
	assert_converts("A𝄞", "\xff\xfe\x41\x00\x34\xd8\x1e\xdd");
	assert_converts("", "\xff\xfe");
	create_converter("utf-8", "utf-16-le", CODEC_STRICT);
	assert_converts("A", "A\0");
	create_converter("utf-8", "utf-16-be", CODEC_STRICT);
	assert_converts("A𝄞", "\0\x41\xd8\x34\xdd\x1e");
}

static void test_characters_that_charset_lacks(void **state)
{
	(void)state;
	create_converter("utf-8", "latin-1", CODEC_STRICT);
	assert_int_equal(convert("é你", sizeof(out)), -EILSEQ);
	create_converter("utf-8", "latin-1", CODEC_REPLACE);
	assert_converts("é你", "\xe9?");
	create_converter("utf-8", "latin-1", CODEC_IGNORE);
	assert_converts("é你!", "\xe9!");
	create_converter("utf-8", "ascii", CODEC_BACKSLASHREPLACE);
	assert_converts("é你𝄞", "\\xe9\\u4f60\\U0001d11e");
	/* glibc encodes these characters, Python does not. */
	create_converter("utf-8", "big5", CODEC_REPLACE);
	assert_converts("‧•€∕／", "?\xa1\x45??\xa2\x41");
}

static void test_bytes_that_do_not_decode(void **state)
{
	(void)state;
	create_converter("utf-8", "gbk", CODEC_STRICT);
	assert_int_equal(convert("a\xff", sizeof(out)), -EILSEQ);
	create_converter("utf-8", "gbk", CODEC_REPLACE);
	assert_converts("a\xff", "a?");
	create_converter("utf-8", "gbk", CODEC_BACKSLASHREPLACE);
	assert_converts("a\xff\\xff", "a\\xff\\xff");
	create_converter("utf-8", "utf-16-be", CODEC_BACKSLASHREPLACE);
	assert_converts("\xff", "\0\\\0x\0f\0f");
}

static void test_result_longer_than_capacity(void **state)
{
	static const char *const charsets[] = {"utf-8", "gbk", "gb18030", "utf-16-le", "iso-2022-jp"};

	(void)state;
	for (size_t i = 0; i < sizeof(charsets) / sizeof(charsets[0]); i++) {
		create_converter("utf-8", charsets[i], CODEC_STRICT);
		ssize_t size = convert("A日本", sizeof(out));
		assert_in_range(size, 5, 16);
		assert_int_equal(convert("A日本", (size_t)size), size);
		for (ssize_t less = 0; less < size; less++)
			assert_int_equal(convert("A日本", (size_t)less), -EMSGSIZE);
	}
}

static void test_shift_states_end_with_each_call(void **state)
{
	(void)state;
	create_converter("utf-8", "iso-2022-jp", CODEC_REPLACE);
	assert_converts("A日", "A\x1b$BF|\x1b(B");
	assert_converts("日A", "\x1b$BF|\x1b(BA");
	assert_converts("日𝄞", "\x1b$BF|\x1b(B?");
	assert_int_equal(convert("日日日", 8), -EMSGSIZE);
	assert_converts("A", "A");
}

static void test_names_are_checked(void **state)
{
	char utf8[] = "utf-8", hex[] = "hex", unknown[] = "nonesuch";

	(void)state;
	assert_int_equal(converter_create(&converter, (char *[]){utf8}, 1, hex, CODEC_STRICT, LIMIT), -EINVAL);
	assert_int_equal(converter_create(&converter, (char *[]){utf8, hex}, 2, utf8, CODEC_STRICT, LIMIT), -EINVAL);
	assert_int_equal(converter_create(&converter, (char *[]){unknown}, 1, utf8, CODEC_STRICT, LIMIT), -EINVAL);
	assert_int_equal(converter_create(&converter, (char *[]){utf8}, 1, "gbk//x", CODEC_STRICT, LIMIT), -EINVAL);
	converter_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_charsets_are_converted),
		cmocka_unit_test(test_utf16_starts_with_byte_order_mark),
		cmocka_unit_test(test_characters_that_charset_lacks),
		cmocka_unit_test(test_bytes_that_do_not_decode),
		cmocka_unit_test(test_result_longer_than_capacity),
		cmocka_unit_test(test_shift_states_end_with_each_call),
		cmocka_unit_test(test_names_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, tear_down);
}

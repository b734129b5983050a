#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "text/charset.h"

static struct charset find_charset(const char *name)
{
	struct charset charset;

	if (!charset_find(name, &charset))
		fail_msg("%s is not known", name);
	return charset;
}

static void test_spellings_are_equal(void **state)
{
	static const char *const big5[] = {"big5", "Big5", "BIG-5", "big5_tw", "csBig5"};
	static const char *const latin1[] = {"latin-1", "latin_1", "LATIN1", "iso-8859-1", "iso8859_1", "L1"};

	(void)state;
	for (size_t i = 0; i < sizeof(big5) / sizeof(big5[0]); i++)
		assert_string_equal(find_charset(big5[i]).iconv_name, "BIG5");
	for (size_t i = 0; i < sizeof(latin1) / sizeof(latin1[0]); i++)
		assert_string_equal(find_charset(latin1[i]).iconv_name, "ISO-8859-1");
	assert_string_equal(find_charset("Shift_JIS").iconv_name, "SJIS");
	assert_string_equal(find_charset("us-ascii").iconv_name, "ASCII");
	assert_string_equal(find_charset("cp936").iconv_name, "GBK");
}

static void test_kinds_of_charsets(void **state)
{
	(void)state;
	assert_int_equal(find_charset("UTF8").kind, CHARSET_UTF8);
	assert_int_equal(find_charset("utf-16").kind, CHARSET_UTF16);
	assert_int_equal(find_charset("utf_16_le").kind, CHARSET_UTF16LE);
	assert_int_equal(find_charset("UTF-16BE").kind, CHARSET_UTF16BE);
	assert_int_equal(find_charset("HEX").kind, CHARSET_HEX);
	assert_int_equal(find_charset("gb18030").kind, CHARSET_ICONV);
	assert_string_equal(find_charset("KOI8-R").iconv_name, "KOI8-R");
}

static void test_invalid_names_are_rejected(void **state)
{
	static const char *const names[] = {
		"",       "-",         "nonesuch", "utf-8//IGNORE", "utf-8//TRANSLIT", "ascii/",
		"utf-8 ", "utf-8,gbk", "\xff",     "utf8 u8",       "../../tmp/x",     "big5\ntw"};
	struct charset charset;
	char longest[400];

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(charset_find(names[i], &charset));
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_false(charset_find(longest, &charset));
}

static void assert_override(const char *name, const char *code, uint32_t c)
{
	struct charset charset = find_charset(name);
	int length = (int)strlen(code);
	uint8_t encoded[4];
	uint32_t decoded;

	assert_int_equal(charset_decode_override(&charset, (const uint8_t *)code, (size_t)length, &decoded), length);
	assert_int_equal(decoded, c);
	assert_int_equal(charset_encode_override(&charset, c, encoded), length);
	assert_memory_equal(encoded, code, length);
}

static void test_overrides_map_like_python(void **state)
{
	(void)state;
	assert_override("big5", "\xa1\x45", 0x2022);
	assert_override("big5", "\xa2\x47", 0xa3);
	assert_override("big5", "\xc7\x7e", 0x30e6);
	assert_override("gb18030", "\xa6\xd9", 0xe78d);
	assert_override("gb18030", "\xfe\x67", 0xe82c);
	assert_override("gb18030", "\x82\x35\x91\x34", 0x9fbb);
	assert_override("gb18030", "\x84\x31\x82\x36", 0xfe10);
	assert_override("gb18030", "\x96\x35\xb6\x30", 0x241fe);
	assert_override("shift_jis", "\\", '\\');
}

static void test_overrides_reject_codes(void **state)
{
	struct charset big5 = find_charset("big5"), gbk = find_charset("gbk");
	uint32_t c;

	(void)state;
	assert_int_equal(charset_decode_override(&big5, (const uint8_t *)"\xa3\xe1", 2, &c), -1);
	assert_int_equal(charset_decode_override(&big5, (const uint8_t *)"\xf9\xfe", 2, &c), -1);
	assert_int_equal(charset_decode_override(&gbk, (const uint8_t *)"\x80\x41", 2, &c), -1);
	assert_int_equal(charset_decode_override(&gbk, (const uint8_t *)"\xc4\xe3", 2, &c), 0);
}

static void test_overrides_that_only_encode(void **state)
{
	struct charset charset = find_charset("shift_jis");
	uint8_t code[4];

	(void)state;
	assert_int_equal(charset_encode_override(&charset, 0xa5, code), 1);
	assert_int_equal(code[0], '\\');
	assert_int_equal(charset_encode_override(&charset, 0xffe1, code), -1);
	assert_int_equal(charset_encode_override(&charset, 'A', code), 0);
}

static void test_iconv_prefix_ends_before_overrides_and_incomplete_codes(void **state)
{
	struct charset big5 = find_charset("big5"), gb18030 = find_charset("gb18030"), sjis = find_charset("sjis"),
		       koi8 = find_charset("koi8-r");
	const uint8_t *text = (const uint8_t *)"a\xa4\x40\xa1\x45";
	const uint8_t *four = (const uint8_t *)"\x81\x30\x81\x30";

	(void)state;
	assert_int_equal(charset_iconv_prefix(&big5, text, 5), 3);
	assert_int_equal(charset_iconv_prefix(&big5, text, 2), 1);
	assert_true(charset_is_incomplete(&big5, text + 1, 1));
	assert_false(charset_is_incomplete(&big5, text + 1, 2));
	assert_int_equal(charset_iconv_prefix(&gb18030, four, 3), 0);
	assert_true(charset_is_incomplete(&gb18030, four, 3));
	assert_int_equal(charset_iconv_prefix(&gb18030, four, 4), 4);
	assert_int_equal(charset_iconv_prefix(&sjis, (const uint8_t *)"\xb1\x83", 2), 1);
	assert_int_equal(charset_iconv_prefix(&koi8, text, 5), 5);
	assert_false(charset_is_incomplete(&koi8, text + 1, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spellings_are_equal),
		cmocka_unit_test(test_kinds_of_charsets),
		cmocka_unit_test(test_invalid_names_are_rejected),
		cmocka_unit_test(test_overrides_map_like_python),
		cmocka_unit_test(test_overrides_reject_codes),
		cmocka_unit_test(test_overrides_that_only_encode),
		cmocka_unit_test(test_iconv_prefix_ends_before_overrides_and_incomplete_codes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text/codec.h"

#define LIMIT 256

static struct codec *codec;
static struct codec_text text;

static void create_codec(const char *first, const char *second, enum codec_errors errors)
{
	char *names[] = {(char *)first, (char *)second};

	codec_destroy(codec);
	codec = NULL;
	assert_int_equal(codec_create(&codec, names, second ? 2 : 1, errors, LIMIT), 0);
}

/* Decodes a copy of exactly the size of the payload, so that a sanitizer detects a read beyond its end. */
static bool decode(const char *bytes, bool truncated)
{
	size_t size = strlen(bytes);
	char *payload = memcpy(malloc(size + !size), bytes, size);
	bool decoded = codec_decode(codec, payload, size, truncated, &text);

	free(payload);
	return decoded;
}

static void assert_text(const char *encoding, const char *expected)
{
	assert_string_equal(text.encoding, encoding);
	assert_int_equal(text.length, strlen(expected));
	assert_memory_equal(text.utf8, expected, text.length);
}

static void assert_decodes(const char *bytes, const char *encoding, const char *expected)
{
	assert_true(decode(bytes, false));
	assert_text(encoding, expected);
}

static void test_first_strict_decoder_is_used(void **state)
{
	(void)state;
	create_codec("UTF-8", "gbk", CODEC_REPLACE);
	assert_decodes("\xe4\xbd\xa0", "UTF-8", "你");
	assert_decodes("\xc4\xe3\xba\xc3", "gbk", "你好");
	assert_decodes("", "UTF-8", "");
	/* If none decodes strictly, the first one decodes with the error handler. */
	create_codec("utf-8", "ascii", CODEC_REPLACE);
	assert_decodes("a\xff", "utf-8", "a\xef\xbf\xbd");
}

static void test_error_handlers(void **state)
{
	(void)state;
	create_codec("utf-8", NULL, CODEC_REPLACE);
	assert_decodes("\xe4\xbd\x41\xff", "utf-8", "\xef\xbf\xbd\x41\xef\xbf\xbd");
	create_codec("ascii", NULL, CODEC_IGNORE);
	assert_decodes("\xe4\xbd\x41\xff", "ascii", "A");
	create_codec("utf-8", NULL, CODEC_BACKSLASHREPLACE);
	assert_decodes("\xe4\xbd\x41", "utf-8", "\xed\xb3\xa4\xed\xb2\xbd\x41");
	create_codec("gbk", NULL, CODEC_REPLACE);
	assert_decodes("\xc4\xe3\xff\x80\xba", "gbk", "你\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void test_hex_decodes_anything(void **state)
{
	(void)state;
	create_codec("utf-8", "gbk", CODEC_STRICT);
	assert_false(decode("A\xff\x0a", false));
	assert_text("hex", "41ff0a");
	create_codec("ascii", "hex", CODEC_STRICT);
	assert_decodes("\xff\x01", "hex", "ff01");
}

static void test_truncated_payload_loses_only_last_character(void **state)
{
	static const char *const samples[][2] = {
		{"utf-8", "a\xe4\xbd"}, {"gbk", "a\xc4"}, {"gb18030", "a\x81\x30\x81"}, {"euc-jp", "a\xc6"}};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		create_codec(samples[i][0], NULL, CODEC_STRICT);
		assert_true(decode(samples[i][1], true));
		assert_text(samples[i][0], "a");
		assert_false(decode(samples[i][1], false));
		assert_false(decode("a\xff\xff", true));
	}
}

static void test_utf16_byte_order(void **state)
{
	(void)state;
	create_codec("utf-16", NULL, CODEC_STRICT);
	assert_decodes("\xfe\xff\x4f\x60", "utf-16", "你");
	assert_decodes("\x60\x4f\x34\xd8\x1e\xdd", "utf-16", "你𝄞");
	create_codec("utf-16-be", NULL, CODEC_REPLACE);
	assert_decodes("\xfe\xff\xdd\x1e\x4f", "utf-16-be", "\xef\xbb\xbf\xef\xbf\xbd\xef\xbf\xbd");
}

/* The first text is longer than the window of charset_iconv_prefix(). At the end of the second one, iconv holds back a
 * character that may combine with the next one. */
static void test_text_is_complete(void **state)
{
	char bytes[LIMIT + 1] = "a", expected[3 * LIMIT] = "a";

	(void)state;
	for (int i = 0; i < 100; i++) {
		strcat(bytes, i % 7 ? "\xc4\xe3" : "\xa6\xd9");
		strcat(expected, i % 7 ? "你" : "\uE78D");
	}
	create_codec("gb18030", NULL, CODEC_STRICT);
	assert_decodes(bytes, "gb18030", expected);
	create_codec("big5-hkscs", NULL, CODEC_STRICT);
	assert_decodes("\x88\x62", "big5-hkscs", "\u00ca\u0304");
}

static void test_names_are_checked(void **state)
{
	(void)state;
	assert_true(codec_is_known("Latin-1"));
	assert_false(codec_is_known("hex"));
	assert_int_equal(codec_create(&codec, (char *[]){(char *)"nonesuch"}, 1, CODEC_STRICT, LIMIT), -EINVAL);
	codec_destroy(codec);
	codec_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_strict_decoder_is_used),
		cmocka_unit_test(test_error_handlers),
		cmocka_unit_test(test_hex_decodes_anything),
		cmocka_unit_test(test_truncated_payload_loses_only_last_character),
		cmocka_unit_test(test_utf16_byte_order),
		cmocka_unit_test(test_text_is_complete),
		cmocka_unit_test(test_names_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void use(const char *first, const char *second, enum codec_errors errors)
{
	char *names[] = {(char *)first, (char *)second};

	codec_destroy(codec);
	codec = NULL;
	assert_int_equal(codec_create(&codec, names, second ? 2 : 1, errors, LIMIT), 0);
}

/* From memory of the exact size, so that a sanitizer sees a read beyond it. */
static bool decode(const char *bytes, bool cut)
{
	size_t size = strlen(bytes);
	char *payload = memcpy(malloc(size + !size), bytes, size);
	bool decoded = codec_decode(codec, payload, size, cut, &text);

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

static void the_first_of_a_list_that_decodes_strictly(void **state)
{
	(void)state;
	use("UTF-8", "gbk", CODEC_REPLACE);
	assert_decodes("\xe4\xbd\xa0", "UTF-8", "你");
	assert_decodes("\xc4\xe3\xba\xc3", "gbk", "你好");
	assert_decodes("", "UTF-8", "");
	/* Where none does, the first decodes with the rule. */
	use("utf-8", "ascii", CODEC_REPLACE);
	assert_decodes("a\xff", "utf-8", "a\xef\xbf\xbd");
}

static void the_rules_for_errors(void **state)
{
	(void)state;
	use("utf-8", NULL, CODEC_REPLACE);
	assert_decodes("\xe4\xbd\x41\xff", "utf-8", "\xef\xbf\xbd\x41\xef\xbf\xbd");
	use("ascii", NULL, CODEC_IGNORE);
	assert_decodes("\xe4\xbd\x41\xff", "ascii", "A");
	use("utf-8", NULL, CODEC_BACKSLASHREPLACE);
	assert_decodes("\xe4\xbd\x41", "utf-8", "\xed\xb3\xa4\xed\xb2\xbd\x41");
	use("gbk", NULL, CODEC_REPLACE);
	assert_decodes("\xc4\xe3\xff\x80\xba", "gbk", "你\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void hex_takes_what_nothing_else_does(void **state)
{
	(void)state;
	use("utf-8", "gbk", CODEC_STRICT);
	assert_false(decode("A\xff\x0a", false));
	assert_text("hex", "41ff0a");
	use("ascii", "hex", CODEC_STRICT);
	assert_decodes("\xff\x01", "hex", "ff01");
}

static void a_cut_payload_loses_its_last_character_only(void **state)
{
	static const char *const samples[][2] = {
		{"utf-8", "a\xe4\xbd"}, {"gbk", "a\xc4"}, {"gb18030", "a\x81\x30\x81"}, {"euc-jp", "a\xc6"}};

	(void)state;
	for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		use(samples[i][0], NULL, CODEC_STRICT);
		assert_true(decode(samples[i][1], true));
		assert_text(samples[i][0], "a");
		assert_false(decode(samples[i][1], false));
		assert_false(decode("a\xff\xff", true));
	}
}

static void utf16_has_a_mark_or_is_little_endian(void **state)
{
	(void)state;
	use("utf-16", NULL, CODEC_STRICT);
	assert_decodes("\xfe\xff\x4f\x60", "utf-16", "你");
	assert_decodes("\x60\x4f\x34\xd8\x1e\xdd", "utf-16", "你𝄞");
	use("utf-16-be", NULL, CODEC_REPLACE);
	assert_decodes("\xfe\xff\xdd\x1e\x4f", "utf-16-be", "\xef\xbb\xbf\xef\xbf\xbd\xef\xbf\xbd");
}

/* More than is looked at in advance; and the character that waits at the end of Big5-HKSCS for one to combine with. */
static void to_the_last_character(void **state)
{
	char bytes[LIMIT + 1] = "a", expected[3 * LIMIT] = "a";

	(void)state;
	for (int i = 0; i < 100; i++) {
		strcat(bytes, i % 7 ? "\xc4\xe3" : "\xa6\xd9");
		strcat(expected, i % 7 ? "你" : "\uE78D");
	}
	use("gb18030", NULL, CODEC_STRICT);
	assert_decodes(bytes, "gb18030", expected);
	use("big5-hkscs", NULL, CODEC_STRICT);
	assert_decodes("\x88\x62", "big5-hkscs", "\u00ca\u0304");
}

static void names_and_the_end(void **state)
{
	(void)state;
	assert_true(codec_known("Latin-1"));
	assert_false(codec_known("hex"));
	assert_int_equal(codec_create(&codec, (char *[]){(char *)"nonesuch"}, 1, CODEC_STRICT, LIMIT), -EINVAL);
	codec_destroy(codec);
	codec_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_of_a_list_that_decodes_strictly),
		cmocka_unit_test(the_rules_for_errors),
		cmocka_unit_test(hex_takes_what_nothing_else_does),
		cmocka_unit_test(a_cut_payload_loses_its_last_character_only),
		cmocka_unit_test(utf16_has_a_mark_or_is_little_endian),
		cmocka_unit_test(to_the_last_character),
		cmocka_unit_test(names_and_the_end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

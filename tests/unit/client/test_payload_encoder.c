#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/payload_encoder.h"
#include "client/send/line_input.h"

static struct payload_encoder *create_encoder(const char *encoding, enum codec_errors errors, bool hex, bool newline)
{
	struct payload_encoder *encoder;

	assert_int_equal(payload_encoder_create(&encoder, encoding, errors, hex, newline), 0);
	return encoder;
}

static void assert_encoded(struct payload_encoder *encoder, const char *text, const char *expected, size_t size)
{
	const uint8_t *bytes;
	const char *error_text;

	assert_int_equal(payload_encode(encoder, text, strlen(text), &bytes, &error_text), size);
	assert_memory_equal(bytes, expected, size);
}

static void assert_error(struct payload_encoder *encoder, const char *text, size_t length, const char *expected)
{
	const uint8_t *bytes;
	const char *error_text;

	assert_int_equal(payload_encode(encoder, text, length, &bytes, &error_text), -1);
	assert_non_null(strstr(error_text, expected));
}

static void test_text_is_encoded(void **state)
{
	struct payload_encoder *encoder = create_encoder("gbk", CODEC_STRICT, false, false);

	(void)state;
	assert_encoded(encoder, "\xe4\xbd\xa0\xe5\xa5\xbd", "\xc4\xe3\xba\xc3", 4);
	assert_encoded(encoder, "", "", 0);
	assert_error(encoder, "\xf0\x9f\x99\x82", 4, "gbk");
	assert_error(encoder, "\xff", 1, "it is not UTF-8");
	assert_encoded(encoder, "good again", "good again", 10);
	payload_encoder_destroy(encoder);
}

static void test_error_rules(void **state)
{
	static const struct {
		enum codec_errors errors;
		const char *bytes;
	} cases[] = {{CODEC_REPLACE, "a?b"}, {CODEC_IGNORE, "ab"}, {CODEC_BACKSLASHREPLACE, "a\\U0001f642b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct payload_encoder *encoder = create_encoder("gbk", cases[i].errors, false, false);

		assert_encoded(encoder,
			       "a\xf0\x9f\x99\x82"
			       "b",
			       cases[i].bytes, strlen(cases[i].bytes));
		payload_encoder_destroy(encoder);
	}
}

static void test_newline_is_encoded(void **state)
{
	struct payload_encoder *encoder = create_encoder("utf-16-le", CODEC_STRICT, false, true);

	(void)state;
	assert_encoded(encoder, "a", "a\0\n\0", 4);
	payload_encoder_destroy(encoder);
}

static void test_hex_digits(void **state)
{
	struct payload_encoder *encoder = create_encoder("utf-8", CODEC_STRICT, true, false);

	(void)state;
	assert_encoded(encoder, "00 ff,0A\t01", "\x00\xff\x0a\x01", 4);
	assert_encoded(encoder, "", "", 0);
	assert_error(encoder, "0 0", 3, "`0` has an odd number");
	assert_error(encoder, "00 0x", 5, "`0x` is not a hex number");
	assert_error(encoder,
		     "00\0"
		     "00",
		     5, "it contains a NUL byte");
	payload_encoder_destroy(encoder);
}

/* The encoder rejects a payload that does not fit into a datagram, before the kernel does. */
static void test_oversized_payload_is_rejected(void **state)
{
	struct payload_encoder *text = create_encoder("utf-8", CODEC_STRICT, false, false);
	struct payload_encoder *digits = create_encoder("utf-8", CODEC_STRICT, true, false);
	char *much = malloc(LINE_INPUT_MAX + 1), *most = malloc(PAYLOAD_MAX + 1);

	(void)state;
	memset(much, '0', LINE_INPUT_MAX + 1);
	memset(most, '0', PAYLOAD_MAX);
	most[PAYLOAD_MAX] = '\0';
	assert_encoded(text, most, most, PAYLOAD_MAX);
	assert_error(text, much, PAYLOAD_MAX + 1, "more bytes than a datagram can carry");
	assert_error(text, much, LINE_INPUT_MAX, "more bytes than a datagram can carry");
	assert_error(text, much, LINE_INPUT_MAX + 1, "it is too long");
	assert_error(digits, much, LINE_INPUT_MAX, "more bytes than a datagram can carry");
	free(much);
	free(most);
	payload_encoder_destroy(text);
	payload_encoder_destroy(digits);
}

static void test_unknown_charsets_are_rejected(void **state)
{
	struct payload_encoder *encoder;

	(void)state;
	assert_int_equal(payload_encoder_create(&encoder, "klingon", CODEC_STRICT, false, false), -EINVAL);
	assert_int_equal(payload_encoder_create(&encoder, "hex", CODEC_STRICT, false, false), -EINVAL);
	payload_encoder_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_is_encoded),
		cmocka_unit_test(test_error_rules),
		cmocka_unit_test(test_hex_digits),
		cmocka_unit_test(test_newline_is_encoded),
		cmocka_unit_test(test_oversized_payload_is_rejected),
		cmocka_unit_test(test_unknown_charsets_are_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

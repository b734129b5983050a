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

static struct wording *open_wording(const char *encoding, enum codec_errors errors, bool hex, bool newline)
{
	struct wording *wording;

	assert_int_equal(wording_create(&wording, encoding, errors, hex, newline), 0);
	return wording;
}

static void says(struct wording *wording, const char *text, const char *wanted, size_t size)
{
	const uint8_t *bytes;
	const char *fault;

	assert_int_equal(wording_say(wording, text, strlen(text), &bytes, &fault), size);
	assert_memory_equal(bytes, wanted, size);
}

static void fails(struct wording *wording, const char *text, size_t length, const char *why)
{
	const uint8_t *bytes;
	const char *fault;

	assert_int_equal(wording_say(wording, text, length, &bytes, &fault), -1);
	assert_non_null(strstr(fault, why));
}

static void texts(void **state)
{
	struct wording *wording = open_wording("gbk", CODEC_STRICT, false, false);

	(void)state;
	says(wording, "\xe4\xbd\xa0\xe5\xa5\xbd", "\xc4\xe3\xba\xc3", 4);
	says(wording, "", "", 0);
	fails(wording, "\xf0\x9f\x99\x82", 4, "it cannot be written in gbk");
	fails(wording, "\xff", 1, "it is no UTF-8");
	says(wording, "good again", "good again", 10);
	wording_destroy(wording);
}

static void rules(void **state)
{
	static const struct {
		enum codec_errors errors;
		const char *bytes;
	} cases[] = {{CODEC_REPLACE, "a?b"}, {CODEC_IGNORE, "ab"}, {CODEC_BACKSLASHREPLACE, "a\\U0001f642b"}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct wording *wording = open_wording("gbk", cases[i].errors, false, false);

		says(wording,
		     "a\xf0\x9f\x99\x82"
		     "b",
		     cases[i].bytes, strlen(cases[i].bytes));
		wording_destroy(wording);
	}
}

static void a_newline_is_of_the_charset(void **state)
{
	struct wording *wording = open_wording("utf-16-le", CODEC_STRICT, false, true);

	(void)state;
	says(wording, "a", "a\0\n\0", 4);
	wording_destroy(wording);
}

static void hex(void **state)
{
	struct wording *wording = open_wording("utf-8", CODEC_STRICT, true, false);

	(void)state;
	says(wording, "00 ff,0A\t01", "\x00\xff\x0a\x01", 4);
	says(wording, "", "", 0);
	fails(wording, "0 0", 3, "`0` has an odd number");
	fails(wording, "00 0x", 5, "`0x` is no hex number");
	fails(wording,
	      "00\0"
	      "00",
	      5, "there is a NUL byte");
	wording_destroy(wording);
}

/* What does not fit into a datagram is told before the kernel is asked. */
static void too_much(void **state)
{
	struct wording *text = open_wording("utf-8", CODEC_STRICT, false, false);
	struct wording *digits = open_wording("utf-8", CODEC_STRICT, true, false);
	char *much = malloc(LINE_INPUT_MAX + 1), *most = malloc(WORDING_MAX + 1);

	(void)state;
	memset(much, '0', LINE_INPUT_MAX + 1);
	memset(most, '0', WORDING_MAX);
	most[WORDING_MAX] = '\0';
	says(text, most, most, WORDING_MAX);
	fails(text, much, WORDING_MAX + 1, "more bytes than a datagram carries");
	fails(text, much, LINE_INPUT_MAX, "more bytes than a datagram carries");
	fails(text, much, LINE_INPUT_MAX + 1, "it is too long");
	fails(digits, much, LINE_INPUT_MAX, "more bytes than a datagram carries");
	free(much);
	free(most);
	wording_destroy(text);
	wording_destroy(digits);
}

static void unknown_charsets(void **state)
{
	struct wording *wording;

	(void)state;
	assert_int_equal(wording_create(&wording, "klingon", CODEC_STRICT, false, false), -EINVAL);
	assert_int_equal(wording_create(&wording, "hex", CODEC_STRICT, false, false), -EINVAL);
	wording_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(texts),    cmocka_unit_test(rules),
		cmocka_unit_test(hex),      cmocka_unit_test(a_newline_is_of_the_charset),
		cmocka_unit_test(too_much), cmocka_unit_test(unknown_charsets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

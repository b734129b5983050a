#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "text/json_writer.h"

struct page {
	struct json_writer json;
	char *text;
	size_t size;
};

static void open_page(struct page *page)
{
	*page = (struct page){0};
	page->json.out = open_memstream(&page->text, &page->size);
	assert_non_null(page->json.out);
}

static void assert_page(struct page *page, const char *expected)
{
	fclose(page->json.out);
	assert_string_equal(page->text, expected);
	free(page->text);
}

static void test_commas_separate_values(void **state)
{
	struct page page;
	struct json_writer *json = &page.json;

	(void)state;
	open_page(&page);
	json_writer_begin(json, NULL, '{');
	json_writer_begin(json, "none", '[');
	json_writer_end(json, ']');
	json_writer_begin(json, "list", '[');
	json_writer_number(json, NULL, 1);
	json_writer_begin(json, NULL, '{');
	json_writer_end(json, '}');
	json_writer_string(json, NULL, "two");
	json_writer_end(json, ']');
	json_writer_boolean(json, "yes", true);
	json_writer_boolean(json, "no", false);
	json_writer_null(json, "null");
	json_writer_decimal(json, "decimal", 1.5);
	json_writer_number(json, "most", UINT64_MAX);
	json_writer_end(json, '}');
	assert_page(&page,
		    "{\"none\":[],\"list\":[1,{},\"two\"],\"yes\":true,\"no\":false,\"null\":null,\"decimal\":1.500,"
		    "\"most\":18446744073709551615}");
}

static void assert_string(const char *text, const char *expected)
{
	struct page page;

	open_page(&page);
	json_writer_string(&page.json, NULL, text);
	assert_page(&page, expected);
}

static void test_strings_are_escaped(void **state)
{
	(void)state;
	assert_string("", "\"\"");
	assert_string("plain", "\"plain\"");
	assert_string("\"\\/", "\"\\\"\\\\/\"");
	assert_string("a\nb\x7f", "\"a\\u000ab\\u007f\"");
	assert_string("你好", "\"你好\"");
	assert_string("\xf0\x9f\x98\x80", "\"\xf0\x9f\x98\x80\"");
}

/* Invalid bytes, truncated and overlong sequences, surrogates, and code points beyond Unicode. */
static void test_invalid_utf8_becomes_bytes(void **state)
{
	(void)state;
	assert_string("\xff", "\"\\\\xff\"");
	assert_string("a\x80z", "\"a\\\\x80z\"");
	assert_string("\xe4\xbd", "\"\\\\xe4\\\\xbd\"");
	assert_string("\xc0\xaf", "\"\\\\xc0\\\\xaf\"");
	assert_string("\xe0\x82\xa9", "\"\\\\xe0\\\\x82\\\\xa9\"");
	assert_string("\xed\xa0\x80", "\"\\\\xed\\\\xa0\\\\x80\"");
	assert_string("\xf4\x90\x80\x80", "\"\\\\xf4\\\\x90\\\\x80\\\\x80\"");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commas_separate_values),
		cmocka_unit_test(test_strings_are_escaped),
		cmocka_unit_test(test_invalid_utf8_becomes_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

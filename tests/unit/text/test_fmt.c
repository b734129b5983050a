#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "text/fmt.h"

static void test_numbers_match_printf(void **state)
{
	static const uint32_t numbers[] = {0, 9, 10, 99, 100, 65535, 999999999, 1000000000, UINT32_MAX};
	char text[16], expected[16];

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		*fmt_u32(text, numbers[i]) = '\0';
		snprintf(expected, sizeof(expected), "%u", numbers[i]);
		assert_string_equal(text, expected);
	}
}

static void test_fields_are_padded_with_zeros(void **state)
{
	char text[16];

	(void)state;
	*fmt_u32_padded(text, 42, 6) = '\0';
	assert_string_equal(text, "000042");
	*fmt_u32_padded(text, 1234, 2) = '\0';
	assert_string_equal(text, "34");
	*fmt_hex(text, 0xbeef, 8) = '\0';
	assert_string_equal(text, "0000beef");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers_match_printf),
		cmocka_unit_test(test_fields_are_padded_with_zeros),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

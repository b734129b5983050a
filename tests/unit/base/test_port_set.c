#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/port_set.h"

static void test_no_set_is_empty(void **state)
{
	(void)state;
	assert_false(port_set_has(NULL, 0));
	assert_false(port_set_has(NULL, 65535));
}

/* The ports lie next to the limits of the words of both bitmaps. */
static void test_set_has_exactly_the_added_ports(void **state)
{
	static const uint16_t ports[] = {0, 63, 64, 4095, 4096, 7788, 32768, 65535};
	struct port_set *set = calloc(1, sizeof(*set));
	size_t next = 0;

	(void)state;
	assert_non_null(set);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		port_set_add(set, ports[i]);
	for (uint32_t port = 0; port < 65536; port++) {
		bool added = next < sizeof(ports) / sizeof(ports[0]) && ports[next] == port;

		next += added;
		assert_int_equal(port_set_has(set, (uint16_t)port), added);
	}
	assert_int_equal(next, sizeof(ports) / sizeof(ports[0]));
	free(set);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_set_is_empty),
		cmocka_unit_test(test_set_has_exactly_the_added_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

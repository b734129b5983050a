#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "base/clock.h"

static void test_times_have_rfc_3339_form(void **state)
{
	char text[CLOCK_TEXT_MAX];

	(void)state;
	assert_string_equal(clock_format(0, text), "1970-01-01T00:00:00.000000Z");
	assert_string_equal(clock_format(UINT64_C(1795171320123456), text), "2026-11-20T10:42:00.123456Z");
	assert_string_equal(clock_format(UINT64_C(951782400000007), text), "2000-02-29T00:00:00.000007Z");
	assert_string_equal(clock_format(UINT64_C(253402300799999999), text), "9999-12-31T23:59:59.999999Z");
}

static void test_every_day_matches_c_library(void **state)
{
	(void)state;
	for (uint64_t day = 0; day < 2932897; day++) { /* up to the end of the year 9999 */
		time_t seconds = (time_t)(day * 86400 + day % 86400);
		char text[CLOCK_TEXT_MAX], expected[32];
		struct tm tm;

		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%S.000000Z", gmtime_r(&seconds, &tm));
		assert_string_equal(clock_format((uint64_t)seconds * 1000000, text), expected);
	}
}

static void test_deadline_is_in_the_future(void **state)
{
	uint64_t before = clock_monotonic_ms();
	struct timespec deadline = clock_deadline(1999);
	uint64_t deadline_ms = (uint64_t)deadline.tv_sec * 1000 + (uint64_t)deadline.tv_nsec / 1000000;

	(void)state;
	assert_in_range(deadline_ms, before + 1999, clock_monotonic_ms() + 1999);
	assert_in_range(deadline.tv_nsec, 0, 999999999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times_have_rfc_3339_form),
		cmocka_unit_test(test_every_day_matches_c_library),
		cmocka_unit_test(test_deadline_is_in_the_future),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "client/cli.h"

enum { OPTION_LOUD = CLI_LONG_ONLY };

static const struct cli_option_spec options[] = {{'n', "number", "N", "a number"},
						 {'x', "hex", NULL, "two\nlines"},
						 {OPTION_LOUD, "loud", NULL, "no letter"},
						 {0}};

static const struct cli_command command = {
	.name = "test", .operands = "HOST", .purpose = "Tests.\n", .options = options, .example = "-n 1 h"};

/* The options that the handler received, as text. */
struct received {
	char text[128];
};

static bool record_option(void *data, int letter, const char *value)
{
	struct received *received = data;
	char one[64];

	snprintf(one, sizeof(one), "%d=%s;", letter, value ? value : "");
	strcat(received->text, one);
	return !value || strcmp(value, "bad") != 0;
}

/* Standard error is discarded meanwhile; the integration tests check the messages. */
static int parse(struct received *received, int argc, char **argv)
{
	int saved = dup(STDERR_FILENO), status;

	*received = (struct received){0};
	optind = 0;
	assert_non_null(freopen("/dev/null", "w", stderr));
	status = cli_parse_options(&command, argc, argv, record_option, received);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
	return status;
}

static void test_options_and_operands(void **state)
{
	char *argv[] = {(char *)"test",   (char *)"-x", (char *)"host", (char *)"--number", (char *)"5",
			(char *)"--loud", NULL};
	struct received received;

	(void)state;
	assert_int_equal(parse(&received, 6, argv), -1);
	assert_string_equal(received.text, "120=;110=5;256=;");
	assert_int_equal(optind, 5);
	assert_string_equal(argv[optind], "host");
	assert_string_equal(argv[0], "test");
}

static void test_wrong_options_are_rejected(void **state)
{
	static const char *const wrong[] = {"-y", "--unknown", "-n", "--hex=1", "-nbad"};
	struct received received;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *argv[] = {(char *)"test", (char *)wrong[i], NULL};

		assert_int_equal(parse(&received, 2, argv), EX_USAGE);
	}
}

static void test_number_range(void **state)
{
	uint64_t number = 0;

	(void)state;
	assert_true(cli_parse_number(&command, 'n', "7", 1, 10, &number));
	assert_int_equal(number, 7);
	assert_false(cli_parse_number(&command, 'n', "11", 1, 10, &number));
	assert_false(cli_parse_number(&command, 'n', "0", 1, 10, &number));
	assert_false(cli_parse_number(&command, 'n', "seven", 1, 10, &number));
	assert_int_equal(number, 7);
}

static void test_seconds_format(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {{"1", 1000000000}, {"0.002", 2000000}, {"10.5", 10500000000},
		    {".5", 500000000}, {"2.", 2000000000}, {"0", 0}};
	static const char *const wrong[] = {"",    ".",  "-1",  "+1", "1e3",  "inf",
					    "nan", "1s", "0x1", " 1", "1..2", "60.1"};
	uint64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_true(cli_parse_seconds(&command, 'n', good[i].text, 0, 60, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(cli_parse_seconds(&command, 'n', wrong[i], 0, 60, &ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_options_and_operands),
		cmocka_unit_test(test_wrong_options_are_rejected),
		cmocka_unit_test(test_number_range),
		cmocka_unit_test(test_seconds_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

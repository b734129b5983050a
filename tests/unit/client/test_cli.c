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

enum { OPTION_LOUD = OPTION_WORDS };

static const struct option_spec options[] = {{'n', "number", "N", "a number"},
					     {'x', "hex", NULL, "two\nlines"},
					     {OPTION_LOUD, "loud", NULL, "no letter"},
					     {0}};

static const struct command command = {
	.name = "test", .operands = "HOST", .purpose = "Tests.\n", .options = options, .example = "-n 1 h"};

/* What was taken, as text. */
struct taken {
	char text[128];
};

static bool take(void *data, int letter, const char *value)
{
	struct taken *taken = data;
	char one[64];

	snprintf(one, sizeof(one), "%d=%s;", letter, value ? value : "");
	strcat(taken->text, one);
	return !value || strcmp(value, "bad") != 0;
}

/* Standard error goes nowhere meanwhile: what is said there is what integration tests look at. */
static int parse(struct taken *taken, int argc, char **argv)
{
	int kept = dup(STDERR_FILENO), status;

	*taken = (struct taken){0};
	optind = 0;
	assert_non_null(freopen("/dev/null", "w", stderr));
	status = command_parse(&command, argc, argv, take, taken);
	fflush(stderr);
	dup2(kept, STDERR_FILENO);
	close(kept);
	return status;
}

static void options_and_operands(void **state)
{
	char *argv[] = {(char *)"test",   (char *)"-x", (char *)"host", (char *)"--number", (char *)"5",
			(char *)"--loud", NULL};
	struct taken taken;

	(void)state;
	assert_int_equal(parse(&taken, 6, argv), -1);
	assert_string_equal(taken.text, "120=;110=5;256=;");
	assert_int_equal(optind, 5);
	assert_string_equal(argv[optind], "host");
	assert_string_equal(argv[0], "test");
}

static void wrong_ones(void **state)
{
	static const char *const wrong[] = {"-y", "--unknown", "-n", "--hex=1", "-nbad"};
	struct taken taken;

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		char *argv[] = {(char *)"test", (char *)wrong[i], NULL};

		assert_int_equal(parse(&taken, 2, argv), EX_USAGE);
	}
}

static void numbers(void **state)
{
	uint64_t number = 0;

	(void)state;
	assert_true(command_number(&command, 'n', "7", 1, 10, &number));
	assert_int_equal(number, 7);
	assert_false(command_number(&command, 'n', "11", 1, 10, &number));
	assert_false(command_number(&command, 'n', "0", 1, 10, &number));
	assert_false(command_number(&command, 'n', "seven", 1, 10, &number));
	assert_int_equal(number, 7);
}

static void seconds(void **state)
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
		assert_true(command_seconds(&command, 'n', good[i].text, 0, 60, &ns));
		assert_int_equal(ns, good[i].ns);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_false(command_seconds(&command, 'n', wrong[i], 0, 60, &ns));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands),
		cmocka_unit_test(wrong_ones),
		cmocka_unit_test(numbers),
		cmocka_unit_test(seconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

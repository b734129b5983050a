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

#include "client/load/load_options.h"

#define WORDS_MAX 24

static int stderr_copy;

/* Standard error is discarded meanwhile; the integration tests check the messages. */
static int set_up(void **state)
{
	(void)state;
	stderr_copy = dup(STDERR_FILENO);
	return !freopen("/dev/null", "w", stderr);
}

static int tear_down(void **state)
{
	(void)state;
	fflush(stderr);
	dup2(stderr_copy, STDERR_FILENO);
	close(stderr_copy);
	return 0;
}

/* Parses a command line; its words are separated by blanks. */
static int parse(struct load_options *options, const char *line)
{
	char copy[256], *cursor, *argv[WORDS_MAX] = {(char *)"load"};
	int argc = 1;

	assert_true(snprintf(copy, sizeof(copy), "%s", line) < (int)sizeof(copy));
	for (char *word = strtok_r(copy, " ", &cursor); word; word = strtok_r(NULL, " ", &cursor)) {
		assert_true(argc < WORDS_MAX - 1);
		argv[argc++] = word;
	}
	optind = 0;
	return load_options_parse(options, &load_command, argc, argv);
}

static void assert_accepted(struct load_options *options, const char *line)
{
	int status = parse(options, line);

	if (status != -1)
		fail_msg("`%s` ends with %d", line, status);
}

static void assert_rejected(const char *line)
{
	struct load_options options;
	int status = parse(&options, line);

	if (status != EX_USAGE)
		fail_msg("`%s` ends with %d", line, status);
}

static void assert_address(const struct address *address, const char *expected)
{
	char text[ADDRESS_TEXT_MAX];

	assert_string_equal(address_format(address, text), expected);
}

static void test_defaults(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "127.0.0.1 7788");
	assert_address(&options.plan.target, "127.0.0.1:7788");
	assert_int_equal(options.plan.local.length, 0);
	assert_int_equal(options.plan.flows, 1);
	assert_int_equal(options.plan.depth, 1);
	assert_int_equal(options.plan.rate, 0);
	assert_int_equal(options.plan.size, 64);
	assert_int_equal(options.plan.train, 1);
	assert_int_equal(options.plan.duration_ns, 10000000000);
	assert_false(options.hold || options.json || options.quiet || options.target_on_stdin);
}

static void test_options_set_the_plan(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "-f 20 -r 500 -s 100 -t 8 -n 0.5 --idle 3 --json -q 127.0.0.1 1");
	assert_int_equal(options.plan.flows, 20);
	assert_int_equal(options.plan.rate, 500);
	assert_int_equal(options.plan.size, 100);
	assert_int_equal(options.plan.train, 8);
	assert_int_equal(options.plan.duration_ns, 500000000);
	assert_int_equal(options.plan.idle, 3);
	assert_true(options.json && options.quiet);
}

static void test_depth_is_a_train_by_default(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "-t 10 127.0.0.1 1");
	assert_int_equal(options.plan.depth, 10);
	assert_accepted(&options, "-t 10 -d 10 127.0.0.1 1");
	assert_rejected("-t 10 -d 9 127.0.0.1 1");
}

static void test_rate_excludes_depth(void **state)
{
	(void)state;
	assert_rejected("-r 10 -d 2 127.0.0.1 1");
}

static void test_products_are_limited(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "-f 4 -d 65536 127.0.0.1 1");
	assert_rejected("-f 5 -d 65536 127.0.0.1 1");
	assert_accepted(&options, "-t 2 -s 32753 127.0.0.1 1");
	assert_rejected("-t 2 -s 32754 127.0.0.1 1");
	assert_accepted(&options, "-f 1024 --receivers 64 127.0.0.1 1");
	assert_rejected("-f 1025 --receivers 64 127.0.0.1 1");
}

static void test_receivers_exclude_echo_peers_and_idle_flows(void **state)
{
	(void)state;
	assert_rejected("--receivers 1 --echo-peers 1 127.0.0.1 1");
	assert_rejected("--receivers 1 --idle 1 127.0.0.1 1");
}

static void test_bind_address(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "-b 127.0.0.2 -f 2 127.0.0.1 1");
	assert_address(&options.plan.local, "127.0.0.2:0");
	assert_accepted(&options, "-b [::1] ::1 1");
	assert_address(&options.plan.local, "[::1]:0");
	assert_accepted(&options, "-b 127.0.0.2:9 127.0.0.1 1");
	assert_address(&options.plan.local, "127.0.0.2:9");
}

static void test_invalid_bind_addresses_are_rejected(void **state)
{
	(void)state;
	assert_rejected("-b 127.0.0.2:9 -f 2 127.0.0.1 1");
	assert_rejected("-b 127.0.0.2:9 --idle 1 127.0.0.1 1");
	assert_rejected("-b 127.0.0.2:9 --echo-peers 1 127.0.0.1 1");
	assert_rejected("-b unix:/tmp/s 127.0.0.1 1");
	assert_rejected("-b localhost 127.0.0.1 1");
	assert_rejected("-b ::1 127.0.0.1 1");
}

/* 192.0.2.1 is reserved for documentation (RFC 5737). No datagram is sent to it. */
static void test_target_must_be_an_own_host(void **state)
{
	struct load_options options;

	(void)state;
	assert_rejected("192.0.2.1 1");
	assert_accepted(&options, "--yes-i-own-it 192.0.2.1 1");
	assert_rejected("--yes-i-own-it 224.0.0.1 1");
	assert_rejected("--yes-i-own-it 255.255.255.255 1");
	assert_rejected("--yes-i-own-it unix:/tmp/s");
	assert_rejected("127.0.0.1 1 text");
	assert_rejected("127.0.0.1");
}

static void test_peers_get_a_local_address(void **state)
{
	struct load_options options;

	(void)state;
	assert_accepted(&options, "--receivers 2 127.0.0.1 1");
	assert_address(&options.plan.local, "127.0.0.1:0");
	assert_accepted(&options, "--echo-peers 1 -b 127.0.0.3 127.0.0.1 1");
	assert_address(&options.plan.local, "127.0.0.3:0");
	assert_accepted(&options, "--echo-peers 1 -");
	assert_address(&options.plan.local, "127.0.0.1:0");
	assert_accepted(&options, "--echo-peers 1 -6 -");
	assert_address(&options.plan.local, "[::1]:0");
}

static void test_target_from_standard_input(void **state)
{
	struct load_options options;
	char good[] = "127.0.0.1:7788", other_family[] = "[::1]:7788", foreign[] = "192.0.2.1:7788", no_port[] = "::1";

	(void)state;
	assert_accepted(&options, "-b 127.0.0.2 -");
	assert_true(options.target_on_stdin);
	assert_int_equal(options.plan.target.length, 0);
	assert_int_equal(load_options_parse_target(&options, &load_command, good), -1);
	assert_address(&options.plan.target, "127.0.0.1:7788");
	assert_int_equal(load_options_parse_target(&options, &load_command, other_family), EX_USAGE);
	assert_int_equal(load_options_parse_target(&options, &load_command, foreign), EX_USAGE);
	assert_int_equal(load_options_parse_target(&options, &load_command, no_port), EX_USAGE);
	assert_rejected("- text");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_options_set_the_plan),
		cmocka_unit_test_setup_teardown(test_depth_is_a_train_by_default, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rate_excludes_depth, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_products_are_limited, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_receivers_exclude_echo_peers_and_idle_flows, set_up, tear_down),
		cmocka_unit_test(test_bind_address),
		cmocka_unit_test_setup_teardown(test_invalid_bind_addresses_are_rejected, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_target_must_be_an_own_host, set_up, tear_down),
		cmocka_unit_test(test_peers_get_a_local_address),
		cmocka_unit_test_setup_teardown(test_target_from_standard_input, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

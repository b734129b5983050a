/* Parsing of the arguments of --explain, and the error messages. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sysexits.h>

#include "admin/explain_query.h"
#include "tests/unit/support/config_text.h"

static const char config_text[] = "[listener:e]\naddress = 127.0.0.1:7, [::1]:7\naction = echo\n"
				  "[listener:any]\naddress = *:9000\naction = sink\n"
				  "[listener:two]\naddress = 127.0.0.1:9100, 127.0.0.1:9101\naction = sink\n"
				  "[listener:path]\naddress = unix:/run/p\naction = echo\n"
				  "[listener:wildcard]\naddress = 0.0.0.0:9200\naction = sink\n"
				  "[listener:d1]\naddress = 127.0.0.1:9300\naction = sink\ninterface = lo\n"
				  "[listener:d2]\naddress = 127.0.0.1:9300\naction = sink\ninterface = eth0\n";

struct fixture {
	struct config *config;
	struct explain_query query;
	char *errors;
	size_t errors_size;
	int status;
};

static int set_up(void **state)
{
	static struct fixture f;

	f = (struct fixture){.config = good(config_text)};
	*state = &f;
	return 0;
}

static void end_query(struct fixture *f)
{
	explain_query_finish(&f->query);
	free(f->errors);
	f->errors = NULL;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	end_query(f);
	config_destroy(f->config);
	return 0;
}

static void parse_input(struct fixture *f, const char *flow, const char *payload, FILE *in)
{
	FILE *errors;

	end_query(f);
	errors = open_memstream(&f->errors, &f->errors_size);
	assert_non_null(errors);
	f->status = explain_query_init(&f->query, f->config, flow, payload, in, errors);
	fclose(errors);
}

static void assert_parses(struct fixture *f, const char *flow, const char *payload)
{
	parse_input(f, flow, payload, NULL);
	if (f->status)
		fail_msg("`%s` is refused: %s", flow, f->errors);
	assert_string_equal(f->errors, "");
}

static void assert_refused(struct fixture *f, const char *flow, const char *payload, const char *message)
{
	parse_input(f, flow, payload, NULL);
	assert_int_equal(f->status, EX_USAGE);
	if (strncmp(f->errors, message, strlen(message)))
		fail_msg("`%s`: expected `%s`, not `%s`", flow, message, f->errors);
}

/* "" if the destination is unknown. */
static void assert_flow(struct fixture *f, const char *flow, const char *source, const char *listener,
			const char *destination)
{
	char text[ADDRESS_TEXT_MAX];

	assert_parses(f, flow, NULL);
	assert_string_equal(address_format(&f->query.source, text), source);
	assert_string_equal(f->query.listener->name, listener);
	if (*destination)
		assert_string_equal(address_format(&f->query.destination, text), destination);
	else
		assert_int_equal(f->query.destination.length, 0);
}

/* --- Flow --- */

static void listener_is_found_by_name(void **state)
{
	struct fixture *f = *state;

	assert_flow(f, "192.0.2.7:4242 > e", "192.0.2.7:4242", "e", "127.0.0.1:7");
	assert_flow(f, "\t192.0.2.7:4242>e \n", "192.0.2.7:4242", "e", "127.0.0.1:7");
	assert_flow(f, "[2001:db8::1]:4242 > e", "[2001:db8::1]:4242", "e", "[::1]:7");
	assert_flow(f, "unix:/run/client > path", "unix:/run/client", "path", "unix:/run/p");
}

static void listener_is_found_by_address(void **state)
{
	struct fixture *f = *state;

	assert_flow(f, "192.0.2.7:4242 > 127.0.0.1:9101", "192.0.2.7:4242", "two", "127.0.0.1:9101");
	assert_flow(f, "192.0.2.7:4242 > 127.0.0.1:9100", "192.0.2.7:4242", "two", "127.0.0.1:9100");
	assert_flow(f, "192.0.2.7:4242 > 203.0.113.1:9200", "192.0.2.7:4242", "wildcard", "203.0.113.1:9200");
	assert_flow(f, "[2001:db8::1]:1 > [2001:db8::2]:9000", "[2001:db8::1]:1", "any", "[2001:db8::2]:9000");
	assert_flow(f, "192.0.2.7:4242 > *:9000", "192.0.2.7:4242", "any", "");
	assert_flow(f, "unix:/c > unix:/run/p", "unix:/c", "path", "unix:/run/p");
}

static void destination_is_unknown_with_several_addresses(void **state)
{
	struct fixture *f = *state;

	assert_flow(f, "192.0.2.7:4242 > two", "192.0.2.7:4242", "two", "");
	assert_flow(f, "192.0.2.7:4242 > any", "192.0.2.7:4242", "any", "");
	assert_flow(f, "192.0.2.7:4242 > wildcard", "192.0.2.7:4242", "wildcard", "");
}

static void unix_sender_may_have_no_name(void **state)
{
	struct fixture *f = *state;

	assert_parses(f, "unix: > path", NULL);
	assert_int_equal(f->query.source.any.sa_family, AF_UNIX);
	assert_int_equal(f->query.source.length, sizeof(sa_family_t));
}

static void flow_needs_an_arrow(void **state)
{
	assert_refused(*state, "192.0.2.7:4242 e", NULL, "udprelayd: `192.0.2.7:4242 e`: `>` is missing");
}

static void bad_source_is_refused(void **state)
{
	assert_refused(*state, "192.0.2.7 > e", NULL,
		       "udprelayd: `192.0.2.7`: the source is not valid: the port is missing");
	assert_refused(*state, " > e", NULL, "udprelayd: ``: the source is not valid: ");
	assert_refused(*state, "[fe80::1]:7 > e", NULL,
		       "udprelayd: `[fe80::1]:7`: a link-local address needs its interface: ");
	assert_refused(*state, "\x1b[2J:1 > e", NULL, "udprelayd: `\\x1b[2J:1`: ");
}

static void unknown_listener_lists_all_listeners(void **state)
{
	struct fixture *f = *state;

	assert_refused(f, "192.0.2.7:4242 > x", NULL,
		       "udprelayd: no such listener: `x`; the listeners are: e (127.0.0.1:7, [::1]:7), any (*:9000), ");
	assert_non_null(strstr(f->errors, "'192.0.2.7:4242 > e'"));
	assert_refused(f, "192.0.2.7:4242 > 127.0.0.1:1", NULL, "udprelayd: no such listener: `127.0.0.1:1`; ");
	assert_refused(f, "192.0.2.7:4242 > *:9200", NULL, "udprelayd: no such listener: `*:9200`; ");
	assert_refused(f, "192.0.2.7:4242 > [::1]:9200", NULL, "udprelayd: no such listener: `[::1]:9200`; ");
}

static void address_of_two_listeners_is_ambiguous(void **state)
{
	assert_refused(
		*state, "192.0.2.7:4242 > 127.0.0.1:9300", NULL,
		"udprelayd: `127.0.0.1:9300`: listeners d1 and d2 both have this address: write the name of one");
}

static void families_must_match(void **state)
{
	assert_refused(*state, "192.0.2.7:4242 > path", NULL,
		       "udprelayd: `192.0.2.7:4242`: no datagram can arrive from there at listener path: ");
	assert_refused(*state, "192.0.2.7:4242 > [::1]:7", NULL,
		       "udprelayd: `192.0.2.7:4242`: no datagram can arrive from there at [::1]:7: ");
}

/* --- Payload --- */

static void assert_payload(struct fixture *f, const char *argument, const void *bytes, size_t size)
{
	assert_parses(f, "192.0.2.7:4242 > e", argument);
	assert_true(f->query.has_payload);
	assert_int_equal(f->query.size, size);
	assert_memory_equal(f->query.payload, bytes, size);
}

static void payload_is_text_or_hex(void **state)
{
	struct fixture *f = *state;

	assert_payload(f, "hello", "hello", 5);
	assert_payload(f, "", "", 0);
	assert_payload(f, "hex: 01 ff", "\x01\xff", 2);
	assert_payload(f, "HEX:00", "\0", 1);
	assert_parses(f, "192.0.2.7:4242 > e", NULL);
	assert_false(f->query.has_payload);
}

static void bad_hex_is_refused(void **state)
{
	assert_refused(*state, "192.0.2.7:4242 > e", "hex: 01 zz", "udprelayd: `zz`: this is not a hex number: ");
	assert_refused(*state, "192.0.2.7:4242 > e", "hex: ", "udprelayd: `hex:`: the bytes are missing: ");
}

/* Parses size bytes from a stream as the payload. */
static void parse_stream(struct fixture *f, const char *flow, size_t size)
{
	char *bytes = calloc(1, size + 1);
	FILE *in = fmemopen(bytes, size + 1, "r");

	assert_non_null(in);
	/* fmemopen() cannot have an empty buffer, so skip one byte. */
	fgetc(in);
	parse_input(f, flow, "-", in);
	fclose(in);
	free(bytes);
}

static void payload_size_has_a_limit(void **state)
{
	struct fixture *f = *state;

	parse_stream(f, "192.0.2.7:4242 > e", 65507);
	assert_int_equal(f->status, 0);
	assert_int_equal(f->query.size, 65507);
	parse_stream(f, "192.0.2.7:4242 > e", 65508);
	assert_int_equal(f->status, EX_USAGE);
	assert_non_null(strstr(f->errors, "a datagram carries at most 65507 bytes"));
	parse_stream(f, "[2001:db8::1]:4242 > e", 65527);
	assert_int_equal(f->status, 0);
	parse_stream(f, "[2001:db8::1]:4242 > e", 70000);
	assert_int_equal(f->status, EX_USAGE);
	assert_non_null(strstr(f->errors, "a datagram carries at most 65527 bytes"));
}

static void unreadable_input_is_an_error(void **state)
{
	struct fixture *f = *state;
	FILE *in = fopen("/", "r");

	assert_non_null(in);
	parse_input(f, "192.0.2.7:4242 > e", "-", in);
	fclose(in);
	assert_int_equal(f->status, EX_USAGE);
	assert_non_null(strstr(f->errors, "`-`: cannot read standard input"));
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(listener_is_found_by_name),
		test(listener_is_found_by_address),
		test(destination_is_unknown_with_several_addresses),
		test(unix_sender_may_have_no_name),
		test(flow_needs_an_arrow),
		test(bad_source_is_refused),
		test(unknown_listener_lists_all_listeners),
		test(address_of_two_listeners_is_ambiguous),
		test(families_must_match),
		test(payload_is_text_or_hex),
		test(bad_hex_is_refused),
		test(payload_size_has_a_limit),
		test(unreadable_input_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "guard/access.h"

struct fixture {
	struct own_addresses *own;
	struct port_set refused;
	struct listener_config echo;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	struct address bound[3];

	memset(&fixture, 0, sizeof(fixture));
	address_from_ip(&bound[0], "0.0.0.0", 7788);
	address_from_ip(&bound[1], "192.0.2.1", 9000);
	address_from_ip(&bound[2], "::", 7788);
	port_set_add(&fixture.refused, 53);
	fixture.echo = (struct listener_config){
		.action = ACTION_ECHO, .loop_guard = true, .refuse_source_ports = &fixture.refused};
	*state = &fixture;
	return own_addresses_create(&fixture.own, bound, 3);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	own_addresses_destroy(f->own);
	return 0;
}

static enum drop_reason check(const struct fixture *f, const char *ip, uint16_t port)
{
	struct address source = {0};

	assert_int_equal(address_from_ip(&source, ip, port), 0);
	return access_check(&f->echo, f->own, &source).reason;
}

static void ordinary_client_is_admitted(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 40000), DROP_NONE);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.2.99", 7788), DROP_NONE);
	assert_int_equal(check(f, "223.255.255.255", 40000), DROP_NONE);
	assert_int_equal(check(f, "1.0.0.1", 40000), DROP_NONE);
}

static void own_address_is_a_loop(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_LOOP);
	assert_int_equal(check(f, "127.9.8.7", 7788), DROP_LOOP);
	assert_int_equal(check(f, "::1", 7788), DROP_LOOP);
	assert_int_equal(check(f, "192.0.2.1", 9000), DROP_LOOP);
	assert_int_equal(check(f, "127.0.0.1", 9000), DROP_NONE);
}

static void source_that_is_no_host_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const sources[] = {"0.0.0.0",   "0.1.2.3", "224.0.0.1", "239.255.255.255", "255.255.255.255",
					      "240.0.0.1", "::",      "ff02::1",   "::ffff:192.0.2.1"};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		assert_int_equal(check(f, sources[i], 40000), DROP_SOURCE_ADDRESS);
}

static void refused_source_port_is_dropped(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "192.0.2.99", 0), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "2001:db8::1", 53), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 54), DROP_NONE);
}

static void loop_guard_off_admits_all_sources(void **state)
{
	struct fixture *f = *state;

	f->echo.loop_guard = false;
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_NONE);
}

static void loop_guard_applies_only_to_actions_that_reply(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_FORWARD;
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	f->echo.action = ACTION_SINK;
	assert_int_equal(check(f, "224.0.0.1", 0), DROP_NONE);
}

static void echo_needs_the_name_of_a_unix_sender(void **state)
{
	struct fixture *f = *state;
	struct address source = {0};

	source.any.sa_family = AF_UNIX;
	source.length = sizeof(sa_family_t);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
	assert_int_equal(address_parse(&source, "unix:/run/client"), 0);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NONE);
}

static void relay_refuses_the_same_sources_as_an_echo(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_RELAY;
	f->echo.responses = RESPONSES_UNLIMITED;
	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_LOOP);
	assert_int_equal(check(f, "224.0.0.1", 40000), DROP_SOURCE_ADDRESS);
	assert_int_equal(check(f, "192.0.2.99", 0), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_SOURCE_PORT);
	f->echo.loop_guard = false;
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_NONE);
}

/* A relay has no set by default. */
static void port_0_is_refused_without_a_set_of_ports(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_RELAY;
	f->echo.refuse_source_ports = NULL;
	assert_int_equal(check(f, "192.0.2.99", 0), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_LOOP);
}

static void one_way_relay_admits_a_unix_sender_without_a_name(void **state)
{
	struct fixture *f = *state;
	struct address source = {0};

	source.any.sa_family = AF_UNIX;
	source.length = sizeof(sa_family_t);
	f->echo.action = ACTION_RELAY;
	f->echo.responses = 1;
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
	f->echo.responses = 0;
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NONE);
	f->echo.action = ACTION_ECHO;
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
}

/* --- Lists of sources --- */

/* Creates a set of one or two prefixes. */
static struct prefix_set *set_of(const char *one, const char *other)
{
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefixes[2];

	assert_true(prefix_parse(&prefixes[0], one, fault));
	assert_true(!other || prefix_parse(&prefixes[1], other, fault));
	return prefix_set_create(prefixes, other ? 2 : 1);
}

static void free_lists(struct fixture *f)
{
	prefix_set_destroy(f->echo.allow);
	prefix_set_destroy(f->echo.deny);
	f->echo.allow = f->echo.deny = NULL;
}

static void denied_source_is_dropped(void **state)
{
	struct fixture *f = *state;

	f->echo.deny = set_of("192.0.2.0/24", "2001:db8::/32");
	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "192.0.3.1", 40000), DROP_NONE);
	assert_int_equal(check(f, "2001:db9::1", 40000), DROP_NONE);
	free_lists(f);
}

static void source_outside_of_allow_is_dropped(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.3.1", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_SOURCE_DENIED);
	free_lists(f);
}

/* A longer prefix in allow makes no difference. */
static void deny_overrides_allow(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", "198.51.100.7");
	f->echo.deny = set_of("192.0.2.7", "198.51.100.0/24");
	assert_int_equal(check(f, "192.0.2.6", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.2.7", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "198.51.100.7", 40000), DROP_SOURCE_DENIED);
	free_lists(f);
}

static void lists_apply_to_all_actions(void **state)
{
	static const enum action_kind actions[] = {ACTION_SINK, ACTION_ECHO, ACTION_FORWARD, ACTION_RELAY};
	struct fixture *f = *state;

	f->echo.deny = set_of("192.0.2.0/24", NULL);
	for (unsigned i = 0; i < 8; i++) {
		f->echo.action = actions[i / 2];
		f->echo.loop_guard = i % 2;
		assert_int_equal(check(f, "192.0.2.99", 40000), DROP_SOURCE_DENIED);
		assert_int_equal(check(f, "192.0.3.1", 40000), DROP_NONE);
	}
	free_lists(f);
}

static void lists_come_before_loop_guard(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "224.0.0.1", 0), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "192.0.2.1", 9000), DROP_LOOP);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_SOURCE_PORT);
	free_lists(f);
}

/* Prefixes of IPv4 apply to it, and those of IPv6 do not. */
static void mapped_source_matches_ipv4_prefixes(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_SINK;
	f->echo.deny = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "::ffff:192.0.2.99", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "::ffff:192.0.3.1", 40000), DROP_NONE);
	free_lists(f);
	f->echo.allow = set_of("192.0.2.0/24", "::/0");
	assert_int_equal(check(f, "::ffff:192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "::ffff:192.0.3.1", 40000), DROP_SOURCE_DENIED);
	free_lists(f);
}

static void lists_do_not_apply_to_unix_senders(void **state)
{
	struct fixture *f = *state;
	struct address source = {0};

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	f->echo.deny = set_of("0.0.0.0/0", "::/0");
	assert_int_equal(address_parse(&source, "unix:/run/client"), 0);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NONE);
	source.length = sizeof(sa_family_t);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
	free_lists(f);
}

/* --- The decision --- */

static void assert_decision(const struct fixture *f, const char *source, enum access_rule rule, const char *prefix)
{
	struct address address = {.length = sizeof(sa_family_t), .any.sa_family = AF_UNIX};
	struct access_decision decision;
	char text[PREFIX_TEXT_MAX];

	if (strcmp(source, "unix:"))
		assert_int_equal(address_parse(&address, source), 0);
	decision = access_check(&f->echo, f->own, &address);
	assert_int_equal(decision.rule, rule);
	assert_int_equal(decision.prefix != NULL, prefix != NULL);
	if (prefix)
		assert_string_equal(prefix_format(decision.prefix, text), prefix);
}

static void decision_has_the_rule(void **state)
{
	struct fixture *f = *state;

	assert_decision(f, "192.0.2.99:40000", ACCESS_ADMITTED, NULL);
	assert_decision(f, "192.0.2.1:9000", ACCESS_OWN_ADDRESS, NULL);
	assert_decision(f, "240.0.0.1:9000", ACCESS_NO_HOST, NULL);
	assert_decision(f, "192.0.2.99:0", ACCESS_PORT_ZERO, NULL);
	assert_decision(f, "192.0.2.99:53", ACCESS_REFUSED_PORT, NULL);
	assert_decision(f, "unix:", ACCESS_UNNAMED, NULL);
	assert_decision(f, "unix:/run/client", ACCESS_ADMITTED, NULL);
	f->echo.action = ACTION_RELAY;
	assert_decision(f, "unix:", ACCESS_UNNAMED_ONE_WAY, NULL);
	f->echo.loop_guard = false;
	assert_decision(f, "192.0.2.1:9000", ACCESS_LOOP_GUARD_OFF, NULL);
	assert_decision(f, "unix:/run/client", ACCESS_LOOP_GUARD_OFF, NULL);
	f->echo.action = ACTION_FORWARD;
	assert_decision(f, "192.0.2.1:9000", ACCESS_NO_REPLY_ACTION, NULL);
}

static void decision_has_the_prefix(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", "192.0.2.64/26");
	f->echo.deny = set_of("192.0.2.66", NULL);
	assert_decision(f, "192.0.2.66:40000", ACCESS_DENIED, "192.0.2.66/32");
	assert_decision(f, "192.0.2.67:40000", ACCESS_ADMITTED, "192.0.2.64/26");
	assert_decision(f, "192.0.2.1:53", ACCESS_REFUSED_PORT, "192.0.2.0/24");
	assert_decision(f, "192.0.3.1:40000", ACCESS_NOT_ALLOWED, NULL);
	assert_decision(f, "unix:/run/client", ACCESS_ADMITTED, NULL);
	free_lists(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(ordinary_client_is_admitted),
		test(own_address_is_a_loop),
		test(source_that_is_no_host_is_refused),
		test(refused_source_port_is_dropped),
		test(loop_guard_off_admits_all_sources),
		test(loop_guard_applies_only_to_actions_that_reply),
		test(echo_needs_the_name_of_a_unix_sender),
		test(one_way_relay_admits_a_unix_sender_without_a_name),
		test(relay_refuses_the_same_sources_as_an_echo),
		test(port_0_is_refused_without_a_set_of_ports),
		test(denied_source_is_dropped),
		test(source_outside_of_allow_is_dropped),
		test(deny_overrides_allow),
		test(lists_apply_to_all_actions),
		test(lists_come_before_loop_guard),
		test(mapped_source_matches_ipv4_prefixes),
		test(lists_do_not_apply_to_unix_senders),
		test(decision_has_the_rule),
		test(decision_has_the_prefix),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void ordinary_clients_pass(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 40000), DROP_NONE);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.2.99", 7788), DROP_NONE);
	assert_int_equal(check(f, "223.255.255.255", 40000), DROP_NONE);
	assert_int_equal(check(f, "1.0.0.1", 40000), DROP_NONE);
}

static void our_own_addresses_do_not(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_LOOP);
	assert_int_equal(check(f, "127.9.8.7", 7788), DROP_LOOP);
	assert_int_equal(check(f, "::1", 7788), DROP_LOOP);
	assert_int_equal(check(f, "192.0.2.1", 9000), DROP_LOOP);
	assert_int_equal(check(f, "127.0.0.1", 9000), DROP_NONE);
}

static void nor_those_that_nobody_can_answer(void **state)
{
	struct fixture *f = *state;
	static const char *const sources[] = {"0.0.0.0",   "0.1.2.3", "224.0.0.1", "239.255.255.255", "255.255.255.255",
					      "240.0.0.1", "::",      "ff02::1",   "::ffff:192.0.2.1"};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++)
		assert_int_equal(check(f, sources[i], 40000), DROP_SOURCE_ADDRESS);
}

static void nor_refused_ports(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(check(f, "192.0.2.99", 0), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "2001:db8::1", 53), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 54), DROP_NONE);
}

static void it_can_be_switched_off(void **state)
{
	struct fixture *f = *state;

	f->echo.loop_guard = false;
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_NONE);
}

static void it_is_for_those_who_answer(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_FORWARD;
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	f->echo.action = ACTION_SINK;
	assert_int_equal(check(f, "224.0.0.1", 0), DROP_NONE);
}

static void a_unix_sender_needs_a_name(void **state)
{
	struct fixture *f = *state;
	struct address source = {0};

	source.any.sa_family = AF_UNIX;
	source.length = sizeof(sa_family_t);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
	assert_int_equal(address_parse(&source, "unix:/run/client"), 0);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NONE);
}

static void a_relay_answers_like_an_echo(void **state)
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

/* Which is so for a relay that was not told of any. */
static void without_refused_ports_only_port_0_is(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_RELAY;
	f->echo.refuse_source_ports = NULL;
	assert_int_equal(check(f, "192.0.2.99", 0), DROP_SOURCE_PORT);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_NONE);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_LOOP);
}

static void unless_nobody_waits_for_an_answer(void **state)
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

/* Up to two prefixes. */
static struct prefix_set *set_of(const char *one, const char *other)
{
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefixes[2];

	assert_true(prefix_parse(&prefixes[0], one, fault));
	assert_true(!other || prefix_parse(&prefixes[1], other, fault));
	return prefix_set_create(prefixes, other ? 2 : 1);
}

static void drop_lists(struct fixture *f)
{
	prefix_set_destroy(f->echo.allow);
	prefix_set_destroy(f->echo.deny);
	f->echo.allow = f->echo.deny = NULL;
}

static void who_is_denied_is_out(void **state)
{
	struct fixture *f = *state;

	f->echo.deny = set_of("192.0.2.0/24", "2001:db8::/32");
	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "192.0.3.1", 40000), DROP_NONE);
	assert_int_equal(check(f, "2001:db9::1", 40000), DROP_NONE);
	drop_lists(f);
}

static void who_is_not_allowed_is_out(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.3.1", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "2001:db8::1", 40000), DROP_SOURCE_DENIED);
	drop_lists(f);
}

/* However much longer the prefix is that allows. */
static void deny_wins(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", "198.51.100.7");
	f->echo.deny = set_of("192.0.2.7", "198.51.100.0/24");
	assert_int_equal(check(f, "192.0.2.6", 40000), DROP_NONE);
	assert_int_equal(check(f, "192.0.2.7", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "198.51.100.7", 40000), DROP_SOURCE_DENIED);
	drop_lists(f);
}

static void lists_hold_for_all_actions(void **state)
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
	drop_lists(f);
}

static void they_come_before_everything_else(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "127.0.0.1", 7788), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "224.0.0.1", 0), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "192.0.2.1", 9000), DROP_LOOP);
	assert_int_equal(check(f, "192.0.2.99", 53), DROP_SOURCE_PORT);
	drop_lists(f);
}

/* So it neither gets past a list of IPv4, nor in by one of IPv6. */
static void a_mapped_source_is_ipv4(void **state)
{
	struct fixture *f = *state;

	f->echo.action = ACTION_SINK;
	f->echo.deny = set_of("192.0.2.0/24", NULL);
	assert_int_equal(check(f, "::ffff:192.0.2.99", 40000), DROP_SOURCE_DENIED);
	assert_int_equal(check(f, "::ffff:192.0.3.1", 40000), DROP_NONE);
	drop_lists(f);
	f->echo.allow = set_of("192.0.2.0/24", "::/0");
	assert_int_equal(check(f, "::ffff:192.0.2.99", 40000), DROP_NONE);
	assert_int_equal(check(f, "::ffff:192.0.3.1", 40000), DROP_SOURCE_DENIED);
	drop_lists(f);
}

static void unix_senders_are_in_no_list(void **state)
{
	struct fixture *f = *state;
	struct address source = {0};

	f->echo.allow = set_of("192.0.2.0/24", NULL);
	f->echo.deny = set_of("0.0.0.0/0", "::/0");
	assert_int_equal(address_parse(&source, "unix:/run/client"), 0);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NONE);
	source.length = sizeof(sa_family_t);
	assert_int_equal(access_check(&f->echo, f->own, &source).reason, DROP_NO_RETURN);
	drop_lists(f);
}

/* --- Why --- */

static void decides(const struct fixture *f, const char *source, enum access_rule rule, const char *prefix)
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

static void it_says_what_decided(void **state)
{
	struct fixture *f = *state;

	decides(f, "192.0.2.99:40000", ACCESS_ADMITTED, NULL);
	decides(f, "192.0.2.1:9000", ACCESS_OWN_ADDRESS, NULL);
	decides(f, "240.0.0.1:9000", ACCESS_NO_HOST, NULL);
	decides(f, "192.0.2.99:0", ACCESS_PORT_ZERO, NULL);
	decides(f, "192.0.2.99:53", ACCESS_REFUSED_PORT, NULL);
	decides(f, "unix:", ACCESS_UNNAMED, NULL);
	decides(f, "unix:/run/client", ACCESS_ADMITTED, NULL);
	f->echo.action = ACTION_RELAY;
	decides(f, "unix:", ACCESS_UNNAMED_ONE_WAY, NULL);
	f->echo.loop_guard = false;
	decides(f, "192.0.2.1:9000", ACCESS_LOOP_GUARD_OFF, NULL);
	decides(f, "unix:/run/client", ACCESS_LOOP_GUARD_OFF, NULL);
	f->echo.action = ACTION_FORWARD;
	decides(f, "192.0.2.1:9000", ACCESS_NO_REPLY_ACTION, NULL);
}

static void with_the_prefix_that_did(void **state)
{
	struct fixture *f = *state;

	f->echo.allow = set_of("192.0.2.0/24", "192.0.2.64/26");
	f->echo.deny = set_of("192.0.2.66", NULL);
	decides(f, "192.0.2.66:40000", ACCESS_DENIED, "192.0.2.66/32");
	decides(f, "192.0.2.67:40000", ACCESS_ADMITTED, "192.0.2.64/26");
	decides(f, "192.0.2.1:53", ACCESS_REFUSED_PORT, "192.0.2.0/24");
	decides(f, "192.0.3.1:40000", ACCESS_NOT_ALLOWED, NULL);
	decides(f, "unix:/run/client", ACCESS_ADMITTED, NULL);
	drop_lists(f);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(ordinary_clients_pass),
		test(our_own_addresses_do_not),
		test(nor_those_that_nobody_can_answer),
		test(nor_refused_ports),
		test(it_can_be_switched_off),
		test(it_is_for_those_who_answer),
		test(a_unix_sender_needs_a_name),
		test(unless_nobody_waits_for_an_answer),
		test(a_relay_answers_like_an_echo),
		test(without_refused_ports_only_port_0_is),
		test(who_is_denied_is_out),
		test(who_is_not_allowed_is_out),
		test(deny_wins),
		test(lists_hold_for_all_actions),
		test(they_come_before_everything_else),
		test(a_mapped_source_is_ipv4),
		test(unix_senders_are_in_no_list),
		test(it_says_what_decided),
		test(with_the_prefix_that_did),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

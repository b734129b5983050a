#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "tests/unit/config/key_values.h"
#include "tests/unit/config/setter_fixture.h"

/* --- The address of a peer --- */

static void peer_addresses(void **state)
{
	const char *begin = "[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n";

	(void)state;
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = host-1.example_net:514",
		      !strcmp(peer(c)->host, "host-1.example_net") && address_port(&peer(c)->address) == 514 &&
			      peer(c)->line == 5);
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = [2001:db8::1]:514",
		      !peer(c)->host && peer(c)->address.any.sa_family == AF_INET6);
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = unix:/dev/log",
		      !strcmp(peer(c)->address_text, "unix:/dev/log"));
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = 3com.com.:1",
		      peer(c)->host != NULL);
	assert_rejected(begin, "address", "a.example|a.example:0|192.0.2.1:0|*:5|0.0.0.0:5|[::]:5|a b:5|:5|a:5:6",
			"[peer:p] address: `");
	assert_rejected(begin, "address",
			"192.0.2:5|1:5|0x7f.1:5|127.0.0.1.:5|a.0x7f000001:5|a.1:5|.:5|[::ffff:192.0.2.1]:5",
			"[peer:p] address: `");
	assert_rejected(begin, "address", "*:5",
			"[peer:p] address: `*:5` is not the address of a host: write the address of the peer");
	assert_rejected(begin, "address", "a.example", "[peer:p] address: `a.example`: the port is missing");
}

/* A multicast group that the file names is meant. */
static void peer_addresses_that_reach_no_single_host(void **state)
{
	const char *begin = "[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n";

	(void)state;
	assert_rejected(begin, "address", "0.0.0.1:5|0.255.255.255:5", "[peer:p] address: `0.");
	assert_rejected(begin, "address", "0.1.2.3:5",
			"[peer:p] address: `0.1.2.3:5` is not the address of a host: write the address of the peer");
	assert_rejected(begin, "address", "255.255.255.255:5",
			"[peer:p] address: `255.255.255.255:5` is a broadcast address, which reaches every host: write "
			"the address of one host");
	assert_rejected(begin, "address", "127.255.255.255:5", "[peer:p] address: `127.255.255.255:5` is a broadcast");
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = 239.1.2.3:5",
		      !peer(c)->host);
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = [ff05::1]:5",
		      !peer(c)->host);
	assert_loaded("[listener:e]\naddress = *:7788\naction = sink\n[peer:p]\n", "address = 1.0.0.1:5",
		      !peer(c)->host);
}

static void peer_with_a_name_keeps_only_the_port(void **state)
{
	struct fixture *f = *state;

	assert_true(set_peer_address(&f->field, "host.example.:514"));
	assert_string_equal(f->peers[0].host, "host.example.");
	assert_string_equal(f->peers[0].address_text, "host.example.:514");
	assert_true(address_is_wildcard(&f->peers[0].address));
	assert_int_equal(address_port(&f->peers[0].address), 514);
	assert_int_equal(f->peers[0].line, 7);
}

static void hosts_that_end_in_a_number_are_no_names(void **state)
{
	static const char *const values[] = {"192.168.1:5", "a.1:5", "a.1.:5", "0x7f.1:5", "a.0xFF:5", "1:5"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
		f->field.reported = false;
		if (set_peer_address(&f->field, values[i]) || !f->field.reported)
			fail_msg("`%s` was accepted", values[i]);
		assert_null(f->peers[0].host);
	}
	assert_true(set_peer_address(&f->field, "1a:5"));
	assert_string_equal(f->peers[0].host, "1a");
}

/* --- The other keys of a peer --- */

static void payload_goes_to_the_offset_of_the_key(void **state)
{
	struct config_key send = {.offset = offsetof(struct peer_config, check.send)};
	struct config_key expect = {.offset = offsetof(struct peer_config, check.expect)};
	struct fixture *f = *state;

	f->field.key = &send;
	assert_true(set_payload(&f->field, "ping"));
	f->field.key = &expect;
	assert_true(set_payload(&f->field, "hex: 00 ff, 0a0B"));
	assert_int_equal(f->peers[0].check.send.size, 4);
	assert_memory_equal(f->peers[0].check.send.bytes, "ping", 4);
	assert_int_equal(f->peers[0].check.expect.size, 4);
	assert_memory_equal(f->peers[0].check.expect.bytes, "\x00\xff\x0a\x0b", 4);
}

/* --- The list of peers --- */

static void unknown_peers_are_left_to_validation(void **state)
{
	struct fixture *f = *state;

	assert_true(set_peers(&f->field, "b, a"));
	assert_int_equal(f->diagnostics.count, 0);
	assert_int_equal(f->listener.peer_count, 2);
	assert_ptr_equal(f->listener.peers[0], &f->peers[1]);
	assert_ptr_equal(f->listener.peers[1], &f->peers[0]);
	assert_false(set_peers(&f->field, "a"));
	assert_error(f, 0, 7, "`a` is listed twice: remove one");
	assert_false(set_peers(&f->field, "x, 192.0.2.1, y"));
	assert_error(f, 1, 7, "there is no peer `x`: add a section [peer:x], or write its address and port");
	assert_error(f, 2, 7, "`192.0.2.1`: the port is missing: write 192.0.2.1:PORT");
	assert_error(f, 3, 7, "there is no peer `y`: ");
	assert_int_equal(f->listener.peer_count, 2);
}

#define FORWARD "[listener:e]\naddress = *:7788\naction = forward\n"

static void addresses_in_the_list_become_peers(void **state)
{
	struct config *config = good(FORWARD "peers = 192.0.2.1:514, p, [2001:db8::1]:514, host.example:514,\n"
					     " unix:/run/x\n[peer:p]\naddress = 192.0.2.2:1\n");
	static const char *const names[] = {"192.0.2.1:514", "p", "[2001:db8::1]:514", "host.example:514",
					    "unix:/run/x"};

	(void)state;
	assert_int_equal(config->peer_count, 5);
	assert_int_equal(listener(config)->peer_count, 5);
	for (size_t i = 0; i < 5; i++) {
		const struct peer_config *listed = listener(config)->peers[i];

		assert_string_equal(listed->name, names[i]);
		assert_ptr_equal(listed, &config->peers[listed->index]);
		assert_int_equal(listed->listed, i != 1);
		assert_int_equal(config_line(&listed->lines, "address"), i == 1 ? 7 : i == 4 ? 5 : 4);
		assert_int_equal(listed->weight, 1);
	}
	assert_string_equal(listener(config)->peers[3]->host, "host.example");
	assert_string_equal(config->warnings, "");
	config_destroy(config);
}

static void one_address_is_one_peer(void **state)
{
	struct config *config = good(FORWARD "peers = [2001:db8::1]:5, 192.0.2.1:5\n"
					     "[listener:f]\naddress = *:7789\naction = relay\n"
					     "peers = 192.0.2.1:5, [2001:DB8:0::1]:5\n");

	(void)state;
	assert_int_equal(config->peer_count, 2);
	assert_ptr_equal(config->listeners[0].peers[0], config->listeners[1].peers[1]);
	assert_ptr_equal(config->listeners[0].peers[1], config->listeners[1].peers[0]);
	config_destroy(config);
	assert_rejected(FORWARD, "peers", "[2001:db8::1]:5, [2001:DB8:0::1]:5",
			"[listener:e] peers: `[2001:DB8:0::1]:5` is listed twice: remove one");
}

static void wrong_addresses_in_the_list(void **state)
{
	char name[PEER_NAME_MAX + 2];

	(void)state;
	memset(name, 'a', sizeof(name));
	memcpy(name, "b.", 2);
	memcpy(name + sizeof(name) - 3, ":1", 3);
	assert_rejected(FORWARD, "peers",
			"192.0.2.1|2001:db8::1|192.0.2.1:|host:0|*:5|255.255.255.255:5|unix:x|unix:/a b",
			"[listener:e] peers: `");
	assert_rejected(FORWARD, "peers", name, "[listener:e] peers: `b.aaaa");
	assert_rejected(FORWARD, "peers", "[fe80::1]:5", "[listener:e] peers: `[fe80::1]:5` is link-local: write its ");
	assert_rejected(
		FORWARD, "peers", "127.0.0.1:7788, 192.0.2.1:5",
		"[listener:e] peers: `127.0.0.1:7788` is our own listener `e`, which receives on every address: "
		"write another port, or write a single address instead of `*:7788` into line 2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(peer_addresses),
		cmocka_unit_test(peer_addresses_that_reach_no_single_host),
		test(peer_with_a_name_keeps_only_the_port),
		test(hosts_that_end_in_a_number_are_no_names),
		test(payload_goes_to_the_offset_of_the_key),
		test(unknown_peers_are_left_to_validation),
		cmocka_unit_test(addresses_in_the_list_become_peers),
		cmocka_unit_test(one_address_is_one_peer),
		cmocka_unit_test(wrong_addresses_in_the_list),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

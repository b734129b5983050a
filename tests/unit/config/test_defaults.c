#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "tests/unit/support/config_text.h"

#define ECHO "[listener:e]\naddress = *:7788\naction = echo\n"
#define RELAY "[listener:r]\naddress = *:7788\naction = relay\npeers = p\n[peer:p]\naddress = 192.0.2.1:1\n"

static void missing_keys_have_defaults(void **state)
{
	struct config *config = good(ECHO);
	const struct listener_config *listener = &config->listeners[0];

	(void)state;
	assert_string_equal(config->path, "t.ini");
	assert_int_equal(config->workers, 0);
	assert_int_equal(config->log_level, LOG_LEVEL_INFO);
	assert_int_equal(config->log_format, LOG_FORMAT_TEXT);
	assert_int_equal(config->datagram_log.target, LOG_TARGET_STDERR);
	assert_int_equal(config->datagram_log.format, LOG_FORMAT_TEXT);
	assert_int_equal(config->datagram_log.payload, 256);
	assert_int_equal(config->datagram_log.queue, 16384);
	assert_int_equal(config->listener_count, 1);
	assert_int_equal(config->peer_count, 0);
	assert_int_equal(listener->encoding_count, 1);
	assert_string_equal(listener->encodings[0], "utf-8");
	assert_int_equal(listener->errors, CODEC_BACKSLASHREPLACE);
	assert_int_equal(listener->log_every, 1);
	assert_string_equal(listener->interface, "");
	assert_int_equal(listener->group_count, 0);
	assert_false(listener->freebind);
	assert_int_equal(listener->receive_buffer, 4 << 20);
	assert_int_equal(listener->send_buffer, 4 << 20);
	assert_int_equal(listener->max_datagram, 65507);
	assert_true(listener->loop_guard);
	assert_true(listener->ring_guard);
	config_destroy(config);
}

static void relays_and_peers_have_defaults(void **state)
{
	struct config *config = good(RELAY);
	const struct listener_config *listener = &config->listeners[0];
	const struct peer_config *peer = &config->peers[0];

	(void)state;
	assert_int_equal(listener->balance, BALANCE_HASH);
	assert_int_equal(listener->idle_timeout_ms, 60000);
	assert_int_equal(listener->max_sessions, 16384);
	assert_int_equal(listener->source_sessions, 4096);
	assert_int_equal(listener->responses, RESPONSES_UNLIMITED);
	assert_true(port_set_has(listener->refuse_source_ports, 7) && port_set_has(listener->refuse_source_ports, 19));
	assert_false(port_set_has(listener->refuse_source_ports, 53));
	assert_false(listener->has_default_source_ports); /* ports of echo listeners are not added */
	assert_int_equal(peer->resolve_interval_ms, 30000);
	assert_int_equal(peer->weight, 1);
	assert_false(peer->backup);
	assert_int_equal(peer->max_fails, 3);
	assert_int_equal(peer->fail_timeout_ms, 10000);
	assert_false(peer->check.on);
	assert_null(peer->check.send.bytes);
	assert_int_equal(peer->check.send.size, 0);
	assert_null(peer->check.expect.bytes);
	assert_int_equal(peer->check.expect.size, 0);
	assert_int_equal(peer->check.interval_ms, 5000);
	assert_int_equal(peer->check.timeout_ms, 2000);
	assert_int_equal(peer->check.rise, 2);
	assert_int_equal(peer->check.fall, 3);
	config_destroy(config);
}

static void source_gets_a_quarter_of_the_sessions(void **state)
{
	static const struct {
		const char *keys;
		uint32_t sessions;
	} rows[] = {
		{"max_sessions = 100\n", 25},
		{"max_sessions = 1\n", 1},
		{"max_sessions = 100\nsource_sessions = 7\n", 7},
		{"source_sessions = 0\n", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char text[256];
		struct config *config;

		snprintf(text, sizeof(text), "%s[listener:t]\naddress = *:7789\naction = relay\npeers = p\n%s", RELAY,
			 rows[i].keys);
		config = good(text);
		assert_int_equal(config->listeners[1].source_sessions, rows[i].sessions);
		config_destroy(config);
	}
}

static void relay_refuses_small_services_or_configured_ports(void **state)
{
	struct config *config = good("[listener:e]\naddress = *:7789\naction = echo\n" RELAY
				     "[listener:s]\naddress = *:7790\naction = relay\npeers = p\n"
				     "refuse_source_ports = 53\n");

	(void)state;
	assert_false(port_set_has(config->listeners[0].refuse_source_ports, 7788));
	assert_true(port_set_has(config->listeners[1].refuse_source_ports, 19));
	assert_false(port_set_has(config->listeners[1].refuse_source_ports, 7789));
	assert_false(port_set_has(config->listeners[2].refuse_source_ports, 19));
	assert_true(port_set_has(config->listeners[2].refuse_source_ports, 53));
	assert_false(port_set_has(config->listeners[2].refuse_source_ports, 7789));
	config_destroy(config);
}

static void echo_refuses_low_ports_and_echo_ports(void **state)
{
	struct config *config = good(ECHO "[listener:f]\naddress = [::1]:9000\naction = echo\n"
					  "[listener:s]\naddress = *:9001\naction = sink\n");
	const struct port_set *set = config->listeners[0].refuse_source_ports;

	(void)state;
	assert_true(port_set_has(set, 0));
	assert_true(port_set_has(set, 1023));
	assert_false(port_set_has(set, 1024));
	assert_true(port_set_has(set, 7788));
	assert_true(port_set_has(set, 9000));
	assert_false(port_set_has(set, 9001));
	assert_null(config->listeners[2].refuse_source_ports);
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missing_keys_have_defaults),
		cmocka_unit_test(relays_and_peers_have_defaults),
		cmocka_unit_test(source_gets_a_quarter_of_the_sessions),
		cmocka_unit_test(relay_refuses_small_services_or_configured_ports),
		cmocka_unit_test(echo_refuses_low_ports_and_echo_ports),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

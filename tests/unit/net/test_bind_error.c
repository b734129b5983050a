/* Messages for sockets that cannot be bound. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "net/bind_error.h"
#include "tests/unit/net/log_capture.h"

static char config_path[] = "t.ini", listener_name[] = "a", bind_text[] = "192.0.2.1:53", unit_text[] = "fd:dns",
	    unit_name[] = "dns";
static const struct config config = {.path = config_path};

static struct address parse(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(&address, text), 0);
	return address;
}

static void assert_hint(const char *text, bool stream, int error, const char *words)
{
	struct address address = parse(text);
	const char *hint = bind_error_hint(&address, stream, error);

	if (!strstr(hint, words))
		fail_msg("%s, errno %d: `%s` not in `%s`", text, error, words, hint);
}

static void test_hint_for_a_port(void **state)
{
	(void)state;
	assert_hint("192.0.2.1:53", false, EADDRINUSE, "`ss -lunp`");
	assert_hint("192.0.2.1:53", false, EACCES, "CAP_NET_BIND_SERVICE");
	assert_hint("192.0.2.1:53", false, EPERM, "CAP_NET_BIND_SERVICE");
	assert_hint("192.0.2.1:53", false, EACCES, "set `user` in [udprelayd]");
	assert_hint("192.0.2.1:53", false, EADDRNOTAVAIL, "freebind = on");
	assert_hint("[2001:db8::1]:53", false, EAFNOSUPPORT, "no IPv6");
	assert_hint("192.0.2.1:53", false, EINVAL, "it cannot be bound: choose another address");
}

/* The unit's PrivateUsers= makes a capability useless, so that the hint names a drop-in that changes both. */
static void test_hint_for_a_port_under_systemd(void **state)
{
	(void)state;
	setenv("NOTIFY_SOCKET", "/nowhere", 1);
	assert_hint("192.0.2.1:53", false, EACCES,
		    "/udprelayd-low-ports.conf to /etc/systemd/system/udprelayd.service.d/");
	assert_hint("192.0.2.1:53", false, EADDRINUSE, "`ss -lunp`");
	unsetenv("NOTIFY_SOCKET");
}

/* A stream listener has no freebind, and `ss` lists it with another option. */
static void test_hint_for_a_stream_port(void **state)
{
	struct address address = parse("192.0.2.1:80");

	(void)state;
	assert_hint("192.0.2.1:80", true, EADDRINUSE, "`ss -ltnp`");
	assert_hint("192.0.2.1:80", true, EADDRNOTAVAIL, "correct it");
	assert_null(strstr(bind_error_hint(&address, true, EADDRNOTAVAIL), "freebind"));
}

static void test_hint_for_a_path(void **state)
{
	(void)state;
	for (int stream = 0; stream < 2; stream++) {
		assert_hint("unix:/run/x", stream, EADDRINUSE, "`ss -lxp`");
		assert_hint("unix:/run/x", stream, EEXIST, "file of another kind");
		assert_hint("unix:/run/x", stream, EACCES, "cannot write to the directory");
		assert_hint("unix:/run/x", stream, EPERM, "cannot write to the directory");
		assert_hint("unix:/run/x", stream, ENOENT, "create it");
		assert_hint("unix:/run/x", stream, EINVAL, "it cannot be bound: choose another path");
	}
}

static const struct listener_config listener = {.name = listener_name, .interface = "eth7", .interface_line = 8};

static int set_up(void **state)
{
	static struct log_capture capture;

	log_capture_open(&capture);
	*state = &capture;
	return 0;
}

static int tear_down(void **state)
{
	log_capture_close(*state);
	return 0;
}

static void assert_message(struct log_capture *capture, const char *message)
{
	assert_true(strlen(log_capture_text(capture)) > CLOCK_TEXT_MAX);
	assert_string_equal(log_capture_text(capture) + CLOCK_TEXT_MAX, message);
}

static void test_message_has_file_line_key_and_call(void **state)
{
	struct bind_config bind = {.text = bind_text, .line = 7, .address = parse(bind_text)};
	struct socket_error error = {"bind", EADDRINUSE};

	bind_error_log(((struct log_capture *)*state)->log, &config, &listener, &bind, &error);
	assert_message(*state,
		       "error: t.ini:7: [listener:a] address: 192.0.2.1:53: another program uses it (`ss -lunp` "
		       "shows which): stop that program, or choose another address (bind: Address already in use)\n");
}

static void test_message_for_a_command_line_has_no_file(void **state)
{
	struct bind_config bind = {.text = bind_text, .address = parse(bind_text)};
	struct socket_error error = {"bind", EACCES};

	bind_error_log(((struct log_capture *)*state)->log, &config, &listener, &bind, &error);
	assert_message(*state, "error: 192.0.2.1:53: not permitted: choose a port from 1024 on, start as root and set "
			       "`user` in [udprelayd], or grant CAP_NET_BIND_SERVICE (bind: Permission denied)\n");
}

static void test_message_for_a_device_names_the_interface(void **state)
{
	struct bind_config bind = {.text = bind_text, .line = 7, .address = parse(bind_text)};
	struct socket_error error = {"SO_BINDTODEVICE", ENODEV};

	bind_error_log(((struct log_capture *)*state)->log, &config, &listener, &bind, &error);
	assert_message(*state, "error: t.ini:8: [listener:a] interface: eth7: no such interface: write one that `ip "
			       "link` lists (SO_BINDTODEVICE: No such device)\n");
}

static void test_message_for_a_unit_names_its_setting(void **state)
{
	struct log_capture *capture = *state;
	struct bind_config bind = {.text = unit_text, .line = 7, .fd_name = unit_name};

	bind_error_log(capture->log, &config, &listener, &bind, &(struct socket_error){"sd_listen_fds", ENOENT});
	assert_int_equal(log_capture_count(capture, "[listener:a] address: fd:dns: "), 1);
	assert_int_equal(log_capture_count(capture, "FileDescriptorName="), 1);
	bind_error_log(capture->log, &config, &listener, &bind, &(struct socket_error){"IPV6_V6ONLY", EAFNOSUPPORT});
	assert_int_equal(log_capture_count(capture, "BindIPv6Only=ipv6-only"), 1);
	bind_error_log(capture->log, &config, &listener, &bind, &(struct socket_error){"fcntl", EMFILE});
	assert_int_equal(
		log_capture_count(
			capture,
			"it cannot be used: check the .socket unit, or write an address (fcntl: Too many open files)"),
		1);
}

static void test_message_for_a_group(void **state)
{
	struct log_capture *capture = *state;
	struct multicast_config group = {.group = parse("239.1.2.3:0"), .line = 9};
	struct socket_error error = {"MCAST_JOIN_GROUP", ENODEV};

	bind_error_log_group(capture->log, &config, &listener, &group, &error);
	assert_int_equal(log_capture_count(capture, "t.ini:9: [listener:a] multicast: 239.1.2.3: no route"), 1);
	strcpy(group.interface, "eth7");
	bind_error_log_group(capture->log, &config, &listener, &group, &error);
	assert_int_equal(log_capture_count(capture, "multicast: 239.1.2.3%eth7: no such interface"), 1);
	group.group = parse("[ff02::1234]:0");
	error.error = ENOMEM;
	bind_error_log_group(capture->log, &config, &listener, &group, &error);
	assert_int_equal(
		log_capture_count(capture,
				  "multicast: ff02::1234%eth7: it cannot be joined: choose another group or interface"),
		1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hint_for_a_port),
		cmocka_unit_test(test_hint_for_a_port_under_systemd),
		cmocka_unit_test(test_hint_for_a_stream_port),
		cmocka_unit_test(test_hint_for_a_path),
		test(test_message_has_file_line_key_and_call),
		test(test_message_for_a_command_line_has_no_file),
		test(test_message_for_a_device_names_the_interface),
		test(test_message_for_a_unit_names_its_setting),
		test(test_message_for_a_group),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

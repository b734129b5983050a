#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>

#include "base/systemd.h"
#include "build_config.h"
#include "tests/unit/config/key_values.h"

static void listener_addresses(void **state)
{
	struct config *config = good("[listener:e]\naction = sink\naddress = 192.0.2.1:1, [2001:db8::1]:2,\n"
				     " *:0, unix:/run/x\n");
	const struct bind_config *binds = listener(config)->binds;

	(void)state;
	assert_int_equal(listener(config)->bind_count, 4);
	assert_int_equal(binds[0].address.any.sa_family, AF_INET);
	assert_int_equal(address_port(&binds[0].address), 1);
	assert_int_equal(binds[1].address.any.sa_family, AF_INET6);
	assert_true(binds[2].any && !binds[1].any);
	assert_int_equal(address_port(&binds[2].address), 0);
	assert_string_equal(binds[3].text, "unix:/run/x");
	assert_string_equal(binds[3].address.local.sun_path, "/run/x");
	assert_int_equal(binds[1].line, 3);
	assert_int_equal(binds[3].line, 4);
	config_destroy(config);
	assert_rejected(
		"[listener:e]\naction = sink\n", "address",
		"7788|*|localhost:1|1.2.3.4|1.2.3:4|1.2.3.4:65536|1.2.3.4:01|::1:80|[::1]|[1.2.3.4]:5|unix:x|unix:|*:",
		"[listener:e] address: `");
	assert_rejected("[listener:e]\naction = sink\n", "address", "[::ffff:192.0.2.1]:1",
			"[listener:e] address: `[::ffff:192.0.2.1]:1` is an IPv4-mapped IPv6 address");
	assert_rejected("[listener:e]\naction = sink\n", "address", ",|*:1,|,*:1|*:1,,*:2|*:1,,,*:2",
			"[listener:e] address: the list has an empty item: remove a comma");
	assert_rejected("[listener:e]\naction = sink\n", "address", "localhost:1",
			"[listener:e] address: `localhost:1`: names are not accepted here: write an IP address");
	assert_rejected("[listener:e]\naction = sink\n", "address", "::1:77",
			"[listener:e] address: `::1:77`: an IPv6 address needs brackets: write [::1]:77");
}

static void systemd_sockets(void **state)
{
	struct config *config;

	(void)state;
	if (!systemd_is_built_in()) {
		assert_rejected("[listener:e]\naction = sink\n", "address", "fd:echo",
				"[listener:e] address: `fd:echo` needs a udprelayd that is built with systemd: write "
				"an address");
		return;
	}
	config = good("[listener:e]\naction = sink\naddress = fd:dns, *:1, fd:a.b@c-1\n");
	assert_int_equal(listener(config)->bind_count, 3);
	assert_string_equal(listener(config)->binds[0].fd_name, "dns");
	assert_null(listener(config)->binds[1].fd_name);
	assert_string_equal(listener(config)->binds[2].fd_name, "a.b@c-1");
	config_destroy(config);
	assert_rejected("[listener:e]\naction = sink\n", "address", "fd:|fd:a b|fd:a:b|fd:\xc3\xa4",
			"[listener:e] address: `");
	assert_rejected(
		"[listener:e]\naction = sink\n", "address", "fd:",
		"[listener:e] address: `fd:` does not name a socket: write fd:NAME, with the FileDescriptorName= of");
	assert_rejected("[listener:e]\naction = sink\n", "address", "fd:a, fd:a",
			"[listener:e] address: `fd:a` is listed twice: remove one");
	assert_rejected(
		"[listener:e]\naction = sink\naddress = fd:a\n", "interface", "lo",
		"[listener:e] interface: systemd sets the interface of a fd:NAME socket: remove this line, and write "
		"BindToDevice=");
	assert_rejected(
		"[listener:e]\naction = sink\naddress = fd:a\n", "freebind", "on",
		"[listener:e] freebind: systemd binds a fd:NAME socket: remove this line, and write FreeBind=yes");
}

static void network_keys(void **state)
{
	struct config *config = good(ECHO "multicast = 239.1.2.3, 224.0.0.1%eth0,\nff02::1234%br-lan\n");
	const struct multicast_config *groups = listener(config)->groups;

	(void)state;
	assert_int_equal(listener(config)->group_count, 3);
	assert_int_equal(groups[0].group.v4.sin_addr.s_addr, inet_addr("239.1.2.3"));
	assert_string_equal(groups[0].interface, "");
	assert_string_equal(groups[1].interface, "eth0");
	assert_int_equal(groups[2].group.any.sa_family, AF_INET6);
	assert_string_equal(groups[2].interface, "br-lan");
	config_destroy(config);
	assert_rejected(ECHO, "multicast", "192.0.2.1|239.1.2.3:5000|all|2001:db8::1|224.0.0.1%|ff02::1%a/b",
			"[listener:e] multicast: `");
	assert_loaded(ECHO, "multicast = 239.1.2.3%a, 239.1.2.3%b, 239.1.2.3", listener(c)->group_count == 3);
	assert_rejected(ECHO, "multicast", "239.1.2.3, 239.1.2.3",
			"[listener:e] multicast: `239.1.2.3` is listed twice: remove one");
	assert_rejected(ECHO, "multicast", "ff02::1%a, ff02::1%b, ff02::1%a",
			"[listener:e] multicast: `ff02::1%a` is listed twice: remove one");
	assert_loaded(ECHO, "interface = eth0.100", !strcmp(listener(c)->interface, "eth0.100"));
	assert_rejected(ECHO, "interface", "sixteen-letters.|a b|a/b|..", "[listener:e] interface: `");
	assert_loaded(ECHO, "freebind = yes", listener(c)->freebind);
	assert_loaded(ECHO, "freebind = off", !listener(c)->freebind);
	assert_rejected(ECHO, "freebind", "1|maybe", "[listener:e] freebind: `");
}

/* Returns the line of the prefix that contains the address, or 0 if there is none. */
static unsigned line_of(const struct prefix_set *set, const char *ip)
{
	const struct prefix *prefix;
	struct address address;

	assert_int_equal(address_from_ip(&address, ip, 1), 0);
	prefix = prefix_set_find(set, &address);
	return prefix ? prefix->line : 0;
}

static void source_lists(void **state)
{
	(void)state;
	assert_loaded(ECHO, "", !listener(c)->allow && !listener(c)->deny);
	assert_loaded(ECHO, "allow = 192.0.2.0/24, 2001:db8::/32",
		      !listener(c)->deny && line_of(listener(c)->allow, "192.0.2.9") == 4 &&
			      line_of(listener(c)->allow, "2001:db8::9") == 4 &&
			      !line_of(listener(c)->allow, "192.0.3.1"));
	assert_loaded(ECHO, "deny = 192.0.2.1, 192.0.2.1, 192.0.2.0/24, 192.0.2.0/24",
		      !listener(c)->allow && line_of(listener(c)->deny, "192.0.2.1") == 4);
	assert_rejected(ECHO, "allow", "192.0.2.0/33|all|::/129|1.2.3.4/|192.0.2", "[listener:e] allow: `");
	assert_rejected(ECHO, "deny", "0.0.0.0/-1|0.0.0.0/00|fe80::%lo/10|*", "[listener:e] deny: `");
	assert_rejected(
		ECHO, "deny", "192.0.2.1/24",
		"[listener:e] deny: `192.0.2.1/24`: some bits after the prefix length are set: write 192.0.2.0/24");
	assert_rejected(
		ECHO, "allow", "::ffff:192.0.2.0/120",
		"[listener:e] allow: `::ffff:192.0.2.0/120`: this is an IPv4-mapped IPv6 prefix: write 192.0.2.0/24");
	assert_rejected(ECHO, "allow", "192.0.2.1,|,|1.2.3.4,,5.6.7.8",
			"[listener:e] allow: the list has an empty item");
}

static void source_list_entries_have_lines(void **state)
{
	struct config *config = good(ECHO "deny = 192.0.2.0/24, ; where it begins\n  198.51.100.0/24, 203.0.113.0/24,\n"
					  "; nothing\n\n  2001:db8::/32,\n  192.0.2.7\n");
	const struct prefix_set *deny = listener(config)->deny;

	(void)state;
	assert_int_equal(line_of(deny, "192.0.2.1"), 4);
	assert_int_equal(line_of(deny, "192.0.2.7"), 9);
	assert_int_equal(line_of(deny, "198.51.100.1"), 5);
	assert_int_equal(line_of(deny, "203.0.113.1"), 5);
	assert_int_equal(line_of(deny, "2001:db8::1"), 8);
	config_destroy(config);
	refused(ECHO "allow = 192.0.2.0/24,\n  192.0.2/24,\n\n  ::/0, ::1/0\n",
		"5: [listener:e] allow: `192.0.2/24`: not a prefix: write one such as ",
		"7: [listener:e] allow: `::1/0`: some bits after the prefix length are set: write ::/0");
}

/* One prefix per line, as other programs write such lists. */
static void very_long_source_lists_are_read(void **state)
{
	struct config *config;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	fputs(ECHO "deny = 192.0.2.0/24", out);
	for (unsigned i = 0; i < 50000; i++)
		fprintf(out, ",\n 10.%u.%u.0/24", i / 256, i % 256);
	fclose(out);
	config = good(text);
	free(text);
	assert_int_equal(line_of(listener(config)->deny, "10.0.0.9"), 5);
	assert_int_equal(line_of(listener(config)->deny, "10.195.79.9"), 50004);
	assert_int_equal(line_of(listener(config)->deny, "10.195.80.9"), 0);
	config_destroy(config);
}

/* Without libmicrohttpd the key is rejected, but errors in its value are reported first. */
static void http_addresses_are_accepted(void **state)
{
	static const char *const good_ones[] = {"127.0.0.1:9100", "[::1]:9100", "192.0.2.1:0", "unix:/run/http"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good_ones) / sizeof(good_ones[0]); i++) {
		snprintf(text, sizeof(text), ECHO "[http]\nlisten = %s\n", good_ones[i]);
		if (!HAVE_LIBMICROHTTPD) {
			refused(text, "5: [http] listen: this udprelayd was built without libmicrohttpd: write off");
			continue;
		}
		struct config *config = good(text);
		struct address address;

		assert_string_equal(config->http.text, good_ones[i]);
		assert_int_equal(config->http.line, 5);
		assert_int_equal(address_parse(&address, good_ones[i]), 0);
		assert_true(address_equal(&config->http.address, &address));
		config_destroy(config);
	}
}

#define HTTP ECHO "[http]\nlisten = 127.0.0.1:9100\n"

static void http_hosts(void **state)
{
	(void)state;
	if (!HAVE_LIBMICROHTTPD)
		return;
	assert_loaded(HTTP, "", !c->http.host_count);
	assert_loaded(HTTP, "hosts = a.example, b_1.example.,\n 192.0.2.1, 2001:db8::1",
		      c->http.host_count == 4 && !strcmp(c->http.hosts[0], "a.example") &&
			      !strcmp(c->http.hosts[3], "2001:db8::1"));
	assert_rejected(HTTP, "hosts", "a.example:80|[::1]|a/b|*|*.example|192.0.2|http://a|a b|ä.example",
			"[http] hosts: `");
	assert_rejected(
		HTTP, "hosts", "a:1",
		"[http] hosts: `a:1` is not a host name: write a name or an IP address as in a URL, without port and "
		"brackets");
	refused(ECHO "[http]\nhosts = a.example\n",
		"5: [http] hosts: has no effect without an address: write `listen = ");
	refused(ECHO "[http]\nlisten = off\nhosts = a.example\n",
		"6: [http] hosts: has no effect without an address: ");
	refused(ECHO "[http]\nlisten = *:1\nhosts = a.example\n", "5: [http] listen: ");
}

static void http_can_be_off(void **state)
{
	static const char *const texts[] = {ECHO, ECHO "[http]\n", ECHO "[http]\nlisten = off\n",
					    ECHO "[http]\nlisten = OFF\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config *config = good(texts[i]);

		assert_null(config->http.text);
		config_destroy(config);
	}
}

static void http_addresses_are_checked(void **state)
{
	(void)state;
	assert_rejected(ECHO "[http]\n", "listen",
			"on|127.0.0.1|localhost:9100|127.0.0.1:65536|/run/http|unix:http|[::1]", "[http] listen: `");
	assert_rejected(ECHO "[http]\n", "listen",
			"::ffff:127.0.0.1:9100|[::ffff:127.0.0.1]:9100|239.1.2.3:9100|[fe80::1]:9100",
			"[http] listen: `");
	refused(ECHO "[http]\nlisten = *:9100\n",
		"5: [http] listen: `*:9100` shows the names and addresses of listeners and peers to every host");
	refused(ECHO "[http]\nlisten = 9100\n",
		"5: [http] listen: `9100` shows the names and addresses of listeners and peers to every host");
	refused(ECHO "[http]\nlisten = :9100\n",
		"5: [http] listen: `:9100` shows the names and addresses of listeners and peers to every host");
	refused(ECHO "[http]\nlisten = 0.0.0.0:9100\n",
		"5: [http] listen: `0.0.0.0:9100` shows the names and addresses of listeners and peers to every host");
	refused(ECHO "[http]\nlisten = [::]:9100\n",
		"5: [http] listen: `[::]:9100` shows the names and addresses of listeners and peers to every host");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listener_addresses),
		cmocka_unit_test(systemd_sockets),
		cmocka_unit_test(network_keys),
		cmocka_unit_test(source_lists),
		cmocka_unit_test(source_list_entries_have_lines),
		cmocka_unit_test(very_long_source_lists_are_read),
		cmocka_unit_test(http_addresses_are_accepted),
		cmocka_unit_test(http_hosts),
		cmocka_unit_test(http_can_be_off),
		cmocka_unit_test(http_addresses_are_checked),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/support/config_text.h"

#define ECHO "[listener:e]\naddress = *:7788\naction = echo\n"

#define RELAY "[listener:r]\naddress = *:7788\naction = relay\npeers = p\n[peer:p]\naddress = 192.0.2.1:1\n"

static void keys_have_lines(void **state)
{
	struct config *config = good("\n" RELAY "\n[listener:e]\nmax_datagram = 9\naddress = *:7789\n"
				     "action = echo\nallow = ::1,\n ::2\nlog = all\n");
	const struct section_lines *relay = &config->listeners[0].lines, *echo = &config->listeners[1].lines;

	(void)state;
	assert_int_equal(relay->line, 2);
	assert_int_equal(config_line(relay, "peers"), 5);
	assert_int_equal(config_line(relay, "max_datagram"), 0);
	assert_int_equal(config->peers[0].lines.line, 6);
	assert_int_equal(config_line(&config->peers[0].lines, "address"), 7);
	assert_int_equal(echo->line, 9);
	assert_int_equal(config_line(echo, "max_datagram"), 10);
	assert_int_equal(config_line(echo, "allow"), 13);
	assert_int_equal(config_line(echo, "log"), 15);
	config_destroy(config);
}

static void listeners_and_peers_keep_file_order(void **state)
{
	struct config *config = good("[listener:b]\naddress = *:2\naction = forward\npeers = y, x\n"
				     "[peer:x]\naddress = 192.0.2.1:1\n[peer:y]\naddress = host.example.:2\n"
				     "[listener:a]\naddress = *:1\naction = sink\n");

	(void)state;
	assert_int_equal(config->listener_count, 2);
	assert_string_equal(config->listeners[0].name, "b");
	assert_string_equal(config->listeners[1].name, "a");
	assert_int_equal(config->listeners[1].index, 1);
	assert_int_equal(config->listeners[0].peer_count, 2);
	assert_ptr_equal(config->listeners[0].peers[0], &config->peers[1]);
	assert_ptr_equal(config->listeners[0].peers[1], &config->peers[0]);
	assert_int_equal(config->peers[1].index, 1);
	config_destroy(config);
}

static void unknown_sections_are_rejected(void **state)
{
	(void)state;
	refused(ECHO "[listner:x]\n", "4: [listner:x]: unknown section: did you mean `[listener:x]`?");
	refused(ECHO "[Log]\n", "4: [Log]: unknown section: did you mean `[log]`?");
	refused(ECHO "[log:x]\n", "4: [log:x]: unknown section: did you mean `[log]`?");
	refused(ECHO "[peer]\n", "4: [peer]: unknown section: did you mean `[peer:NAME]`?");
	refused("[listner:x]\n", "1: [listner:x]: unknown section: did you mean `[listener:x]`?");
	refused("[peer]\n", " no listener is configured: ", "1: [peer]: unknown section: ");
	refused(ECHO "[foo]\n", "4: [foo]: unknown section: write [udprelayd], [log], ");
	refused(ECHO "[statistics]\n", "4: [statistics]: unknown section: write [udprelayd], [log], ");
	refused(ECHO "[]\n", "4: []: unknown section");
}

static void section_names_are_checked(void **state)
{
	(void)state;
	config_destroy(good("[listener:aZ09-_.]\naddress = *:7788\naction = echo\n"));
	refused("[listener:]\naddress = *:7788\naction = echo\n", "1: [listener:]: not a valid name: write 1 to 32");
	refused("[listener:a b]\naddress = *:7788\naction = echo\n", "1: [listener:a b]: not a valid name: write 1 to");
	refused(ECHO "[peer:a:b]\naddress = 192.0.2.1:1\n", "4: [peer:a:b]: not a valid name: write 1 to");
}

/* libinih cuts long names, so that two sections could get the same name. */
static void long_section_names_are_not_cut(void **state)
{
	char text[1000], name[301];

	(void)state;
	memset(name, 'n', 300);
	name[300] = '\0';
	snprintf(text, sizeof(text), "[listener:%s]\naddress = *:1\naction = ech\n[listener:%s1]\n", name, name);
	refused(text, "1: [listener:nnn", "3: [listener:nnn", "4: [listener:nnn", "4: [listener:nnn",
		"4: [listener:nnn");
}

static void unknown_keys_are_rejected(void **state)
{
	(void)state;
	refused(ECHO "adress = *:1\n", "4: [listener:e] adress: unknown key: did you mean `address`?");
	refused(ECHO "Encoding = utf-8\n", "4: [listener:e] Encoding: unknown key: did you mean `encoding`?");
	refused(ECHO "colour_of_the_sky = blue\n",
		"4: [listener:e] colour_of_the_sky: unknown key in this section: remove it");
}

static void misplaced_keys_name_their_section(void **state)
{
	(void)state;
	refused(ECHO "level = info\n", "4: [listener:e] level: the key belongs to [log]: write it there");
	refused(ECHO "[udprelayd]\nformat = json\n",
		"5: [udprelayd] format: the key belongs to [log] or [datagram_log]: write it there");
	refused(ECHO "[log]\npeers = p\n", "5: [log] peers: the key belongs to [listener:NAME]: write it there");
}

static void missing_commas_and_equals_signs_are_suggested(void **state)
{
	(void)state;
	refused("[listener:e]\naction = echo\naddress = 127.0.0.1:1\n  127.0.0.2:77\n",
		"4: [listener:e] 127.0.0.2: unknown key: add a comma to the previous line if this is part of a list");
	refused("[listener:e]\naction = echo\naddress = 127.0.0.1:1\n  unix:/x\n",
		"4: [listener:e] unix: unknown key: add a comma to the previous line if this is part of a list");
	refused(ECHO "[log]\nfoo: bar\n", "5: [log] foo: unknown key in this section: remove it");
	refused(ECHO "errors *:7788\n",
		"4: [listener:e] errors *: unknown key: write `=` between `errors` and its value");
	refused(ECHO "adress: *:1\n", "4: [listener:e] adress: unknown key: did you mean `address`?");
}

static void duplicates_are_rejected(void **state)
{
	(void)state;
	refused(ECHO "action = sink\n", "4: [listener:e] action: the key exists in line 3 already: remove one");
	refused(ECHO ECHO, "4: [listener:e]: the section exists in line 1 already",
		"5: [listener:e] address: the key exists in line 2 already",
		"6: [listener:e] action: the key exists in line 3 already");
	refused("[log]\nlevel = info\n" ECHO "[log]\nformat = json\n",
		"6: [log]: the section exists in line 1 already: write all its keys there");
}

static void required_keys_are_reported(void **state)
{
	(void)state;
	refused("", " no listener is configured: add a section [listener:NAME]");
	refused("[listener:e]\n", "1: [listener:e] address: missing: write", "1: [listener:e] action: missing: write");
	refused("[listener:e]\naddress = *:1\naction = forward\n", "1: [listener:e] peers: missing: ");
	refused(ECHO "[peer:p]\n", "4: [peer:p] address: missing: ");
	refused(ECHO "[log]\nlevel =\n", "5: [log] level: the value is missing: write error, warning");
	refused(ECHO "[log]\nlevel = ; info\n", "5: [log] level: the value is missing");
}

/* An error that only follows from an earlier one is not reported. */
static void follow_up_errors_are_suppressed(void **state)
{
	(void)state;
	refused("[listener:e]\naddress = nowhere\naction = ech\npeers = p\nmulticast = 239.1.1.1\n"
		"[peer:p]\naddress = 192.0.2.1:1\n",
		"2: [listener:e] address: ", "3: [listener:e] action: ");
}

static void all_errors_are_reported_in_line_order(void **state)
{
	(void)state;
	refused("[log]\nlevel = loud\n"
		"[listener:a]\naddress = *:1, 1.2.3:5, , *:99999\naction = echo\nlog = some\n"
		"[peer:p]\nweight = 0\n"
		"nonsense\n"
		"[udprelayd]\nworkers = 0\n",
		"2: [log] level: `loud` is not valid: write error, warning, notice, info or debug",
		"4: [listener:a] address: `1.2.3:5`: ",
		"4: [listener:a] address: the list has an empty item: remove a comma",
		"4: [listener:a] address: `*:99999`: ", "6: [listener:a] log: ", "7: [peer:p] address: missing",
		"8: [peer:p] weight: ", "9: [peer:p]: `nonsense` is neither",
		"11: [udprelayd] workers: `0` is not valid: write auto, or a number from 1 to 256");
}

static void binary_files_give_one_error(void **state)
{
	static const char utf16[] = "\xff\xfe[\0l\0o\0g\0]\0\n\0x\0", png[] = "\x89PNG\r\n\x1a\n\0\0\0\rIHDR\n\0";

	(void)state;
	refused_bytes(utf16, sizeof(utf16),
		      (const char *const[]){"1: this is not a text file: save it as UTF-8", NULL});
	refused_bytes(png, sizeof(png), (const char *const[]){"3: this is not a text file: save it as UTF-8", NULL});
}

static void quoted_text_is_escaped(void **state)
{
	char *errors;

	(void)state;
	assert_null(config_of("[\x1b]2;x]\n[\xc2\x9b]\n[\xff]\n[\xc3\xa4]\n", 22, &errors));
	for (const char *c = errors; *c; c++)
		assert_true((unsigned char)*c >= ' ' || *c == '\n');
	assert_non_null(strstr(errors, "[\\x1b]"));
	assert_non_null(strstr(errors, "[\\xc2\\x9b]"));
	assert_non_null(strstr(errors, "[\\xff]"));
	assert_non_null(strstr(errors, "[\xc3\xa4]"));
	free(errors);
}

/* --- Lookups --- */

static void binds_have_one_address_or_one_per_family(void **state)
{
	struct config *config = good("[listener:e]\naction = sink\naddress = 192.0.2.1:7, *:9\n");
	struct address addresses[BIND_ADDRESSES_MAX];
	char text[ADDRESS_TEXT_MAX];

	(void)state;
	assert_int_equal(config_bind_addresses(&config->listeners[0].binds[0], addresses), 1);
	assert_string_equal(address_format(&addresses[0], text), "192.0.2.1:7");
	assert_int_equal(config_bind_addresses(&config->listeners[0].binds[1], addresses), 2);
	assert_string_equal(address_format(&addresses[0], text), "0.0.0.0:9");
	assert_string_equal(address_format(&addresses[1], text), "[::]:9");
	config_destroy(config);
}

static void systemd_binds_have_no_address(void **state)
{
	struct bind_config bind = {.fd_name = (char *)"dns"};
	struct address addresses[BIND_ADDRESSES_MAX];

	(void)state;
	assert_int_equal(config_bind_addresses(&bind, addresses), 0);
}

static void listeners_and_peers_are_found_by_name(void **state)
{
	struct config *config = good(RELAY "[peer:q]\naddress = 192.0.2.2:1\n[listener:s]\naddress = *:9001\n"
					   "action = sink\n");

	(void)state;
	assert_int_equal(config_find_listener(config, "r"), 0);
	assert_int_equal(config_find_listener(config, "s"), 1);
	assert_int_equal(config_find_listener(config, "p"), 2);
	assert_int_equal(config_find_peer(config, "p"), 0);
	assert_int_equal(config_find_peer(config, "q"), 1);
	assert_int_equal(config_find_peer(config, "Q"), 2);
	config_destroy(config);
}

static void max_sessions_are_summed_over_relays(void **state)
{
	struct config *config =
		good(RELAY "[listener:s]\naddress = *:9001\naction = relay\npeers = p\nmax_sessions = 10\n"
			   "[listener:e]\naddress = *:9002\naction = echo\n");

	(void)state;
	assert_int_equal(config_max_sessions(config), 16384 + 10);
	config_destroy(config);
	config = good(ECHO);
	assert_int_equal(config_max_sessions(config), 0);
	config_destroy(config);
}

/* --- Files --- */

static void assert_unreadable(const char *path, const char *why)
{
	char *errors, expected[200];
	size_t length;
	FILE *out = open_memstream(&errors, &length);

	assert_null(config_load(path, out));
	fclose(out);
	snprintf(expected, sizeof(expected), "%s: %s", *path ? path : "\"\"", why);
	if (strncmp(errors, expected, strlen(expected)))
		fail_msg("expected `%s`, not `%s`", expected, errors);
	assert_ptr_equal(strchr(errors, '\n'), errors + length - 1);
	free(errors);
}

static void unusable_paths_are_reported(void **state)
{
	(void)state;
	assert_unreadable("/nonexistent/x.ini", "cannot be opened: No such file or directory: create it");
	assert_unreadable("/etc/passwd/x.ini", "cannot be opened: Not a directory: ");
	assert_unreadable("/tmp", "is a directory: name the file in it, such as /tmp/udprelayd.ini");
	assert_unreadable("/dev/zero", "is a device, a pipe or a socket: name a regular file");
	assert_unreadable("", "the file name is empty: write one, such as udprelayd.ini");
}

/* Opening a pipe must not block until a writer opens it. */
static void pipes_and_sockets_are_rejected(void **state)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/tmp/test_config.XXXXXX"};
	int fd = mkstemp(address.sun_path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(address.sun_path);
	assert_int_equal(mkfifo(address.sun_path, 0600), 0);
	assert_unreadable(address.sun_path, "is a device, a pipe or a socket: name a regular file");
	unlink(address.sun_path);
	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_unreadable(address.sun_path, "is a device, a pipe or a socket: name a regular file");
	close(fd);
	unlink(address.sun_path);
}

static void symbolic_links_are_followed(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX", link[sizeof(path) + 5];
	int fd = mkstemp(path);

	(void)state;
	snprintf(link, sizeof(link), "%s.link", path);
	assert_int_equal(write(fd, ECHO, strlen(ECHO)), strlen(ECHO));
	close(fd);
	assert_int_equal(symlink(path, link), 0);
	struct config *config = config_load(link, stderr);
	unlink(link);
	unlink(path);
	assert_non_null(config);
	config_destroy(config);
}

static void unreadable_files_are_reported(void **state)
{
	char path[] = "/tmp/test_config.XXXXXX";
	int fd = mkstemp(path);
	uid_t user = geteuid();

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(write(fd, ECHO, strlen(ECHO)), strlen(ECHO));
	close(fd);
	config_destroy(config_load(path, stderr));
	assert_int_equal(chmod(path, 0), 0);
	if (user == 0 && seteuid(65534)) {
		unlink(path);
		skip();
	}
	assert_unreadable(path, "cannot be opened: Permission denied: make it a file that this user may read");
	assert_int_equal(seteuid(user), 0);
	unlink(path);
}

static void host_names_are_compared_without_case_and_final_dot(void **state)
{
	static char *const same[] = {(char *)"peer.test", (char *)"PEER.Test", (char *)"peer.test."};
	static char *const others[] = {NULL, (char *)"peer.tes", (char *)"peer.test..", (char *)"."};
	struct peer_config a = {.host = same[0]}, b = {0};

	(void)state;
	address_from_ip(&a.address, "0.0.0.0", 53);
	b.address = a.address;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
		b.host = same[i];
		assert_true(peer_config_same_name(&a, &b) && peer_config_same_name(&b, &a));
	}
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		b.host = others[i];
		assert_false(peer_config_same_name(&a, &b) || peer_config_same_name(&b, &a));
	}
	b.host = same[0];
	address_set_port(&b.address, 54);
	assert_false(peer_config_same_name(&a, &b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_have_lines),
		cmocka_unit_test(listeners_and_peers_keep_file_order),
		cmocka_unit_test(unknown_sections_are_rejected),
		cmocka_unit_test(section_names_are_checked),
		cmocka_unit_test(long_section_names_are_not_cut),
		cmocka_unit_test(unknown_keys_are_rejected),
		cmocka_unit_test(misplaced_keys_name_their_section),
		cmocka_unit_test(missing_commas_and_equals_signs_are_suggested),
		cmocka_unit_test(duplicates_are_rejected),
		cmocka_unit_test(required_keys_are_reported),
		cmocka_unit_test(follow_up_errors_are_suppressed),
		cmocka_unit_test(all_errors_are_reported_in_line_order),
		cmocka_unit_test(binary_files_give_one_error),
		cmocka_unit_test(quoted_text_is_escaped),
		cmocka_unit_test(binds_have_one_address_or_one_per_family),
		cmocka_unit_test(systemd_binds_have_no_address),
		cmocka_unit_test(listeners_and_peers_are_found_by_name),
		cmocka_unit_test(host_names_are_compared_without_case_and_final_dot),
		cmocka_unit_test(max_sessions_are_summed_over_relays),
		cmocka_unit_test(unusable_paths_are_reported),
		cmocka_unit_test(pipes_and_sockets_are_rejected),
		cmocka_unit_test(symbolic_links_are_followed),
		cmocka_unit_test(unreadable_files_are_reported),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

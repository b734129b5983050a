/* Calls the setters directly, without a file. test_keys.c and test_setters_address.c test the values that they accept
 * and their messages; this file tests what the callers of a setter rely on: the stored fields, the errors for each
 * item, and who owns what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>
#include <stdlib.h>
#include <string.h>

#include "config/setters.h"

struct fixture {
	struct config config;
	struct listener_config listener;
	struct peer_config peers[2];
	struct diagnostics diagnostics;
	struct ini_entry entry;
	struct config_field field; /* in line 7 */
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->peers[0].name = (char *)"a";
	f->peers[1].name = (char *)"b";
	f->config.peers = f->peers;
	f->config.peer_count = 2;
	f->entry.line = 7;
	f->field = (struct config_field){.config = &f->config,
					 .listener = &f->listener,
					 .peer = &f->peers[0],
					 .diagnostics = &f->diagnostics,
					 .section = "s",
					 .name = "k",
					 .line = 7,
					 .entry = &f->entry};
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (size_t i = 0; i < f->listener.encoding_count; i++)
		free(f->listener.encodings[i]);
	for (size_t i = 0; i < f->listener.bind_count; i++)
		free(f->listener.binds[i].text);
	free(f->listener.encodings);
	free(f->listener.binds);
	free(f->listener.peers);
	free(f->listener.groups);
	prefix_set_destroy(f->listener.deny);
	free(f->config.user.name);
	free(f->config.datagram_log.path);
	free(f->peers[0].address_text);
	free(f->peers[0].host);
	free(f->peers[0].check.send.bytes);
	free(f->peers[0].check.expect.bytes);
	diagnostics_finish(&f->diagnostics);
	free(f);
	return 0;
}

static void assert_error(const struct fixture *f, size_t i, unsigned line, const char *text)
{
	assert_true(i < f->diagnostics.count);
	assert_int_equal(f->diagnostics.items[i].line, line);
	if (!strstr(f->diagnostics.items[i].text, text))
		fail_msg("expected `%s` in `%s`", text, f->diagnostics.items[i].text);
}

/* --- Helpers --- */

static void field_error_names_line_section_and_key(void **state)
{
	struct fixture *f = *state;

	assert_false(config_field_error(&f->field, "x%d", 1));
	assert_true(f->field.reported);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 7, "[s] k: x1");
}

static bool reject_even_length(struct config_field *field, char *item)
{
	field->number++;
	return strlen(item) % 2 || config_field_error(field, "even: %s", item);
}

static void all_items_are_tried_after_an_error(void **state)
{
	struct fixture *f = *state;

	assert_true(config_field_each_item(&f->field, "a, bcd", reject_even_length));
	assert_int_equal(f->field.number, 2);
	assert_false(config_field_each_item(&f->field, "aa, b, cc", reject_even_length));
	assert_int_equal(f->field.number, 5);
	assert_int_equal(f->diagnostics.count, 2);
	assert_error(f, 0, 7, "even: aa");
	assert_error(f, 1, 7, "even: cc");
}

static void empty_items_give_one_error(void **state)
{
	struct fixture *f = *state;

	assert_false(config_field_each_item(&f->field, "a,,b,,", reject_even_length));
	assert_int_equal(f->field.number, 2);
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 7, "`a,,b,,` has an empty item: remove a comma");
}

static void appended_elements_are_zero_and_kept(void **state)
{
	uint64_t *array = NULL;
	size_t count = 0;

	(void)state;
	for (uint64_t i = 1; i <= 100; i++) {
		uint64_t *element = config_array_append(&array, &count, sizeof(*array));

		assert_int_equal(count, i);
		assert_ptr_equal(element, &array[i - 1]);
		assert_int_equal(*element, 0);
		*element = i;
	}
	for (uint64_t i = 1; i <= 100; i++)
		assert_int_equal(array[i - 1], i);
	free(array);
}

/* --- [udprelayd], [datagram_log] --- */

/* The file may have `group` before or after `user`. */
static void configured_group_wins_over_primary_group(void **state)
{
	struct fixture *f = *state;

	assert_true(set_group(&f->field, "4321"));
	assert_true(set_user(&f->field, "nobody"));
	assert_int_equal(f->config.user.gid, 4321);
	assert_int_equal(f->config.user.uid, getpwnam("nobody")->pw_uid);
	assert_int_equal(f->config.user.line, 7);
	free(f->config.user.name);
	f->config.user.name = NULL;
	f->config.user.has_group = false;
	assert_true(set_user(&f->field, "nobody"));
	assert_int_equal(f->config.user.gid, getpwnam("nobody")->pw_gid);
	assert_true(set_group(&f->field, "4321"));
	assert_int_equal(f->config.user.gid, 4321);
}

static void numeric_user_in_the_database_has_a_group(void **state)
{
	struct fixture *f = *state;
	const struct passwd *nobody = getpwnam("nobody");
	char number[16];
	gid_t gid = nobody->pw_gid;

	snprintf(number, sizeof(number), "%u", (unsigned)nobody->pw_uid);
	assert_true(set_user(&f->field, number));
	assert_true(f->config.user.has_group);
	assert_int_equal(f->config.user.gid, gid);
	assert_string_equal(f->config.user.name, number);
}

static void numeric_user_outside_the_database_has_no_group(void **state)
{
	struct fixture *f = *state;

	assert_true(set_user(&f->field, "4294967294"));
	assert_int_equal(f->config.user.uid, 4294967294);
	assert_false(f->config.user.has_group);
}

/* A word that is neither a target nor a path gets the generic message of the caller. */
static void target_is_a_word_or_a_path(void **state)
{
	struct fixture *f = *state;

	assert_true(set_target(&f->field, "STDOUT"));
	assert_int_equal(f->config.datagram_log.target, LOG_TARGET_STDOUT);
	assert_null(f->config.datagram_log.path);
	assert_int_equal(f->config.datagram_log.line, 0);
	assert_false(set_target(&f->field, "sdterr"));
	assert_int_equal(f->config.datagram_log.target, LOG_TARGET_STDOUT);
	assert_false(f->field.reported);
	assert_true(set_target(&f->field, "./stdout"));
	assert_int_equal(f->config.datagram_log.target, LOG_TARGET_FILE);
	assert_string_equal(f->config.datagram_log.path, "./stdout");
	assert_int_equal(f->config.datagram_log.line, 7);
}

/* --- [listener:NAME] --- */

static void unknown_peers_are_left_to_validation(void **state)
{
	struct fixture *f = *state;

	assert_true(set_peers(&f->field, "b, unknown, a"));
	assert_int_equal(f->diagnostics.count, 0);
	assert_int_equal(f->listener.peer_count, 2);
	assert_ptr_equal(f->listener.peers[0], &f->peers[1]);
	assert_ptr_equal(f->listener.peers[1], &f->peers[0]);
	assert_false(set_peers(&f->field, "a"));
	assert_error(f, 0, 7, "`a` is listed twice: remove one");
	assert_int_equal(f->listener.peer_count, 2);
}

static void valid_items_of_a_list_are_stored_despite_errors(void **state)
{
	struct fixture *f = *state;

	assert_false(set_listener_address(&f->field, "192.0.2.1:1, here, [2001:db8::1]:2"));
	assert_int_equal(f->diagnostics.count, 1);
	assert_int_equal(f->listener.bind_count, 2);
	assert_string_equal(f->listener.binds[0].text, "192.0.2.1:1");
	assert_string_equal(f->listener.binds[1].text, "[2001:db8::1]:2");
	assert_false(set_listener_encoding(&f->field, "utf-8, klingon, HEX"));
	assert_int_equal(f->listener.encoding_count, 2);
	assert_string_equal(f->listener.encodings[1], "HEX");
}

static void zone_of_a_group_is_optional(void **state)
{
	struct fixture *f = *state;

	assert_true(set_multicast(&f->field, "239.1.2.3, ff02::1%eth0"));
	assert_int_equal(f->listener.group_count, 2);
	assert_string_equal(f->listener.groups[0].interface, "");
	assert_string_equal(f->listener.groups[1].interface, "eth0");
	assert_int_equal(f->listener.multicast_line, 7);
	assert_false(set_multicast(&f->field, "ff02::1%eth0"));
	assert_error(f, 0, 7, "`ff02::1%eth0` is listed twice");
}

/* An error in a list that spans several lines names the line of the item. Afterwards the field has its own line again,
 * so that later messages are correct. */
static void prefix_errors_have_the_line_of_the_item(void **state)
{
	struct fixture *f = *state;
	struct ini_continuation continuation = {sizeof("192.0.2.0/24,"), 9};
	struct config_key key = {.offset = offsetof(struct listener_config, deny)};

	f->entry.continuations = &continuation;
	f->entry.continuation_count = 1;
	f->field.key = &key;
	assert_false(set_prefixes(&f->field, "192.0.2.0/24, nonsense"));
	assert_int_equal(f->diagnostics.count, 1);
	assert_error(f, 0, 9, "[s] k: `nonsense`: ");
	assert_int_equal(f->field.line, 7);
	assert_null(f->listener.deny);
	assert_true(set_prefixes(&f->field, "192.0.2.0/24, 2001:db8::/32"));
	assert_non_null(f->listener.deny);
	assert_null(f->listener.allow);
}

/* --- [peer:NAME] --- */

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

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(field_error_names_line_section_and_key),
		test(all_items_are_tried_after_an_error),
		test(empty_items_give_one_error),
		test(appended_elements_are_zero_and_kept),
		test(configured_group_wins_over_primary_group),
		test(numeric_user_in_the_database_has_a_group),
		test(numeric_user_outside_the_database_has_no_group),
		test(target_is_a_word_or_a_path),
		test(unknown_peers_are_left_to_validation),
		test(valid_items_of_a_list_are_stored_despite_errors),
		test(zone_of_a_group_is_optional),
		test(prefix_errors_have_the_line_of_the_item),
		test(peer_with_a_name_keeps_only_the_port),
		test(hosts_that_end_in_a_number_are_no_names),
		test(payload_goes_to_the_offset_of_the_key),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

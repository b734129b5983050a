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

#include "tests/unit/config/setter_fixture.h"

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
	assert_error(f, 0, 7, "the list has an empty item: remove a comma");
}

static void a_list_without_commas_gets_a_proposal(void **state)
{
	struct fixture *f = *state;

	assert_true(config_field_word(&f->field, "one"));
	assert_true(config_field_word(&f->field, "192.0.2.1 53")); /* a port, which another message explains */
	assert_true(config_field_word(&f->field, "192.0.2.1:53 junk"));
	assert_int_equal(f->diagnostics.count, 0);
	assert_false(config_field_word(&f->field, "a b ; c"));
	assert_error(f, 0, 7, "`a b ; c` has no commas: write `a, b, c`");
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
	assert_int_equal(f->listener.groups[1].line, 7);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(field_error_names_line_section_and_key),
		test(all_items_are_tried_after_an_error),
		test(empty_items_give_one_error),
		test(a_list_without_commas_gets_a_proposal),
		test(appended_elements_are_zero_and_kept),
		test(configured_group_wins_over_primary_group),
		test(numeric_user_in_the_database_has_a_group),
		test(numeric_user_outside_the_database_has_no_group),
		test(target_is_a_word_or_a_path),
		test(valid_items_of_a_list_are_stored_despite_errors),
		test(zone_of_a_group_is_optional),
		test(prefix_errors_have_the_line_of_the_item),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

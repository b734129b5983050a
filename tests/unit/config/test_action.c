#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "config/action.h"
#include "config/keys.h"

static void every_action_has_its_own_name(void **state)
{
	(void)state;
	for (int i = 0; i < ACTIONS; i++) {
		assert_non_null(action_names[i]);
		assert_true(*action_names[i]);
		for (int j = 0; j < i; j++)
			assert_string_not_equal(action_names[i], action_names[j]);
	}
	assert_null(action_names[ACTIONS]);
}

/* The key must store the action whose index in action_names the word has. */
static void every_name_is_a_value_of_the_key(void **state)
{
	const struct config_key *key = config_key_find(SECTION_LISTENER, "action");

	(void)state;
	assert_non_null(key);
	assert_string_equal(key->expected, ACTION_CHOICES);
	for (int i = 0; i < ACTIONS; i++) {
		struct listener_config listener = {.action = ACTIONS};
		struct config_field field = {.listener = &listener, .key = key};

		assert_true(key->set(&field, action_names[i]));
		assert_int_equal(listener.action, i);
	}
}

/* ACTION_CHOICES is written by hand: it must have all names, in the order of action_names, and no others. */
static void choices_list_all_names(void **state)
{
	char expected[128] = "";

	(void)state;
	for (int i = 0; i < ACTIONS; i++) {
		strcat(expected, i == 0 ? "" : i == ACTIONS - 1 ? " or " : ", ");
		strcat(expected, action_names[i]);
	}
	assert_string_equal(ACTION_CHOICES, expected);
}

static void traits_match_the_actions(void **state)
{
	static const struct {
		enum action_kind kind;
		bool has_peers, has_sessions, reflects, has_ring_guard, replies;
	} expected[] = {
		{ACTION_SINK, false, false, false, false, false},
		{ACTION_ECHO, false, false, true, true, true},
		{ACTION_FORWARD, true, false, false, true, false},
		{ACTION_RELAY, true, true, false, true, true},
	};

	(void)state;
	assert_int_equal(sizeof(expected) / sizeof(expected[0]), ACTIONS);
	for (size_t i = 0; i < ACTIONS; i++) {
		const struct action_traits *traits = &action_traits[expected[i].kind];

		assert_int_equal(traits->has_peers, expected[i].has_peers);
		assert_int_equal(traits->has_sessions, expected[i].has_sessions);
		assert_int_equal(traits->reflects, expected[i].reflects);
		assert_int_equal(traits->has_ring_guard, expected[i].has_ring_guard);
		assert_int_equal(action_traits[expected[i].kind].replies, expected[i].replies);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_action_has_its_own_name),
		cmocka_unit_test(every_name_is_a_value_of_the_key),
		cmocka_unit_test(choices_list_all_names),
		cmocka_unit_test(traits_match_the_actions),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

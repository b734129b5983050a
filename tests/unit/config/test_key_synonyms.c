#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "config/key_synonyms.h"
#include "config/keys.h"

static void names_of_other_programs_lead_to_our_keys(void **state)
{
	(void)state;
	assert_string_equal(config_key_synonym(SECTION_LISTENER, "Listen"), "address");
	assert_string_equal(config_key_synonym(SECTION_LISTENER, "upstream"), "peers");
	assert_string_equal(config_key_synonym(SECTION_PEER, "charset"), "encoding");
	assert_null(config_key_synonym(SECTION_PEER, "listen"));
	assert_null(config_key_synonym(SECTION_HTTP, "listen"));
	assert_null(config_key_synonym(SECTION_LISTENER, "address"));
}

static void no_synonym_is_a_key_and_each_leads_to_one(void **state)
{
	static const char *const names[] = {"listen",  "bind",    "port", "buffersize", "buffer", "rcvbuf", "sndbuf",
					    "charset", "timeout", "mode", "upstream",   "target", "server"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *key = config_key_synonym(SECTION_LISTENER, names[i]);

		assert_null(config_key_find(SECTION_LISTENER, names[i]));
		assert_non_null(key);
		assert_non_null(config_key_find(SECTION_LISTENER, key));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_of_other_programs_lead_to_our_keys),
		cmocka_unit_test(no_synonym_is_a_key_and_each_leads_to_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

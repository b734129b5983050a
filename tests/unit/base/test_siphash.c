#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/siphash.h"

/* Key and hashes are from vectors.h of the reference implementation. The inputs are the bytes 00, 01, 02 and so on. */
static void test_hashes_match_reference(void **state)
{
	const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	uint8_t input[64];

	(void)state;
	for (uint8_t i = 0; i < sizeof(input); i++)
		input[i] = i;
	assert_true(siphash(&key, input, 0) == UINT64_C(0x726fdb47dd0e0e31));
	assert_true(siphash(&key, input, 1) == UINT64_C(0x74f839c593dc67fd));
	assert_true(siphash(&key, input, 8) == UINT64_C(0x93f5f5799a932462));
	assert_true(siphash(&key, input, 15) == UINT64_C(0xa129ca6149be45e5));
	assert_true(siphash(&key, input, 63) == UINT64_C(0x958a324ceb064572));
}

static void test_random_keys_differ(void **state)
{
	struct siphash_key a, b;

	(void)state;
	siphash_key_random(&a);
	siphash_key_random(&b);
	assert_false(a.k0 == b.k0 && a.k1 == b.k1);
	assert_true(siphash(&a, "x", 1) != siphash(&b, "x", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes_match_reference),
		cmocka_unit_test(test_random_keys_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

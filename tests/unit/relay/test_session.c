#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/session.h"

static void pool_is_bounded(void **state)
{
	struct session_pool pool;
	struct session *sessions[3];

	(void)state;
	assert_int_equal(session_pool_init(&pool, 3), 0);
	for (int i = 0; i < 3; i++) {
		sessions[i] = session_pool_take(&pool);
		assert_non_null(sessions[i]);
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(sessions[i], sessions[j]);
	}
	assert_null(session_pool_take(&pool));
	session_pool_give(&pool, sessions[1]);
	assert_ptr_equal(session_pool_take(&pool), sessions[1]);
	assert_null(session_pool_take(&pool));
	session_pool_finish(&pool);
}

static void session_is_zeroed(void **state)
{
	struct session_pool pool;
	struct session *session;

	(void)state;
	assert_int_equal(session_pool_init(&pool, 1), 0);
	session = session_pool_take(&pool);
	session->tx.fd = 7;
	session->replies = 9;
	session->node.used_ms = 3;
	session_pool_give(&pool, session);
	session = session_pool_take(&pool);
	assert_int_equal(session->tx.fd, -1);
	assert_int_equal(session->replies, 0);
	assert_int_equal(session->node.used_ms, 0);
	session_pool_finish(&pool);
}

static void large_pool_reserves_without_use(void **state)
{
	struct session_pool pool;

	(void)state;
	assert_int_equal(session_pool_init(&pool, 1000000), 0); /* half a gigabyte of address space */
	assert_non_null(session_pool_take(&pool));
	session_pool_finish(&pool);
	session_pool_finish(&pool); /* a second call does nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pool_is_bounded),
		cmocka_unit_test(session_is_zeroed),
		cmocka_unit_test(large_pool_reserves_without_use),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

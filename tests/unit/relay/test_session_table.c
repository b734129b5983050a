#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/session_table.h"

#define MAX 64

struct fixture {
	struct session_table *table;
	struct session_node nodes[MAX];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = f;
	return f ? session_table_create(&f->table, MAX) : -1;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	session_table_destroy(f->table);
	free(f);
	return 0;
}

static struct address address(const char *text)
{
	struct address result = {0};

	assert_int_equal(address_parse(&result, text), 0);
	return result;
}

static struct session_node *add(struct fixture *f, unsigned i, const char *client, const char *local)
{
	struct session_node *node = &f->nodes[i];

	node->client = address(client);
	node->local = address(local);
	session_table_add(f->table, node, i);
	return node;
}

static struct session_node *find(const struct fixture *f, const char *client, const char *local)
{
	struct address from = address(client), to = address(local);

	return session_table_find(f->table, &from, &to);
}

static void every_part_of_both_addresses_is_compared(void **state)
{
	struct fixture *f = *state;
	static const char *const pairs[][2] = {
		{"192.0.2.1:1000", "192.0.2.9:53"},
		{"192.0.2.1:1001", "192.0.2.9:53"},
		{"192.0.2.2:1000", "192.0.2.9:53"},
		{"192.0.2.1:1000", "192.0.2.9:54"},
		{"192.0.2.1:1000", "192.0.2.8:53"},
		{"192.0.2.9:53", "192.0.2.1:1000"},
		{"[2001:db8::1]:1000", "[2001:db8::9]:53"},
		{"[2001:db8::1]:1001", "[2001:db8::9]:53"},
		{"[2001:db8::2]:1000", "[2001:db8::9]:53"},
		{"unix:/a", "unix:/s"},
		{"unix:/ab", "unix:/s"},
	};
	size_t count = sizeof(pairs) / sizeof(pairs[0]);

	for (unsigned i = 0; i < count; i++) {
		assert_null(find(f, pairs[i][0], pairs[i][1]));
		add(f, i, pairs[i][0], pairs[i][1]);
	}
	for (unsigned i = 0; i < count; i++)
		assert_ptr_equal(find(f, pairs[i][0], pairs[i][1]), &f->nodes[i]);
	assert_int_equal(session_table_count(f->table), count);
}

static void removed_session_is_not_found(void **state)
{
	struct fixture *f = *state;

	add(f, 0, "192.0.2.1:1", "192.0.2.9:53");
	add(f, 1, "192.0.2.1:2", "192.0.2.9:53");
	session_table_remove(f->table, &f->nodes[0]);
	assert_null(find(f, "192.0.2.1:1", "192.0.2.9:53"));
	assert_ptr_equal(find(f, "192.0.2.1:2", "192.0.2.9:53"), &f->nodes[1]);
	session_table_remove(f->table, &f->nodes[1]);
	assert_int_equal(session_table_count(f->table), 0);
	assert_null(session_table_lru_first(f->table));
}

static void first_is_the_least_recently_used(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 3; i++) {
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.1:%u", i + 1);
		add(f, i, client, "192.0.2.9:53");
	}
	assert_ptr_equal(session_table_lru_first(f->table), &f->nodes[0]);
	session_table_touch(f->table, &f->nodes[0], SESSION_SINGLE, 10);
	assert_ptr_equal(session_table_lru_first(f->table), &f->nodes[1]);
	assert_int_equal(f->nodes[0].used_ms, 10);
	session_table_touch(f->table, &f->nodes[0], SESSION_SINGLE, 11); /* it is already the most recent one */
	assert_int_equal(f->nodes[0].used_ms, 11);
	session_table_remove(f->table, &f->nodes[1]);
	assert_ptr_equal(session_table_lru_first(f->table), &f->nodes[2]);
	session_table_remove(f->table, &f->nodes[2]);
	assert_ptr_equal(session_table_lru_first(f->table), &f->nodes[0]);
}

static void each_class_has_its_own_order(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 4; i++) {
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.1:%u", i + 1);
		add(f, i, client, "192.0.2.9:53");
	}
	session_table_touch(f->table, &f->nodes[0], SESSION_CONVERSATION, 10);
	session_table_touch(f->table, &f->nodes[1], SESSION_UNANSWERED, 11);
	session_table_touch(f->table, &f->nodes[2], SESSION_SINGLE, 12);
	assert_ptr_equal(TAILQ_FIRST(session_table_lru(f->table, SESSION_SINGLE)), &f->nodes[3]);
	assert_ptr_equal(TAILQ_FIRST(session_table_lru(f->table, SESSION_UNANSWERED)), &f->nodes[1]);
	assert_ptr_equal(TAILQ_FIRST(session_table_lru(f->table, SESSION_CONVERSATION)), &f->nodes[0]);
	session_table_touch(f->table, &f->nodes[1], SESSION_CONVERSATION, 13);
	assert_true(TAILQ_EMPTY(session_table_lru(f->table, SESSION_UNANSWERED)));
	assert_ptr_equal(session_table_lru_first(f->table), &f->nodes[3]);
	session_table_remove(f->table, &f->nodes[0]);
	assert_ptr_equal(TAILQ_FIRST(session_table_lru(f->table, SESSION_CONVERSATION)), &f->nodes[1]);
}

/* Compares a random run with a model: an array of the last times. The seed is fixed. */
static void random_run_agrees_with_a_model(void **state)
{
	struct fixture *f = *state;
	uint64_t used[MAX] = {0}; /* 0: not in the table */
	uint32_t random = 7788;

	for (unsigned i = 0; i < MAX; i++) {
		char client[32];

		snprintf(client, sizeof(client), "192.0.2.%u:%u", i % 7, i / 7 + 1);
		f->nodes[i].client = address(client);
		f->nodes[i].local = address("192.0.2.9:53");
	}
	for (uint64_t step = 1; step < 20000; step++) {
		random = random * 1664525 + 1013904223;
		unsigned i = random >> 16 & (MAX - 1), oldest = MAX;
		struct session_node *node = &f->nodes[i];

		assert_ptr_equal(session_table_find(f->table, &node->client, &node->local), used[i] ? node : NULL);
		if (used[i] && random >> 28 < 6) {
			session_table_remove(f->table, node);
			used[i] = 0;
		} else {
			if (used[i])
				session_table_touch(f->table, node, (enum session_class)(step % SESSION_CLASSES), step);
			else
				session_table_add(f->table, node, step);
			used[i] = step;
		}
		for (unsigned k = 0; k < MAX; k++) {
			if (used[k] && (oldest == MAX || used[k] < used[oldest]))
				oldest = k;
		}
		assert_ptr_equal(session_table_lru_first(f->table), oldest < MAX ? &f->nodes[oldest] : NULL);
	}
}

#define CLIENTS 16384

/* Returns the number of nodes from this one to the end of its chain. */
static unsigned chain_length(const struct session_node *node)
{
	unsigned length = 0;

	for (; node; node = SLIST_NEXT(node, chain))
		length++;
	return length;
}

/* The hash has a random key, so consecutive addresses and ports spread like random ones, and no client can choose which
 * sessions share a chain. With as many buckets as clients, a chain of more than 12 occurs about once in a million runs.
 */
static void clients_in_sequence_have_short_chains(void **state)
{
	struct session_node *nodes = calloc(CLIENTS, sizeof(*nodes));
	struct session_table *table;
	unsigned longest = 0;

	(void)state;
	assert_non_null(nodes);
	assert_int_equal(session_table_create(&table, CLIENTS), 0);
	for (unsigned i = 0; i < CLIENTS; i++) {
		char ip[32];

		snprintf(ip, sizeof(ip), "10.1.%u.%u", i >> 8, i & 255);
		assert_int_equal(address_from_ip(&nodes[i].client, ip, (uint16_t)(1024 + i)), 0);
		nodes[i].local = address("192.0.2.9:53");
		session_table_add(table, &nodes[i], i);
	}
	for (unsigned i = 0; i < CLIENTS; i++) {
		unsigned length = chain_length(&nodes[i]);

		longest = length > longest ? length : longest;
	}
	assert_in_range(longest, 1, 12);
	session_table_destroy(table);
	free(nodes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_part_of_both_addresses_is_compared, set_up, tear_down),
		cmocka_unit_test_setup_teardown(removed_session_is_not_found, set_up, tear_down),
		cmocka_unit_test_setup_teardown(first_is_the_least_recently_used, set_up, tear_down),
		cmocka_unit_test_setup_teardown(each_class_has_its_own_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(random_run_agrees_with_a_model, set_up, tear_down),
		cmocka_unit_test(clients_in_sequence_have_short_chains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

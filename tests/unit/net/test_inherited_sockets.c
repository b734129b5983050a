/* The choice between inherited sockets to use and to close. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/inherited_sockets.h"
#include "tests/unit/support/config_text.h"
#include "tests/unit/support/loopback.h"

static char a[] = "a", b[] = "b";
static const struct listener_config plain = {.name = a};

static struct address parse(const char *text)
{
	struct address address;

	assert_int_equal(address_parse(&address, text), 0);
	return address;
}

static ino_t inode = 1; /* of AF_UNIX sockets */

static const char *store_name(const struct listener_config *listener, const char *address, unsigned worker)
{
	static char name[STORE_NAME_MAX];
	struct address parsed = parse(address);

	return inherited_sockets_store_name(name, listener, &parsed, worker, &(struct socket_file){1, inode}) ? name
													      : NULL;
}

static void assert_names_differ(const struct listener_config *one, const char *address, unsigned worker,
				const struct listener_config *other, const char *other_address, unsigned other_worker)
{
	char name[STORE_NAME_MAX];

	strcpy(name, store_name(one, address, worker));
	assert_string_not_equal(name, store_name(other, other_address, other_worker));
}

static void test_store_name_distinguishes_sockets(void **state)
{
	struct multicast_config groups[] = {{.group = parse("239.1.2.3:1")}, {.group = parse("239.1.2.4:1")}};
	struct listener_config other = {.name = a, .interface = "lo"};
	struct listener_config joined = {.name = a, .groups = groups, .group_count = 1};
	struct listener_config joined_both = {.name = a, .groups = groups, .group_count = 2};
	struct listener_config renamed = {.name = b};
	char name[STORE_NAME_MAX];

	(void)state;
	assert_names_differ(&plain, "127.0.0.1:1", 0, &plain, "127.0.0.1:2", 0);
	assert_names_differ(&plain, "127.0.0.1:1", 0, &plain, "127.0.0.1:1", 1);
	assert_names_differ(&plain, "127.0.0.1:1", 0, &other, "127.0.0.1:1", 0);
	assert_names_differ(&plain, "127.0.0.1:1", 0, &joined, "127.0.0.1:1", 0);
	assert_names_differ(&joined, "127.0.0.1:1", 0, &joined_both, "127.0.0.1:1", 0);
	strcpy(name, store_name(&plain, "127.0.0.1:1", 0));
	assert_string_equal(name, store_name(&renamed, "127.0.0.1:1", 0));
}

static void test_store_name_is_valid_for_systemd(void **state)
{
	(void)state;
	assert_null(strpbrk(store_name(&plain, "[fe80::1%1]:65535", 4294967295), ":\n"));
	assert_null(store_name(&plain, "127.0.0.1:0", 0));
}

/* The file is part of the name: a socket whose file was replaced must not be used. */
static void test_store_name_of_a_path(void **state)
{
	struct listener_config other = {.name = a, .interface = "lo"};
	char name[STORE_NAME_MAX], path[128] = "unix:/run/", longer[sizeof(path) + 1];

	(void)state;
	memset(path + strlen(path), 'x', 80);
	memset(path + strlen(path), ':', 20);
	assert_null(strpbrk(store_name(&plain, path, 0), ":\n"));
	snprintf(longer, sizeof(longer), "%sy", path);
	assert_names_differ(&plain, path, 0, &plain, longer, 0);
	strcpy(name, store_name(&plain, path, 0));
	assert_string_equal(name, store_name(&other, path, 0));
	inode = 2;
	assert_string_not_equal(name, store_name(&plain, path, 0));
	inode = 0;
	assert_null(store_name(&plain, path, 0));
	inode = 1;
}

/* --- Inherited sockets --- */

struct fixture {
	struct inherited_sockets inherited;
	struct address local[3];
};

static void add(struct fixture *f, const char *name, int fd, bool stored)
{
	struct inherited_socket *socket = &f->inherited.items[f->inherited.count++];

	*socket = (struct inherited_socket){.name = strdup(name), .fd = fd, .stored = stored};
	socket->local.length = sizeof(socket->local.local);
	assert_int_equal(getsockname(fd, &socket->local.any, &socket->local.length), 0);
}

static void add_stored(struct fixture *f, unsigned i, unsigned worker)
{
	char name[STORE_NAME_MAX];
	int fd = bound(&f->local[i]);

	assert_true(inherited_sockets_store_name(name, &plain, &f->local[i], worker, NULL));
	add(f, name, fd, true);
}

static int set_up(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	f->inherited.items = calloc(8, sizeof(*f->inherited.items));
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	inherited_sockets_close(&f->inherited);
	assert_null(f->inherited.items);
	free(f);
	return 0;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static struct config *listening_on(const struct address *address)
{
	char text[256], shown[ADDRESS_TEXT_MAX];

	snprintf(text, sizeof(text), "[listener:a]\naction = sink\naddress = %.100s\n", address_format(address, shown));
	return good(text);
}

static void test_unclaimed_stored_sockets_are_closed(void **state)
{
	struct fixture *f = *state;
	struct config *config;
	char name[STORE_NAME_MAX];
	int claimed, unclaimed;

	add_stored(f, 0, 0);
	add_stored(f, 1, 0);
	claimed = f->inherited.items[0].fd;
	unclaimed = f->inherited.items[1].fd;
	config = listening_on(&f->local[0]);
	inherited_sockets_discard_stale(&f->inherited, config, 1);
	assert_true(is_open(claimed));
	assert_false(is_open(unclaimed));

	inherited_sockets_store_name(name, &plain, &f->local[0], 0, NULL);
	assert_int_equal(inherited_sockets_take_stored(&f->inherited, name, &f->local[1]), -1);
	assert_int_equal(inherited_sockets_take_stored(&f->inherited, name, &f->local[0]), claimed);
	assert_int_equal(inherited_sockets_take_stored(&f->inherited, name, &f->local[0]), -1);
	close(claimed);
	config_destroy(config);
}

/* The first worker binds a new socket, which fails if the second worker's socket has the port already. */
static void test_a_later_worker_alone_is_not_claimed(void **state)
{
	struct fixture *f = *state;
	struct config *config;
	int fd;

	add_stored(f, 0, 1);
	fd = f->inherited.items[0].fd;
	config = listening_on(&f->local[0]);
	inherited_sockets_discard_stale(&f->inherited, config, 2);
	assert_false(is_open(fd));
	config_destroy(config);
}

/* The name in the store belongs to another address. */
static void test_a_stored_socket_must_have_its_address(void **state)
{
	struct fixture *f = *state;
	struct config *config;
	char name[STORE_NAME_MAX];
	int fd = bound(&f->local[0]);
	struct address other = f->local[0];

	address_set_port(&other, (uint16_t)(address_port(&other) ^ 1));
	inherited_sockets_store_name(name, &plain, &other, 0, NULL);
	add(f, name, fd, true);
	config = listening_on(&other);
	inherited_sockets_discard_stale(&f->inherited, config, 1);
	assert_false(is_open(fd));
	config_destroy(config);
}

static void test_unit_sockets_stay_open(void **state)
{
	struct fixture *f = *state;
	struct config *config;
	const struct inherited_socket *first, *second;

	add(f, "dns", bound(&f->local[0]), false);
	add(f, "other", bound(&f->local[1]), false);
	add(f, "dns", bound(&f->local[2]), false);
	config = listening_on(&f->local[0]);
	inherited_sockets_discard_stale(&f->inherited, config, 1);
	first = inherited_sockets_next(&f->inherited, "dns", NULL);
	second = inherited_sockets_next(&f->inherited, "dns", first);
	assert_non_null(second);
	assert_true(address_equal(&first->local, &f->local[0]) && address_equal(&second->local, &f->local[2]));
	assert_null(inherited_sockets_next(&f->inherited, "dns", second));
	assert_null(inherited_sockets_next(&f->inherited, "d", NULL));
	assert_true(is_open(first->fd) && is_open(second->fd));
	config_destroy(config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_store_name_distinguishes_sockets),
		cmocka_unit_test(test_store_name_is_valid_for_systemd),
		cmocka_unit_test(test_store_name_of_a_path),
		cmocka_unit_test_setup_teardown(test_unclaimed_stored_sockets_are_closed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_later_worker_alone_is_not_claimed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_stored_socket_must_have_its_address, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unit_sockets_stay_open, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

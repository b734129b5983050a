/* The choice of the socket for an address: shared, stored, inherited or new. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/socket_binder.h"
#include "tests/unit/net/free_address.h"
#include "tests/unit/net/log_capture.h"
#include "tests/unit/support/loopback.h"

void __wrap_clock_sleep_ms(uint64_t ms);

/* Closes fd in pause number `close_at`, counted from 1, as systemd closes its duplicate of a discarded socket. */
static struct {
	unsigned count, close_at;
	int fd;
} pauses;

void __wrap_clock_sleep_ms(uint64_t ms)
{
	assert_true(ms > 0);
	if (++pauses.count == pauses.close_at)
		close(pauses.fd);
}

#define SOCKETS_MAX 16

static char path[] = "t.ini", listener_name[] = "a", other_name[] = "b", bind_text[] = "address", unit_name[] = "dns";

struct fixture {
	struct config config;
	struct listener_config listener, other;
	struct listen_socket items[SOCKETS_MAX], previous_items[SOCKETS_MAX];
	struct listen_sockets sockets, previous;
	struct inherited_sockets inherited;
	struct log_capture log;
	struct socket_binder binder;
	char directory[32], unix_path[64];
};

static int set_up(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	memset(&pauses, 0, sizeof(pauses));
	log_capture_open(&f->log);
	f->config.path = path;
	f->listener = (struct listener_config){.name = listener_name};
	f->other = (struct listener_config){.name = other_name};
	f->sockets = (struct listen_sockets){.items = f->items, .log = f->log.log};
	f->previous = (struct listen_sockets){.items = f->previous_items, .log = f->log.log};
	f->inherited.items = calloc(SOCKETS_MAX, sizeof(*f->inherited.items));
	f->binder = (struct socket_binder){.sockets = &f->sockets,
					   .inherited = &f->inherited,
					   .config = &f->config,
					   .workers = 1,
					   .log = f->log.log};
	strcpy(f->directory, "/tmp/socket_binder.XXXXXX");
	if (!mkdtemp(f->directory))
		return -1;
	sprintf(f->unix_path, "unix:%s/socket", f->directory);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	listen_sockets_close_from(&f->sockets, 0);
	listen_sockets_close_from(&f->previous, 0);
	inherited_sockets_close(&f->inherited);
	log_capture_close(&f->log);
	rmdir(f->directory);
	free(f);
	return 0;
}

static int bind_address(struct fixture *f, const struct listener_config *listener, const char *text)
{
	struct bind_config bind = {.text = bind_text, .line = 3};

	assert_int_equal(address_parse(&bind.address, text), 0);
	return socket_binder_bind(&f->binder, listener, &bind);
}

static int bind_any(struct fixture *f, uint16_t port)
{
	struct bind_config bind = {.text = bind_text, .line = 3, .any = true};

	address_from_ip(&bind.address, "::", port);
	return socket_binder_bind(&f->binder, &f->listener, &bind);
}

static int bind_unit(struct fixture *f, char *name)
{
	struct bind_config bind = {.text = bind_text, .line = 3, .fd_name = name};

	return socket_binder_bind(&f->binder, &f->listener, &bind);
}

/* Makes the sockets that are bound so far those of the previous configuration. */
static void reload(struct fixture *f)
{
	memcpy(f->previous_items, f->items, sizeof(f->items));
	f->previous.count = f->sockets.count;
	f->sockets.count = 0;
	f->binder.previous = &f->previous;
}

static const char *text_of(const struct address *address)
{
	static char text[ADDRESS_TEXT_MAX];

	return address_format(address, text);
}

static void add_inherited_socket(struct fixture *f, const char *name, int fd, bool stored)
{
	struct inherited_socket *socket = &f->inherited.items[f->inherited.count++];

	*socket = (struct inherited_socket){.name = strdup(name), .fd = fd, .stored = stored};
	socket->local.length = sizeof(socket->local.local);
	assert_int_equal(getsockname(fd, &socket->local.any, &socket->local.length), 0);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* --- New sockets --- */

static void test_any_port_is_the_same_for_all_workers(void **state)
{
	struct fixture *f = *state;

	f->binder.workers = 3;
	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	assert_int_equal(f->sockets.count, 3);
	assert_true(address_port(&f->items[0].local) > 0);
	assert_true(address_equal(&f->items[2].local, &f->items[0].local));
	assert_int_equal(f->items[2].worker, 2);
}

static void test_star_binds_both_families_at_one_port(void **state)
{
	struct fixture *f = *state;

	f->binder.workers = 2;
	assert_int_equal(bind_any(f, 0), 0);
	assert_int_equal(f->sockets.count, 4);
	assert_int_equal(f->items[0].local.any.sa_family, AF_INET);
	assert_int_equal(f->items[2].local.any.sa_family, AF_INET6);
	assert_true(address_port(&f->items[0].local) > 0);
	assert_int_equal(address_port(&f->items[3].local), address_port(&f->items[0].local));
}

static void test_star_with_a_port_busy_in_one_family_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct socket_error error;
	struct address v6 = {.length = sizeof(v6.local)};
	int busy;

	address_from_ip(&v6, "::", 0);
	busy = socket_bind(&f->listener, &v6, true, false, &error);
	assert_true(busy >= 0);
	assert_int_equal(getsockname(busy, &v6.any, &v6.length), 0);
	assert_int_equal(bind_any(f, address_port(&v6)), -EADDRINUSE);
	assert_int_equal(log_capture_count(&f->log, "t.ini:3: [listener:a] address: address: another program"), 1);
	close(busy);
	listen_sockets_close_from(&f->sockets, 0);
	assert_int_equal(bind_any(f, address_port(&v6)), 0);
}

static void test_a_unix_path_has_one_socket(void **state)
{
	struct fixture *f = *state;

	f->binder.workers = 3;
	assert_int_equal(bind_address(f, &f->listener, f->unix_path), 0);
	assert_int_equal(f->sockets.count, 1);
	assert_int_equal(access(f->unix_path + strlen("unix:"), F_OK), 0);
	listen_sockets_close_from(&f->sockets, 0);
	assert_int_equal(access(f->unix_path + strlen("unix:"), F_OK), -1);
}

static void test_an_error_keeps_earlier_sockets(void **state)
{
	struct fixture *f = *state;
	struct address busy;
	int fd = bound(&busy);

	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	assert_int_equal(bind_address(f, &f->listener, text_of(&busy)), -EADDRINUSE);
	assert_int_equal(pauses.count, 0);
	assert_int_equal(f->sockets.count, 1);
	assert_true(is_open(f->items[0].fd));
	close(fd);
}

/* --- A port that systemd is about to release --- */

static void test_a_busy_port_is_tried_until_it_is_free(void **state)
{
	struct fixture *f = *state;
	struct address busy;

	pauses.fd = bound(&busy);
	pauses.close_at = 3;
	f->binder.retries_left = 10;
	assert_int_equal(bind_address(f, &f->listener, text_of(&busy)), 0);
	assert_int_equal(pauses.count, 3);
	assert_int_equal(f->binder.retries_left, 7);
	assert_int_equal(log_capture_count(&f->log, "error"), 0);
}

static void test_retries_are_limited_for_all_addresses_together(void **state)
{
	struct fixture *f = *state;
	struct address busy;
	int fd = bound(&busy);

	f->binder.retries_left = 10;
	assert_int_equal(bind_address(f, &f->listener, text_of(&busy)), -EADDRINUSE);
	assert_int_equal(bind_address(f, &f->listener, text_of(&busy)), -EADDRINUSE);
	assert_int_equal(pauses.count, 10);
	close(fd);
}

/* --- Sockets of the previous configuration --- */

static void test_the_same_address_shares_its_socket_once(void **state)
{
	struct fixture *f = *state;
	struct address local;

	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	local = f->items[0].local;
	reload(f);
	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	assert_ptr_equal(f->items[0].shared_with, &f->previous_items[0]);
	assert_int_equal(f->items[0].fd, f->previous_items[0].fd);
	assert_true(address_equal(&f->items[0].local, &local));
	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	assert_null(f->items[1].shared_with);
	assert_int_not_equal(address_port(&f->items[1].local), address_port(&local));
}

static void test_any_port_is_not_shared_with_another_listener(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	reload(f);
	assert_int_equal(bind_address(f, &f->other, "127.0.0.1:0"), 0);
	assert_null(f->items[0].shared_with);
}

static void test_a_fixed_port_is_shared_with_a_renamed_listener(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();

	assert_int_equal(bind_address(f, &f->listener, text_of(&local)), 0);
	reload(f);
	assert_int_equal(bind_address(f, &f->other, text_of(&local)), 0);
	assert_ptr_equal(f->items[0].shared_with, &f->previous_items[0]);
}

static void test_another_freebind_or_interface_is_not_shared(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();

	assert_int_equal(bind_address(f, &f->listener, text_of(&local)), 0);
	reload(f);
	f->other.freebind = true;
	assert_int_equal(bind_address(f, &f->other, text_of(&local)), 0);
	assert_null(f->items[0].shared_with);
	listen_sockets_close_from(&f->sockets, 0);
	f->other.freebind = false;
	strcpy(f->other.interface, "lo");
	assert_int_equal(bind_address(f, &f->other, text_of(&local)), 0);
	assert_null(f->items[0].shared_with);
}

static void test_a_socket_of_an_interface_is_not_shared_without_it(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();

	strcpy(f->other.interface, "lo");
	assert_int_equal(bind_address(f, &f->other, text_of(&local)), 0);
	reload(f);
	assert_int_equal(bind_address(f, &f->listener, text_of(&local)), 0);
	assert_null(f->items[0].shared_with);
}

static void test_an_overlapping_address_is_bound_while_the_previous_one_is_open(void **state)
{
	struct fixture *f = *state;
	char wildcard[32];

	assert_int_equal(bind_address(f, &f->listener, "127.0.0.1:0"), 0);
	reload(f);
	snprintf(wildcard, sizeof(wildcard), "0.0.0.0:%u", address_port(&f->previous_items[0].local));
	assert_int_equal(bind_address(f, &f->listener, wildcard), 0);
	assert_null(f->items[0].shared_with);
	assert_int_equal(address_port(&f->items[0].local), address_port(&f->previous_items[0].local));
	assert_int_equal(pauses.count, 0);
}

static void test_a_unix_socket_is_shared_with_its_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bind_address(f, &f->listener, f->unix_path), 0);
	reload(f);
	assert_int_equal(bind_address(f, &f->other, f->unix_path), 0);
	assert_ptr_equal(f->items[0].shared_with, &f->previous_items[0]);
	assert_true(f->items[0].file.inode == f->previous_items[0].file.inode && f->items[0].file.inode);
}

/* --- Sockets from systemd --- */

static void test_a_stored_socket_is_used_instead_of_a_new_one(void **state)
{
	struct fixture *f = *state;
	char name[STORE_NAME_MAX];
	struct address local;
	int fd = bound(&local);

	assert_true(inherited_sockets_store_name(name, &f->listener, &local, 0, NULL));
	add_inherited_socket(f, name, fd, true);
	assert_int_equal(bind_address(f, &f->listener, text_of(&local)), 0);
	assert_int_equal(f->items[0].fd, fd);
	assert_true(f->items[0].stored);
	assert_int_equal(f->inherited.items[0].fd, -1);
}

static void test_a_unit_socket_is_duplicated(void **state)
{
	struct fixture *f = *state;
	struct address local;
	int fd = bound(&local);

	add_inherited_socket(f, unit_name, fd, false);
	f->binder.workers = 2;
	assert_int_equal(bind_unit(f, unit_name), 0);
	assert_int_equal(f->sockets.count, 1);
	assert_int_not_equal(f->items[0].fd, fd);
	assert_true(f->items[0].inherited);
	assert_true(address_equal(&f->items[0].local, &local));
	listen_sockets_close_from(&f->sockets, 0);
	assert_true(is_open(fd));
}

static void test_unit_sockets_at_one_address_go_to_all_workers(void **state)
{
	struct fixture *f = *state;
	struct address local, other;
	int fd = bound(&local);

	add_inherited_socket(f, unit_name, fd, false);
	add_inherited_socket(f, unit_name, bound(&other), false);
	add_inherited_socket(f, unit_name, dup(fd), false);
	add_inherited_socket(f, unit_name, dup(fd), false);
	f->binder.workers = 2;
	assert_int_equal(bind_unit(f, unit_name), 0);
	assert_int_equal(f->sockets.count, 4);
	assert_int_equal(f->items[0].worker, 0);
	assert_int_equal(f->items[1].worker, 0);
	assert_int_equal(f->items[2].worker, 1);
	assert_int_equal(f->items[3].worker, 0);
}

static void test_a_missing_unit_is_reported(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(bind_unit(f, unit_name), -EBADF);
	assert_int_equal(log_capture_count(&f->log, "systemd passed no socket of this name"), 1);
}

static void test_a_unit_socket_for_both_families_is_rejected(void **state)
{
	struct fixture *f = *state;
	struct address local;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), off = 0;

	address_from_ip(&local, "::", 0);
	assert_int_equal(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), 0);
	assert_int_equal(bind(fd, &local.any, local.length), 0);
	add_inherited_socket(f, unit_name, fd, false);
	assert_int_equal(bind_unit(f, unit_name), -EAFNOSUPPORT);
	assert_int_equal(log_capture_count(&f->log, "BindIPv6Only=ipv6-only"), 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_any_port_is_the_same_for_all_workers),
		test(test_star_binds_both_families_at_one_port),
		test(test_star_with_a_port_busy_in_one_family_is_an_error),
		test(test_a_unix_path_has_one_socket),
		test(test_an_error_keeps_earlier_sockets),
		test(test_a_busy_port_is_tried_until_it_is_free),
		test(test_retries_are_limited_for_all_addresses_together),
		test(test_the_same_address_shares_its_socket_once),
		test(test_any_port_is_not_shared_with_another_listener),
		test(test_a_fixed_port_is_shared_with_a_renamed_listener),
		test(test_another_freebind_or_interface_is_not_shared),
		test(test_a_socket_of_an_interface_is_not_shared_without_it),
		test(test_an_overlapping_address_is_bound_while_the_previous_one_is_open),
		test(test_a_unix_socket_is_shared_with_its_file),
		test(test_a_stored_socket_is_used_instead_of_a_new_one),
		test(test_a_unit_socket_is_duplicated),
		test(test_unit_sockets_at_one_address_go_to_all_workers),
		test(test_a_missing_unit_is_reported),
		test(test_a_unit_socket_for_both_families_is_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The bound sockets of a configuration: start, reload and close. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/listen_sockets.h"
#include "tests/unit/net/free_address.h"
#include "tests/unit/net/log_capture.h"
#include "tests/unit/support/config_text.h"
#include "tests/unit/support/loopback.h"

#define TIMEOUT_MS 5000

bool __wrap_systemd_store_add(const char *name, int fd);
void __wrap_systemd_store_remove(const char *name);

/* The names in the store, instead of systemd. */
static struct {
	unsigned added, removed;
	char last_removed[STORE_NAME_MAX], last_added[STORE_NAME_MAX];
} store;

bool __wrap_systemd_store_add(const char *name, int fd)
{
	(void)fd;
	store.added++;
	strcpy(store.last_added, name);
	return true;
}

void __wrap_systemd_store_remove(const char *name)
{
	store.removed++;
	strcpy(store.last_removed, name);
}

/* A set with its configuration; a reload has two of them. */
struct generation {
	struct config *config;
	struct listen_sockets sockets;
};

struct fixture {
	struct generation old, new;
	struct inherited_sockets inherited;
	struct log_capture log;
};

static int set_up(void **state)
{
	struct fixture *f = *state = calloc(1, sizeof(*f));

	memset(&store, 0, sizeof(store));
	f->inherited.items = calloc(8, sizeof(*f->inherited.items));
	log_capture_open(&f->log);
	return 0;
}

static void close_generation(struct generation *generation)
{
	if (generation->sockets.items)
		listen_sockets_close(&generation->sockets);
	config_destroy(generation->config);
	generation->config = NULL;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close_generation(&f->new);
	close_generation(&f->old);
	inherited_sockets_close(&f->inherited);
	log_capture_close(&f->log);
	free(f);
	return 0;
}

/* format describes the addresses and further keys of listener `a`. */
static int open_sockets(struct fixture *f, struct generation *generation, unsigned workers, const char *keys)
{
	char text[1024];
	struct listen_sockets *previous = generation == &f->new ? &f->old.sockets : NULL;

	snprintf(text, sizeof(text), "[listener:a]\naction = sink\n%s\n", keys);
	config_destroy(generation->config);
	generation->config = good(text);
	return listen_sockets_open(&generation->sockets, generation->config, workers, previous, &f->inherited,
				   f->log.log);
}

static const char *address_key(const struct address *address)
{
	static char key[ADDRESS_TEXT_MAX + 16];
	char text[ADDRESS_TEXT_MAX];

	snprintf(key, sizeof(key), "address = %s", address_format(address, text));
	return key;
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int connected_to(const struct address *address)
{
	int fd = socket_open_send_only(address, 65536);

	assert_true(fd >= 0);
	return fd;
}

/* Returns the size of the next datagram, or -1 if there is none. */
static int receive(int fd)
{
	char bytes[64];

	return (int)recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
}

static bool becomes_readable(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	return poll(&readable, 1, TIMEOUT_MS) == 1;
}

/* --- Start --- */

static void test_each_worker_gets_a_socket_at_one_port(void **state)
{
	struct fixture *f = *state;
	struct listen_sockets *sockets = &f->old.sockets;
	char notice[128], text[ADDRESS_TEXT_MAX];

	assert_int_equal(open_sockets(f, &f->old, 3, "address = 127.0.0.1:0"), 0);
	assert_int_equal(sockets->count, 3);
	assert_true(address_port(&sockets->items[0].local) > 0);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(sockets->items[i].worker, i);
		assert_true(address_equal(&sockets->items[i].local, &sockets->items[0].local));
		assert_int_equal(address_port(&sockets->items[i].configured_address), 0);
	}
	snprintf(notice, sizeof(notice), "notice: listener a: listening on %s\n",
		 address_format(&sockets->items[0].local, text));
	assert_int_equal(log_capture_count(&f->log, notice), 1);
	assert_int_equal(log_capture_count(&f->log, "listening"), 1);
}

static void test_all_busy_ports_are_reported(void **state)
{
	struct fixture *f = *state;
	struct address first, second;
	int fds[] = {bound(&first), bound(&second)};
	char keys[256], text[2][ADDRESS_TEXT_MAX];

	snprintf(keys, sizeof(keys), "address = %.40s, 127.0.0.1:0, %.40s", address_format(&first, text[0]),
		 address_format(&second, text[1]));
	assert_int_equal(open_sockets(f, &f->old, 2, keys), -EADDRINUSE);
	assert_int_equal(log_capture_count(&f->log, "error: t.ini:3: [listener:a] address: "), 2);
	assert_int_equal(log_capture_count(&f->log, text[0]), 1);
	assert_int_equal(log_capture_count(&f->log, text[1]), 1);
	assert_int_equal(log_capture_count(&f->log, "listening on"), 0);
	assert_null(f->old.sockets.items);
	close(fds[0]);
	close(fds[1]);
}

static void test_close_frees_the_ports(void **state)
{
	struct fixture *f = *state;
	struct address address;

	assert_int_equal(open_sockets(f, &f->old, 2, "address = 127.0.0.1:0"), 0);
	address = f->old.sockets.items[0].local;
	listen_sockets_close(&f->old.sockets);
	assert_int_equal(open_sockets(f, &f->old, 2, address_key(&address)), 0);
	assert_true(address_equal(&f->old.sockets.items[1].local, &address));
}

static void test_only_worker_0_joins_groups(void **state)
{
	struct fixture *f = *state;
	const struct multicast_config *group;

	assert_int_equal(open_sockets(f, &f->old, 2, "address = 0.0.0.0:0\nmulticast = 239.1.2.3%lo"), 0);
	group = &f->old.config->listeners[0].groups[0];
	assert_int_equal(socket_join(f->old.sockets.items[0].fd, group), -EADDRINUSE);
	assert_int_equal(socket_join(f->old.sockets.items[1].fd, group), 0);
}

static void test_a_group_that_cannot_be_joined_is_an_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(open_sockets(f, &f->old, 1, "address = 0.0.0.0:0\nmulticast = 239.1.2.3%nosuchif0"), -ENODEV);
	assert_int_equal(log_capture_count(&f->log, "multicast: 239.1.2.3%nosuchif0: no such interface"), 1);
}

/* --- Reload --- */

static void test_reload_shares_the_sockets_of_the_same_address(void **state)
{
	struct fixture *f = *state;
	int fd;

	assert_int_equal(open_sockets(f, &f->old, 2, "address = 127.0.0.1:0"), 0);
	assert_int_equal(open_sockets(f, &f->new, 2, "address = 127.0.0.1:0"), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_ptr_equal(f->new.sockets.items[i].shared_with, &f->old.sockets.items[i]);
		assert_int_equal(f->new.sockets.items[i].fd, f->old.sockets.items[i].fd);
		assert_true(listen_sockets_share(&f->new.sockets, &f->old.sockets.items[i]));
	}
	assert_int_equal(log_capture_count(&f->log, "listening on"), 1);

	fd = f->old.sockets.items[0].fd;
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_null(f->new.sockets.items[0].shared_with);
	listen_sockets_close(&f->old.sockets);
	assert_true(is_open(fd));
	listen_sockets_close(&f->new.sockets);
	assert_false(is_open(fd));
}

static void test_a_failed_reload_keeps_the_previous_sockets(void **state)
{
	struct fixture *f = *state;
	struct address busy, local;
	int other = bound(&busy), sender;
	char keys[128], text[ADDRESS_TEXT_MAX];

	assert_int_equal(open_sockets(f, &f->old, 1, "address = 127.0.0.1:0"), 0);
	local = f->old.sockets.items[0].local;
	snprintf(keys, sizeof(keys), "address = 127.0.0.1:0, %.40s", address_format(&busy, text));
	assert_int_equal(open_sockets(f, &f->new, 1, keys), -EADDRINUSE);
	sender = connected_to(&local);
	assert_int_equal(send(sender, "abc", 3, 0), 3);
	assert_true(becomes_readable(f->old.sockets.items[0].fd));
	close(sender);
	close(other);
}

static void test_reload_closes_a_removed_address(void **state)
{
	struct fixture *f = *state;
	struct address removed;
	char notice[128], text[ADDRESS_TEXT_MAX];
	int fd;

	assert_int_equal(open_sockets(f, &f->old, 2, "address = 127.0.0.1:0"), 0);
	removed = f->old.sockets.items[0].local;
	fd = f->old.sockets.items[0].fd;
	assert_int_equal(open_sockets(f, &f->new, 2, "address = 127.0.0.2:0"), 0);
	assert_false(listen_sockets_share(&f->new.sockets, &f->old.sockets.items[0]));
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_false(is_open(fd));
	snprintf(notice, sizeof(notice), "stopped listening on %s\n", address_format(&removed, text));
	assert_int_equal(log_capture_count(&f->log, notice), 1);
	assert_int_equal(log_capture_count(&f->log, "stopped listening"), 1);
}

/* A datagram that arrived before belongs to the old socket, a later one to the socket that covers the address. */
static void test_stop_receiving_moves_new_datagrams_to_the_new_socket(void **state)
{
	struct fixture *f = *state;
	struct address local;
	char key[64];
	int sender, old, new;

	assert_int_equal(open_sockets(f, &f->old, 1, "address = 127.0.0.1:0"), 0);
	local = f->old.sockets.items[0].local;
	old = f->old.sockets.items[0].fd;
	snprintf(key, sizeof(key), "address = 0.0.0.0:%u", address_port(&local));
	assert_int_equal(open_sockets(f, &f->new, 1, key), 0);
	new = f->new.sockets.items[0].fd;
	sender = connected_to(&local);
	assert_int_equal(send(sender, "a", 1, 0), 1);
	assert_true(becomes_readable(old));
	listen_sockets_stop_receiving(&f->new.sockets, &f->old.sockets);
	assert_int_equal(send(sender, "bc", 2, 0), 2);
	assert_true(becomes_readable(new));
	assert_int_equal(receive(new), 2);
	assert_int_equal(receive(old), 1);
	assert_int_equal(receive(old), -1);
	close(sender);
}

static void test_stop_receiving_spares_shared_sockets(void **state)
{
	struct fixture *f = *state;
	int sender;

	assert_int_equal(open_sockets(f, &f->old, 1, "address = 127.0.0.1:0"), 0);
	assert_int_equal(open_sockets(f, &f->new, 1, "address = 127.0.0.1:0"), 0);
	listen_sockets_stop_receiving(&f->new.sockets, &f->old.sockets);
	sender = connected_to(&f->new.sockets.items[0].local);
	assert_int_equal(send(sender, "a", 1, 0), 1);
	assert_true(becomes_readable(f->new.sockets.items[0].fd));
	close(sender);
}

static void test_adopt_changes_buffers_and_groups(void **state)
{
	struct fixture *f = *state;
	const struct multicast_config *left, *joined;
	int fd;

	assert_int_equal(
		open_sockets(f, &f->old, 1, "address = 0.0.0.0:0\nreceive_buffer = 65536\nmulticast = 239.1.2.3%lo"),
		0);
	assert_int_equal(
		open_sockets(f, &f->new, 1, "address = 0.0.0.0:0\nreceive_buffer = 131072\nmulticast = 239.1.2.4%lo"),
		0);
	fd = f->new.sockets.items[0].fd;
	assert_int_equal(socket_buffer(fd, SO_RCVBUF), 65536);
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_int_equal(socket_buffer(fd, SO_RCVBUF), 131072);
	left = &f->old.config->listeners[0].groups[0];
	joined = &f->new.config->listeners[0].groups[0];
	assert_int_equal(socket_join(fd, joined), -EADDRINUSE);
	assert_int_equal(socket_leave(fd, left), -EADDRNOTAVAIL);
}

static void test_kernel_drops_survive_a_reload(void **state)
{
	struct fixture *f = *state;
	uint64_t drops;
	int sender;

	assert_int_equal(open_sockets(f, &f->old, 1, "address = 127.0.0.1:0\nreceive_buffer = 4096"), 0);
	sender = connected_to(&f->old.sockets.items[0].local);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(send(sender, "datagram", 8, 0), 8);
	close(sender);
	drops = listen_sockets_kernel_drops(&f->old.sockets, 0);
	assert_true(drops > 0);
	assert_int_equal(open_sockets(f, &f->new, 1, "address = 127.0.0.2:0"), 0);
	assert_int_equal(listen_sockets_kernel_drops(&f->new.sockets, 0), 0);
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_int_equal(listen_sockets_kernel_drops(&f->new.sockets, 0), drops);
}

/* --- The file descriptor store --- */

static void test_a_set_survives_exit_when_all_sockets_are_stored(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();

	assert_int_equal(open_sockets(f, &f->old, 2, address_key(&local)), 0);
	assert_false(listen_sockets_survive_exit(&f->old.sockets));
	listen_sockets_save_to_fdstore(&f->old.sockets);
	assert_int_equal(store.added, 2);
	assert_true(listen_sockets_survive_exit(&f->old.sockets));
	f->old.sockets.items[1].stored = false;
	assert_false(listen_sockets_survive_exit(&f->old.sockets));
}

static void test_reload_removes_a_closed_socket_from_the_store(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();

	assert_int_equal(open_sockets(f, &f->old, 1, address_key(&local)), 0);
	listen_sockets_save_to_fdstore(&f->old.sockets);
	assert_int_equal(open_sockets(f, &f->new, 1, "address = 127.0.0.2:0"), 0);
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_int_equal(store.removed, 1);
	assert_string_equal(store.last_removed, store.last_added);
}

static void test_reload_with_other_groups_stores_under_a_new_name(void **state)
{
	struct fixture *f = *state;
	struct address local = free_address();
	char key[512], previous[STORE_NAME_MAX];

	address_from_ip(&local, "0.0.0.0", address_port(&local));
	assert_int_equal(open_sockets(f, &f->old, 1, address_key(&local)), 0);
	listen_sockets_save_to_fdstore(&f->old.sockets);
	strcpy(previous, store.last_added);
	snprintf(key, sizeof(key), "%s\nmulticast = 239.1.2.3%%lo", address_key(&local));
	assert_int_equal(open_sockets(f, &f->new, 1, key), 0);
	assert_non_null(f->new.sockets.items[0].shared_with);
	listen_sockets_adopt(&f->new.sockets, &f->old.sockets);
	assert_int_equal(store.removed, 1);
	assert_string_equal(store.last_removed, previous);
	listen_sockets_save_to_fdstore(&f->new.sockets);
	assert_int_equal(store.added, 2);
	assert_string_not_equal(store.last_added, previous);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_each_worker_gets_a_socket_at_one_port),
		test(test_all_busy_ports_are_reported),
		test(test_close_frees_the_ports),
		test(test_only_worker_0_joins_groups),
		test(test_a_group_that_cannot_be_joined_is_an_error),
		test(test_reload_shares_the_sockets_of_the_same_address),
		test(test_a_failed_reload_keeps_the_previous_sockets),
		test(test_reload_closes_a_removed_address),
		test(test_stop_receiving_moves_new_datagrams_to_the_new_socket),
		test(test_stop_receiving_spares_shared_sockets),
		test(test_adopt_changes_buffers_and_groups),
		test(test_kernel_drops_survive_a_reload),
		test(test_a_set_survives_exit_when_all_sockets_are_stored),
		test(test_reload_removes_a_closed_socket_from_the_store),
		test(test_reload_with_other_groups_stores_under_a_new_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

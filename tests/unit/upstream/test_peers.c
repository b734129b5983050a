/* Names and snapshots. The test wraps name_lookup_start() and completes the look-ups itself. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "upstream/peers.h"
#include "upstream/resolver.h"

#define PEERS 3 /* one with a literal address, two with a name */
#define NAMED 1

struct fixture {
	uv_loop_t loop;
	uv_timer_t tick; /* without it, uv_run() may start a look-up and then wait for an event that does not come */
	struct config config;
	struct peer_config config_peers[PEERS];
	struct own_addresses *own;
	struct log *log;
	int log_fd;
	endpoint_epoch epoch;
	struct peers *peers;
	struct endpoints_snapshot *last; /* the last one passed to on_changed() */
	unsigned changes;
};

/* --- Look-ups --- */

/* The look-ups in progress, by peer. */
static struct name_lookup *lookups[PEERS];

int __wrap_name_lookup_start(struct name_lookup *lookup, const char *name);

int __wrap_name_lookup_start(struct name_lookup *lookup, const char *name)
{
	unsigned i = (unsigned)(name[0] - 'a');

	assert_null(lookups[i]);
	lookups[i] = lookup;
	return 0;
}

static void free_list(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
		free(list);
		list = next;
	}
}

static struct addrinfo *make_info(const char *ip)
{
	struct addrinfo *info = calloc(1, sizeof(*info));
	struct address address;

	assert_int_equal(address_from_ip(&address, ip, 0), 0);
	info->ai_family = address.any.sa_family;
	info->ai_addrlen = address.length;
	info->ai_addr = malloc(address.length);
	memcpy(info->ai_addr, &address.any, address.length);
	return info;
}

/* Makes a list of addresses from a text, in which they are separated by spaces. */
static struct addrinfo *make_list(const char *ips)
{
	struct addrinfo *first = NULL, **next = &first;
	char copy[4096], *rest;

	assert_true(strlen(ips) < sizeof(copy));
	strcpy(copy, ips);
	for (char *ip = strtok_r(copy, " ", &rest); ip; ip = strtok_r(NULL, " ", &rest)) {
		*next = make_info(ip);
		next = &(*next)->ai_next;
	}
	return first;
}

/* Waits for the next look-up of the peer's name and completes it. Frees the list. */
static void complete(struct fixture *f, unsigned i, int error, struct addrinfo *list)
{
	struct name_lookup_result result = {.error = error, .list = list};
	struct name_lookup *lookup;

	while (!lookups[i])
		uv_run(&f->loop, UV_RUN_ONCE);
	lookup = lookups[i];
	lookups[i] = NULL;
	lookup->done(lookup, &result);
	free_list(list);
}

static void resolve(struct fixture *f, const char *ips)
{
	complete(f, NAMED, 0, make_list(ips));
}

/* --- Fixture --- */

static void on_changed(struct endpoints_snapshot *snapshot, void *data)
{
	struct fixture *f = data;

	endpoints_snapshot_put(f->last);
	f->last = snapshot;
	f->changes++;
}

static void name_peer(struct fixture *f, size_t i)
{
	static char names[PEERS][2] = {"a", "b", "c"}, hosts[PEERS][8] = {"", "b.test", "c.test"};

	f->config_peers[i] = (struct peer_config){.name = names[i], .index = i, .resolve_interval_ms = 1};
	if (i)
		f->config_peers[i].host = hosts[i];
	address_from_ip(&f->config_peers[i].address, "192.0.2.1", (uint16_t)(100 + i));
}

static void on_tick(uv_timer_t *timer)
{
	(void)timer;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	memset(lookups, 0, sizeof(lookups));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	uv_timer_init(&f->loop, &f->tick);
	uv_timer_start(&f->tick, on_tick, 1, 1);
	for (size_t i = 0; i < PEERS; i++)
		name_peer(f, i);
	f->config.peers = f->config_peers;
	f->config.peer_count = PEERS;
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_create(&f->log, f->log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
	*state = f;
	return 0;
}

static void start_peers(struct fixture *f)
{
	struct peers_setup setup = {.loop = &f->loop,
				    .config = &f->config,
				    .own = f->own,
				    .epoch = &f->epoch,
				    .log = f->log,
				    .changed = on_changed,
				    .data = f};

	assert_int_equal(peers_create(&f->peers, &setup), 0);
	peers_start(f->peers);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	if (f->peers)
		peers_close(f->peers);
	uv_close((uv_handle_t *)&f->tick, NULL);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_true(!f->peers || peers_closed(f->peers));
	peers_destroy(f->peers);
	endpoints_snapshot_put(f->last);
	own_addresses_destroy(f->own);
	log_destroy(f->log, 0);
	close(f->log_fd);
	return 0;
}

static const char *log_text(struct fixture *f)
{
	static char text[16384];
	ssize_t size = pread(f->log_fd, text, sizeof(text) - 1, 0);

	text[size < 0 ? 0 : size] = '\0';
	return text;
}

static bool log_has(struct fixture *f, const char *line)
{
	return strstr(log_text(f), line);
}

static void clear_log(struct fixture *f)
{
	assert_int_equal(ftruncate(f->log_fd, 0), 0);
	lseek(f->log_fd, 0, SEEK_SET);
}

/* Compares the endpoints of a peer, in order, with a text like "192.0.2.1:101 192.0.2.2:101". */
static void assert_endpoints(const struct endpoints_snapshot *snapshot, size_t peer, const char *expected)
{
	char text[8192] = "", address[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < snapshot->peers[peer].count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, address_format(&snapshot->peers[peer].items[i]->address, address));
	}
	assert_string_equal(text, expected);
}

static struct endpoint *endpoint_at(struct fixture *f, size_t i)
{
	assert_true(i < f->last->peers[NAMED].count);
	return f->last->peers[NAMED].items[i];
}

/* --- Snapshots --- */

static void test_literal_peer_has_endpoint_from_the_start(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *now;

	start_peers(f);
	now = peers_now(f->peers);
	assert_int_equal(now->peer_count, PEERS);
	assert_endpoints(now, 0, "192.0.2.1:100");
	assert_ptr_equal(now->peers[0].items[0]->peer, &f->config_peers[0]);
	assert_ptr_equal(now->peers[0].items[0]->epoch, &f->epoch);
	assert_endpoints(now, 1, "");
	assert_endpoints(now, 2, "");
	assert_int_equal(f->changes, 0);
	endpoints_snapshot_put(now);
}

static void test_snapshot_without_peers(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *now;

	f->config.peer_count = 0;
	start_peers(f);
	now = peers_now(f->peers);
	assert_int_equal(now->peer_count, 0);
	endpoints_snapshot_put(now);
}

static void test_change_leaves_other_peers_alone(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *first;

	start_peers(f);
	first = peers_now(f->peers);
	resolve(f, "192.0.2.7");
	complete(f, 2, 0, make_list("192.0.2.8"));
	assert_int_equal(f->changes, 2);
	assert_endpoints(f->last, 1, "192.0.2.7:101");
	assert_endpoints(f->last, 2, "192.0.2.8:102");
	assert_ptr_equal(f->last->peers[0].items[0], first->peers[0].items[0]);
	assert_endpoints(first, 1, ""); /* the old snapshot is unchanged */
	endpoints_snapshot_put(first);
}

static void test_endpoint_outlives_its_removal(void **state)
{
	struct fixture *f = *state;
	struct endpoint *endpoint;

	start_peers(f);
	resolve(f, "192.0.2.7");
	endpoint = endpoint_get(endpoint_at(f, 0));
	resolve(f, "192.0.2.8");
	assert_int_equal(atomic_load(&endpoint->references), 1);
	assert_int_equal(address_port(&endpoint->address), 101);
	endpoint_put(endpoint);
}

/* --- Results --- */

static void test_every_address_is_used(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "192.0.2.7 2001:db8::7 192.0.2.9");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101 [2001:db8::7]:101 192.0.2.9:101");
	assert_true(log_has(f, "info: peer b: b.test is 192.0.2.7:101, [2001:db8::7]:101, 192.0.2.9:101\n"));
}

static void test_other_order_has_no_effect(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	clear_log(f);
	resolve(f, "192.0.2.9 192.0.2.7 192.0.2.8");
	resolve(f, "192.0.2.8 192.0.2.8 192.0.2.9 192.0.2.7");
	assert_int_equal(f->changes, 1);
	assert_endpoints(f->last, NAMED, "192.0.2.7:101 192.0.2.8:101 192.0.2.9:101");
	assert_string_equal(log_text(f), "");
}

static void test_remaining_endpoints_keep_order_and_health(void **state)
{
	struct fixture *f = *state;
	struct endpoint *second, *third;

	start_peers(f);
	resolve(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	second = endpoint_at(f, 1);
	third = endpoint_at(f, 2);
	endpoint_set_checked(third, false);
	resolve(f, "192.0.2.1 192.0.2.9 192.0.2.2 192.0.2.8");
	assert_endpoints(f->last, NAMED, "192.0.2.8:101 192.0.2.9:101 192.0.2.1:101 192.0.2.2:101");
	assert_ptr_equal(endpoint_at(f, 0), second);
	assert_ptr_equal(endpoint_at(f, 1), third);
	assert_false(endpoint_is_up(third, 0));
	assert_int_equal(f->changes, 2);
	assert_int_equal(atomic_load(&f->epoch), 1);
}

/* An address that comes back is a new endpoint. */
static void test_returning_address_is_a_new_endpoint(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "192.0.2.7 192.0.2.8");
	endpoint_set_checked(endpoint_at(f, 1), false);
	resolve(f, "192.0.2.7");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101");
	resolve(f, "192.0.2.8 192.0.2.7");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101 192.0.2.8:101");
	assert_true(endpoint_is_up(endpoint_at(f, 1), 0));
}

static void test_duplicates_and_wildcards_are_left_out(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "0.0.0.0 192.0.2.7 :: 192.0.2.7 ::ffff:192.0.2.8 192.0.2.9 192.0.2.7");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101 192.0.2.9:101");
}

static void test_only_wildcards_is_a_failure(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "0.0.0.0 ::");
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->last->peers[NAMED].count, 0);
	assert_true(f->last->peers[NAMED].no_address);
	assert_true(log_has(f, "warning: peer b: cannot resolve b.test: 0.0.0.0:101 is not the address of a host; "));
	assert_true(log_has(f, "; datagrams for it are dropped; the look-up is repeated\n"));
	resolve(f, "0.0.0.0 192.0.2.7");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101");
	assert_false(f->last->peers[NAMED].no_address);
}

static void test_failed_look_up_keeps_addresses(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	resolve(f, "192.0.2.7 192.0.2.8");
	complete(f, NAMED, EAI_AGAIN, NULL);
	assert_int_equal(f->changes, 1);
	assert_true(log_has(f, "; its previous addresses stay in use; the look-up is repeated\n"));
	clear_log(f);
	resolve(f, "192.0.2.8 192.0.2.7");
	assert_int_equal(f->changes, 1);
	assert_true(log_has(f, "info: peer b: b.test is 192.0.2.7:101, 192.0.2.8:101\n"));
}

static char *write_addresses(char *text, unsigned from, unsigned count)
{
	char *end = text;

	for (unsigned i = from; i < from + count; i++)
		end += sprintf(end, "198.51.100.%u ", i);
	return text;
}

static void test_too_many_addresses(void **state)
{
	struct fixture *f = *state;
	char text[4096];
	struct endpoint *last;

	start_peers(f);
	resolve(f, write_addresses(text, 1, 70));
	assert_int_equal(f->last->peers[NAMED].count, RESOLVER_ADDRESSES_MAX);
	assert_true(log_has(f, "warning: peer b: b.test has more than 64 addresses: the others are not used\n"));
	last = endpoint_at(f, 63);
	clear_log(f);

	/* Addresses in use stay, at any position of the new list. */
	resolve(f, strcat(write_addresses(text, 40, 100), "198.51.100.1 198.51.100.2"));
	assert_int_equal(f->last->peers[NAMED].count, RESOLVER_ADDRESSES_MAX);
	assert_ptr_equal(endpoint_at(f, 2 + 64 - 40), last);
	assert_int_equal(f->changes, 2);
}

static void test_own_address_is_logged(void **state)
{
	struct fixture *f = *state;
	struct address own;

	address_from_ip(&own, "192.0.2.8", 101);
	assert_int_equal(own_addresses_create(&f->own, &own, 1), 0);
	start_peers(f);
	resolve(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	assert_endpoints(f->last, NAMED, "192.0.2.7:101 192.0.2.8:101 192.0.2.9:101");
	assert_true(log_has(f, "error: peer b: b.test is 192.0.2.8:101, one of our own listeners, so "));
	assert_true(log_has(f, "info: peer b: b.test is 192.0.2.7:101, 192.0.2.9:101\n"));
}

static void test_failure_is_logged_with_its_reason(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	complete(f, NAMED, EAI_AGAIN, NULL);
	assert_true(log_has(f,
			    "warning: peer b: cannot resolve b.test: Temporary failure in name resolution; datagrams "
			    "for it are dropped; the look-up is repeated\n"));
}

static void test_closed_only_after_the_handles(void **state)
{
	struct fixture *f = *state;

	start_peers(f);
	assert_false(peers_closed(f->peers));
	peers_close(f->peers);
	peers_close(f->peers);
	assert_false(peers_closed(f->peers));
	uv_run(&f->loop, UV_RUN_NOWAIT);
	assert_true(peers_closed(f->peers));
	assert_string_equal(log_text(f), "");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_literal_peer_has_endpoint_from_the_start),
		test(test_snapshot_without_peers),
		test(test_change_leaves_other_peers_alone),
		test(test_endpoint_outlives_its_removal),
		test(test_every_address_is_used),
		test(test_other_order_has_no_effect),
		test(test_remaining_endpoints_keep_order_and_health),
		test(test_returning_address_is_a_new_endpoint),
		test(test_duplicates_and_wildcards_are_left_out),
		test(test_only_wildcards_is_a_failure),
		test(test_failed_look_up_keeps_addresses),
		test(test_too_many_addresses),
		test(test_own_address_is_logged),
		test(test_failure_is_logged_with_its_reason),
		test(test_closed_only_after_the_handles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

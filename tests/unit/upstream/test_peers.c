/* Names and snapshots, with a name server that the test plays: uv_getaddrinfo() is wrapped (-Wl,--wrap). */
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

#define PEERS 3 /* a literal one, and two names */
#define NAMED 1

struct fixture {
	uv_loop_t loop;
	struct config config;
	struct peer_config config_peers[PEERS];
	struct own_addresses *own;
	struct log *log;
	int log_fd;
	endpoint_epoch news;
	struct peers *peers;
	struct endpoints_snapshot *told; /* the last that came */
	unsigned told_count;
};

/* --- The name server --- */

/* The look-ups under way, by peer. */
static struct {
	uv_getaddrinfo_t *request;
	uv_getaddrinfo_cb callback;
} asked[PEERS];

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb callback, const char *node,
			  const char *service, const struct addrinfo *hints);
void __wrap_uv_freeaddrinfo(struct addrinfo *list);

int __wrap_uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *request, uv_getaddrinfo_cb callback, const char *node,
			  const char *service, const struct addrinfo *hints)
{
	unsigned i = (unsigned)(node[0] - 'a');

	(void)loop;
	assert_null(service);
	assert_int_equal(hints->ai_socktype, SOCK_DGRAM);
	assert_null(asked[i].request);
	asked[i].request = request;
	asked[i].callback = callback;
	return 0;
}

void __wrap_uv_freeaddrinfo(struct addrinfo *list)
{
	while (list) {
		struct addrinfo *next = list->ai_next;

		free(list->ai_addr);
		free(list);
		list = next;
	}
}

static struct addrinfo *entry(const char *ip)
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

/* The addresses that a text names, separated by spaces. */
static struct addrinfo *entries(const char *ips)
{
	struct addrinfo *first = NULL, **next = &first;
	char copy[4096], *rest;

	assert_true(strlen(ips) < sizeof(copy));
	strcpy(copy, ips);
	for (char *ip = strtok_r(copy, " ", &rest); ip; ip = strtok_r(NULL, " ", &rest)) {
		*next = entry(ip);
		next = &(*next)->ai_next;
	}
	return first;
}

/* Waits for the next look-up of the peer's name, and answers it. */
static void reply_with(struct fixture *f, unsigned i, int status, struct addrinfo *list)
{
	uv_getaddrinfo_t *request;

	while (!asked[i].request)
		uv_run(&f->loop, UV_RUN_ONCE);
	request = asked[i].request;
	asked[i].request = NULL;
	asked[i].callback(request, status, list);
}

static void reply(struct fixture *f, const char *ips)
{
	reply_with(f, NAMED, 0, entries(ips));
}

/* --- The stage --- */

static void on_changed(struct endpoints_snapshot *snapshot, void *data)
{
	struct fixture *f = data;

	endpoints_snapshot_put(f->told);
	f->told = snapshot;
	f->told_count++;
}

static void name_peer(struct fixture *f, size_t i)
{
	static char names[PEERS][2] = {"a", "b", "c"}, hosts[PEERS][8] = {"", "b.test", "c.test"};

	f->config_peers[i] = (struct peer_config){.name = names[i], .index = i, .resolve_interval_ms = 1};
	if (i)
		f->config_peers[i].host = hosts[i];
	address_from_ip(&f->config_peers[i].address, "192.0.2.1", (uint16_t)(100 + i));
}

static int set_up(void **state)
{
	static struct fixture fixture;
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	memset(asked, 0, sizeof(asked));
	assert_int_equal(uv_loop_init(&f->loop), 0);
	for (size_t i = 0; i < PEERS; i++)
		name_peer(f, i);
	f->config.peers = f->config_peers;
	f->config.peer_count = PEERS;
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_create(&f->log, f->log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
	*state = f;
	return 0;
}

static void begin(struct fixture *f)
{
	struct peers_setup setup = {.loop = &f->loop,
				    .config = &f->config,
				    .own = f->own,
				    .news = &f->news,
				    .log = f->log,
				    .changed = on_changed,
				    .data = f};

	assert_int_equal(peers_create(&f->peers, &setup), 0);
	peers_start(f->peers);
}

/* Look-ups that were cancelled say so. */
static int tear_down(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < PEERS; i++) {
		if (asked[i].request)
			asked[i].callback(asked[i].request, UV_EAI_CANCELED, NULL);
	}
	if (f->peers)
		peers_close(f->peers);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_false(f->peers && peers_busy(f->peers));
	peers_destroy(f->peers);
	endpoints_snapshot_put(f->told);
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

static bool log_says(struct fixture *f, const char *line)
{
	return strstr(log_text(f), line);
}

static void forget_log(struct fixture *f)
{
	assert_int_equal(ftruncate(f->log_fd, 0), 0);
	lseek(f->log_fd, 0, SEEK_SET);
}

/* What the peer has in the snapshot, in its order: "192.0.2.1:101 192.0.2.2:101". */
static void assert_targets(const struct endpoints_snapshot *snapshot, size_t peer, const char *expected)
{
	char text[8192] = "", address[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < snapshot->peers[peer].count; i++) {
		strcat(text, i ? " " : "");
		strcat(text, address_format(&snapshot->peers[peer].items[i]->address, address));
	}
	assert_string_equal(text, expected);
}

static struct endpoint *target_at(struct fixture *f, size_t i)
{
	assert_true(i < f->told->peers[NAMED].count);
	return f->told->peers[NAMED].items[i];
}

/* --- Snapshots --- */

static void a_literal_peer_is_there_from_the_beginning(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *now;

	begin(f);
	now = peers_now(f->peers);
	assert_int_equal(now->peer_count, PEERS);
	assert_targets(now, 0, "192.0.2.1:100");
	assert_ptr_equal(now->peers[0].items[0]->peer, &f->config_peers[0]);
	assert_ptr_equal(now->peers[0].items[0]->news, &f->news);
	assert_targets(now, 1, "");
	assert_targets(now, 2, "");
	assert_int_equal(f->told_count, 0);
	endpoints_snapshot_put(now);
}

static void without_peers_there_is_a_snapshot_too(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *now;

	f->config.peer_count = 0;
	begin(f);
	now = peers_now(f->peers);
	assert_int_equal(now->peer_count, 0);
	endpoints_snapshot_put(now);
}

static void a_change_leaves_the_other_peers_alone(void **state)
{
	struct fixture *f = *state;
	struct endpoints_snapshot *first;

	begin(f);
	first = peers_now(f->peers);
	reply(f, "192.0.2.7");
	reply_with(f, 2, 0, entries("192.0.2.8"));
	assert_int_equal(f->told_count, 2);
	assert_targets(f->told, 1, "192.0.2.7:101");
	assert_targets(f->told, 2, "192.0.2.8:102");
	assert_ptr_equal(f->told->peers[0].items[0], first->peers[0].items[0]);
	assert_targets(first, 1, ""); /* an old snapshot is what it was */
	endpoints_snapshot_put(first);
}

static void targets_outlive_the_peers(void **state)
{
	struct fixture *f = *state;
	struct endpoint *target;

	begin(f);
	reply(f, "192.0.2.7");
	target = endpoint_get(target_at(f, 0));
	reply(f, "192.0.2.8");
	assert_int_equal(atomic_load(&target->references), 1);
	assert_int_equal(address_port(&target->address), 101);
	endpoint_put(target);
}

/* --- Answers --- */

static void every_address_is_used(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "192.0.2.7 2001:db8::7 192.0.2.9");
	assert_targets(f->told, NAMED, "192.0.2.7:101 [2001:db8::7]:101 192.0.2.9:101");
	assert_true(log_says(f, "info: peer b: b.test is 192.0.2.7:101, [2001:db8::7]:101, 192.0.2.9:101\n"));
}

static void another_order_is_no_change(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	forget_log(f);
	reply(f, "192.0.2.9 192.0.2.7 192.0.2.8");
	reply(f, "192.0.2.8 192.0.2.8 192.0.2.9 192.0.2.7");
	assert_int_equal(f->told_count, 1);
	assert_targets(f->told, NAMED, "192.0.2.7:101 192.0.2.8:101 192.0.2.9:101");
	assert_string_equal(log_text(f), "");
}

static void those_that_stay_keep_their_place_and_their_health(void **state)
{
	struct fixture *f = *state;
	struct endpoint *second, *third;

	begin(f);
	reply(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	second = target_at(f, 1);
	third = target_at(f, 2);
	endpoint_set_checked(third, false);
	reply(f, "192.0.2.1 192.0.2.9 192.0.2.2 192.0.2.8");
	assert_targets(f->told, NAMED, "192.0.2.8:101 192.0.2.9:101 192.0.2.1:101 192.0.2.2:101");
	assert_ptr_equal(target_at(f, 0), second);
	assert_ptr_equal(target_at(f, 1), third);
	assert_false(endpoint_is_up(third, 0));
	assert_int_equal(f->told_count, 2);
	assert_int_equal(atomic_load(&f->news), 1);
}

/* Who comes back begins anew. */
static void one_that_is_gone_is_forgotten(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "192.0.2.7 192.0.2.8");
	endpoint_set_checked(target_at(f, 1), false);
	reply(f, "192.0.2.7");
	assert_targets(f->told, NAMED, "192.0.2.7:101");
	reply(f, "192.0.2.8 192.0.2.7");
	assert_targets(f->told, NAMED, "192.0.2.7:101 192.0.2.8:101");
	assert_true(endpoint_is_up(target_at(f, 1), 0));
}

static void duplicates_and_nowhere_are_left_out(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "0.0.0.0 192.0.2.7 :: 192.0.2.7 ::ffff:192.0.2.8 192.0.2.9 192.0.2.7");
	assert_targets(f->told, NAMED, "192.0.2.7:101 192.0.2.9:101");
}

static void nowhere_alone_is_no_answer(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "0.0.0.0 ::");
	assert_int_equal(f->told_count, 0);
	assert_true(log_says(f, "warning: peer b: cannot resolve b.test: "));
	assert_true(log_says(f, "; datagrams for it are dropped, and it is tried again\n"));
}

static void a_name_that_is_lost_keeps_its_addresses(void **state)
{
	struct fixture *f = *state;

	begin(f);
	reply(f, "192.0.2.7 192.0.2.8");
	reply_with(f, NAMED, UV_EAI_AGAIN, NULL);
	assert_int_equal(f->told_count, 1);
	assert_true(log_says(f, "; its last addresses stay in use, and it is tried again\n"));
	forget_log(f);
	reply(f, "192.0.2.8 192.0.2.7");
	assert_int_equal(f->told_count, 1);
	assert_true(log_says(f, "info: peer b: b.test is 192.0.2.7:101, 192.0.2.8:101\n"));
}

static char *many(char *text, unsigned from, unsigned count)
{
	char *end = text;

	for (unsigned i = from; i < from + count; i++)
		end += sprintf(end, "198.51.100.%u ", i);
	return text;
}

static void more_than_can_be_used(void **state)
{
	struct fixture *f = *state;
	char text[4096];
	struct endpoint *last;

	begin(f);
	reply(f, many(text, 1, 70));
	assert_int_equal(f->told->peers[NAMED].count, RESOLVER_ADDRESSES_MAX);
	assert_true(log_says(f, "warning: peer b: b.test has more than 64 addresses: the others are not used\n"));
	last = target_at(f, 63);
	forget_log(f);

	/* Those in use stay, wherever they stand. */
	reply(f, strcat(many(text, 40, 100), "198.51.100.1 198.51.100.2"));
	assert_int_equal(f->told->peers[NAMED].count, RESOLVER_ADDRESSES_MAX);
	assert_ptr_equal(target_at(f, 2 + 64 - 40), last);
	assert_int_equal(f->told_count, 2);
}

static void an_own_address_is_told(void **state)
{
	struct fixture *f = *state;
	struct address own;

	address_from_ip(&own, "192.0.2.8", 101);
	assert_int_equal(own_addresses_create(&f->own, &own, 1), 0);
	begin(f);
	reply(f, "192.0.2.7 192.0.2.8 192.0.2.9");
	assert_targets(f->told, NAMED, "192.0.2.7:101 192.0.2.8:101 192.0.2.9:101");
	assert_true(log_says(f, "error: peer b: b.test is 192.0.2.8:101, which is one of our own listeners: "));
	assert_true(log_says(f, "info: peer b: b.test is 192.0.2.7:101, 192.0.2.9:101\n"));
}

static void an_answer_after_the_end_is_passed_over(void **state)
{
	struct fixture *f = *state;
	struct peers *peers;

	begin(f);
	assert_true(peers_busy(f->peers));
	peers_close(f->peers);
	reply(f, "192.0.2.7");
	reply_with(f, 2, UV_EAI_CANCELED, NULL);
	assert_int_equal(f->told_count, 0);
	assert_false(peers_busy(f->peers));
	peers = f->peers;
	f->peers = NULL;
	uv_run(&f->loop, UV_RUN_DEFAULT);
	peers_destroy(peers);
	assert_string_equal(log_text(f), "");
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(a_literal_peer_is_there_from_the_beginning),
		test(without_peers_there_is_a_snapshot_too),
		test(a_change_leaves_the_other_peers_alone),
		test(targets_outlive_the_peers),
		test(every_address_is_used),
		test(another_order_is_no_change),
		test(those_that_stay_keep_their_place_and_their_health),
		test(one_that_is_gone_is_forgotten),
		test(duplicates_and_nowhere_are_left_out),
		test(nowhere_alone_is_no_answer),
		test(a_name_that_is_lost_keeps_its_addresses),
		test(more_than_can_be_used),
		test(an_own_address_is_told),
		test(an_answer_after_the_end_is_passed_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

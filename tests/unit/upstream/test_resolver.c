/* The times of look-ups, the log, and reported changes. The test wraps name_lookup_start() and uv_timer_start(), so it
 * completes the look-ups itself and no time passes. test_peers.c has the addresses. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "upstream/resolver.h"

#define INTERVAL_MS 60000
#define NO_DELAY UINT64_MAX

struct fixture {
	uv_loop_t loop;
	struct peer_config config;
	struct log *log;
	int log_fd;
	struct resolver resolver;
	unsigned changes; /* calls of on_changed() */
	size_t count; /* of addresses in the last one */
	int changed_error; /* for on_changed() to return */
};

/* --- Wrapped functions --- */

static unsigned lookups_started;
static int start_error; /* for name_lookup_start() to return */
static uv_timer_cb timer_callback;
static uint64_t delay_ms; /* NO_DELAY: the timer has not been started */

int __wrap_name_lookup_start(struct name_lookup *lookup, const char *name);
int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat);

int __wrap_name_lookup_start(struct name_lookup *lookup, const char *name)
{
	(void)lookup;
	assert_string_equal(name, "host.test");
	lookups_started++;
	return start_error;
}

int __wrap_uv_timer_start(uv_timer_t *timer, uv_timer_cb callback, uint64_t timeout, uint64_t repeat)
{
	(void)timer;
	assert_int_equal(repeat, 0);
	timer_callback = callback;
	delay_ms = timeout;
	return 0;
}

/* --- Fixture --- */

static int on_changed(const struct peer_config *config, const struct address *addresses, size_t count, void *data)
{
	struct fixture *f = data;

	assert_ptr_equal(config, &f->config);
	assert_int_equal(count ? address_port(&addresses[0]) : 53, 53);
	f->changes++;
	f->count = count;
	return f->changed_error;
}

static int set_up(void **state)
{
	static struct fixture fixture;
	static char name[] = "b", host[] = "host.test";
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	lookups_started = 0;
	start_error = 0;
	delay_ms = NO_DELAY;
	assert_int_equal(uv_loop_init(&f->loop), 0);
	f->config = (struct peer_config){.name = name, .host = host, .resolve_interval_ms = INTERVAL_MS};
	address_from_ip(&f->config.address, "0.0.0.0", 53);
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	assert_int_equal(log_create(&f->log, f->log_fd, LOG_LEVEL_DEBUG, LOG_FORMAT_TEXT), 0);
	f->resolver = (struct resolver){
		.loop = &f->loop, .config = &f->config, .log = f->log, .changed = on_changed, .data = f};
	resolver_init(&f->resolver);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	resolver_close(&f->resolver);
	resolver_close(&f->resolver);
	assert_false(resolver_is_closed(&f->resolver));
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_true(resolver_is_closed(&f->resolver));
	assert_int_equal(uv_loop_close(&f->loop), 0);
	log_destroy(f->log, 0);
	close(f->log_fd);
	return 0;
}

/* Completes the look-up with an error, or with the address 192.0.2.NUMBER. Returns the delay of the next one. */
static uint64_t complete(struct fixture *f, int error, uint8_t number)
{
	struct address address;
	struct addrinfo info = {0};
	struct name_lookup_result result = {.error = error};

	assert_int_equal(address_from_ip(&address, "192.0.2.0", 0), 0);
	((uint8_t *)&address.v4.sin_addr)[3] = number;
	info.ai_family = AF_INET;
	info.ai_addr = &address.any;
	info.ai_addrlen = address.length;
	result.list = error ? NULL : &info;
	delay_ms = NO_DELAY;
	f->resolver.lookup.done(&f->resolver.lookup, &result);
	return delay_ms;
}

static unsigned log_lines(struct fixture *f, const char *text)
{
	static char log[65536];
	ssize_t size = pread(f->log_fd, log, sizeof(log) - 1, 0);
	unsigned count = 0;

	log[size < 0 ? 0 : size] = '\0';
	for (const char *found = log; (found = strstr(found, text)); found++)
		count++;
	return count;
}

/* --- Tests --- */

static void test_next_look_up_follows_after_the_interval(void **state)
{
	struct fixture *f = *state;

	resolver_start(&f->resolver);
	assert_int_equal(lookups_started, 1);
	assert_true(delay_ms == NO_DELAY); /* not before the result */
	assert_int_equal(complete(f, 0, 1), INTERVAL_MS);
	assert_int_equal(lookups_started, 1);
	timer_callback(&f->resolver.timer);
	assert_int_equal(lookups_started, 2);
}

static void test_only_changes_are_reported(void **state)
{
	struct fixture *f = *state;

	complete(f, 0, 1);
	complete(f, 0, 1);
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->count, 1);
	assert_int_equal(log_lines(f, "info: peer b: host.test is 192.0.2.1:53\n"), 1);
	complete(f, 0, 2);
	assert_int_equal(f->changes, 2);
	assert_int_equal(log_lines(f, "info: peer b: host.test is 192.0.2.2:53\n"), 1);
}

static void test_delay_doubles_with_each_failure(void **state)
{
	static const uint64_t delays[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++)
		assert_int_equal(complete(f, EAI_AGAIN, 0), delays[i]);
	assert_int_equal(complete(f, 0, 1), INTERVAL_MS);
	assert_int_equal(complete(f, EAI_AGAIN, 0), 1000);
}

static void test_delay_is_at_most_the_interval(void **state)
{
	struct fixture *f = *state;

	f->config.resolve_interval_ms = 1500;
	assert_int_equal(complete(f, EAI_AGAIN, 0), 1000);
	assert_int_equal(complete(f, EAI_AGAIN, 0), 1500);
	assert_int_equal(complete(f, EAI_AGAIN, 0), 1500);
}

static void test_first_and_every_tenth_failure_are_logged(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 20; i++)
		complete(f, EAI_AGAIN, 0);
	assert_int_equal(log_lines(f, "cannot resolve host.test: Temporary failure in name resolution; "
				      "datagrams for it are dropped; the look-up is repeated\n"),
			 3);
}

static void test_success_after_failures_is_logged(void **state)
{
	struct fixture *f = *state;

	complete(f, 0, 1);
	complete(f, EAI_NONAME, 0);
	assert_int_equal(log_lines(f,
				   "cannot resolve host.test: Name or service not known; its previous address stays in "
				   "use; the look-up is repeated\n"),
			 1);
	complete(f, 0, 1);
	assert_int_equal(f->changes, 1);
	assert_int_equal(log_lines(f, "info: peer b: host.test is 192.0.2.1:53\n"), 2);
}

/* Completes the look-up with this address. */
static void complete_with(struct fixture *f, const char *ip)
{
	struct address address;
	struct addrinfo info = {.ai_family = AF_INET};
	struct name_lookup_result result = {.list = &info};

	assert_int_equal(address_from_ip(&address, ip, 0), 0);
	info.ai_addr = &address.any;
	info.ai_addrlen = address.length;
	f->resolver.lookup.done(&f->resolver.lookup, &result);
}

static void test_list_without_usable_address_is_a_failure(void **state)
{
	struct fixture *f = *state;

	complete_with(f, "0.0.0.0");
	assert_int_equal(delay_ms, 1000);
	assert_int_equal(
		log_lines(f, "cannot resolve host.test: 0.0.0.0:53 is not the address of a host; datagrams for it are "
			     "dropped; the look-up is repeated\n"),
		1);
	assert_int_equal(f->changes, 1);
	assert_int_equal(f->count, 0);
	complete_with(f, "255.255.255.255");
	assert_int_equal(f->changes, 1);
	complete(f, 0, 1);
	assert_int_equal(f->changes, 2);
	assert_int_equal(f->count, 1);
}

/* Sessions and datagrams stay with the last address. */
static void test_list_without_usable_address_keeps_the_last_address(void **state)
{
	struct fixture *f = *state;

	complete(f, 0, 1);
	complete_with(f, "224.0.0.1");
	assert_int_equal(f->changes, 1);
	assert_int_equal(log_lines(f,
				   "cannot resolve host.test: 224.0.0.1:53 is a multicast group; its previous address "
				   "stays in use; the look-up is repeated\n"),
			 1);
}

static void test_report_of_no_address_is_repeated_after_an_error(void **state)
{
	struct fixture *f = *state;

	f->changed_error = -ENOMEM;
	complete_with(f, "0.0.0.0");
	f->changed_error = 0;
	complete_with(f, "0.0.0.0");
	complete_with(f, "0.0.0.0");
	assert_int_equal(f->changes, 2);
}

static void test_refused_address_among_others_is_logged_once(void **state)
{
	struct fixture *f = *state;
	struct address addresses[2];
	struct addrinfo infos[2] = {{.ai_family = AF_INET, .ai_next = &infos[1]}, {.ai_family = AF_INET}};
	struct name_lookup_result result = {.list = infos};

	for (int i = 0; i < 2; i++) {
		assert_int_equal(address_from_ip(&addresses[i], i ? "192.0.2.1" : "255.255.255.255", 0), 0);
		infos[i].ai_addr = &addresses[i].any;
		infos[i].ai_addrlen = addresses[i].length;
	}
	for (int i = 0; i < 2; i++)
		f->resolver.lookup.done(&f->resolver.lookup, &result);
	assert_int_equal(f->count, 1);
	assert_int_equal(log_lines(f,
				   "warning: peer b: host.test is also 255.255.255.255:53, a broadcast address: it is "
				   "not used\n"),
			 1);
}

static void test_look_up_that_cannot_start_is_tried_again(void **state)
{
	struct fixture *f = *state;

	start_error = -EAGAIN;
	resolver_start(&f->resolver);
	assert_int_equal(delay_ms, 1000);
	assert_int_equal(log_lines(f, "cannot resolve host.test: Resource temporarily unavailable; "), 1);
	timer_callback(&f->resolver.timer);
	assert_int_equal(delay_ms, 2000);
	start_error = 0;
	timer_callback(&f->resolver.timer);
	assert_int_equal(lookups_started, 3);
	assert_int_equal(complete(f, 0, 1), INTERVAL_MS);
}

static void test_change_that_is_not_applied_is_reported_again(void **state)
{
	struct fixture *f = *state;

	f->changed_error = -ENOMEM;
	assert_int_equal(complete(f, 0, 1), INTERVAL_MS);
	assert_int_equal(log_lines(f, "host.test is"), 0);
	f->changed_error = 0;
	complete(f, 0, 1);
	assert_int_equal(f->changes, 2);
	assert_int_equal(log_lines(f, "host.test is"), 1);
}

#define test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(test_next_look_up_follows_after_the_interval),
		test(test_only_changes_are_reported),
		test(test_delay_doubles_with_each_failure),
		test(test_delay_is_at_most_the_interval),
		test(test_first_and_every_tenth_failure_are_logged),
		test(test_success_after_failures_is_logged),
		test(test_list_without_usable_address_is_a_failure),
		test(test_list_without_usable_address_keeps_the_last_address),
		test(test_report_of_no_address_is_repeated_after_an_error),
		test(test_refused_address_among_others_is_logged_once),
		test(test_look_up_that_cannot_start_is_tried_again),
		test(test_change_that_is_not_applied_is_reported_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

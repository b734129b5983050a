/* The lines of the summary. The test supplies the status (-Wl,--wrap). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/summary.h"
#include "tests/unit/admin/status_fixture.h"
#include "tests/unit/support/captured_log.h"

struct fixture {
	struct status_fixture status;
	struct captured_log log;
};

static struct status *collected;
static unsigned destroyed;

struct status *__wrap_status_collect(const struct status_source *source);
void __wrap_status_destroy(struct status *status);

struct status *__wrap_status_collect(const struct status_source *source)
{
	(void)source;
	return collected;
}

void __wrap_status_destroy(struct status *status)
{
	assert_ptr_equal(status, collected);
	destroyed++;
}

static int set_up(void **state)
{
	static struct fixture f;

	fixture_begin(&f.status);
	captured_log_open(&f.log, LOG_LEVEL_INFO);
	collected = &f.status.status;
	destroyed = 0;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	captured_log_close(&f->log);
	fixture_end(&f->status);
	return 0;
}

static void clear_drops(counter dropped[DROP_REASONS])
{
	memset(dropped, 0, DROP_REASONS * sizeof(counter));
}

static void each_part_has_a_line(void **state)
{
	struct fixture *f = *state;
	struct status_fixture *s = &f->status;

	for (size_t i = 0; i < 2; i++) {
		clear_drops(s->listeners[i].counters.dropped);
		clear_drops(s->peers[i].counters.dropped);
		s->listeners[i].dropped = s->peers[i].dropped = 0;
	}
	clear_drops(s->listeners[1].relay.dropped);
	s->listeners[1].relay.kernel_dropped = 6;
	summary_write(f->log.log, &s->source);
	assert_logged(&f->log, "info: listener e: received=1000 bytes=1001 sunk=1002 echoed=1003 forwarded=1004 "
			       "relayed=1005 dropped=0 kernel_dropped=78\n");
	assert_logged(&f->log, "info: relay r: sessions=5 started=5000 ended=5001 answers=5002 bytes=5003 "
			       "answered=5004 dropped=0 kernel_dropped=6\n");
	assert_not_logged(&f->log, "relay e:");
	assert_logged(&f->log, "info: peer n: handed=10000 sent=10001 bytes=10002 answers=");
	assert_logged(&f->log, "info: peer p: handed=20000 ");
	assert_logged(&f->log, "icmp_errors=20003 dropped=0\n");
	assert_logged(&f->log, "info: datagram log: written=11 dropped=12\n");
	assert_int_equal(destroyed, 1);
}

static void drops_are_listed_by_reason(void **state)
{
	struct fixture *f = *state;
	struct status_listener *listener = &f->status.listeners[0];

	clear_drops(listener->counters.dropped);
	listener->counters.dropped[DROP_LOOP] = 5;
	listener->counters.dropped[DROP_TOO_LARGE] = 2;
	listener->dropped = 7;
	summary_write(f->log.log, &f->status.source);
	assert_logged(&f->log, " dropped=7 (too_large=2 loop=5) kernel_dropped=78\n");
}

/* All reasons with the largest number fit into the line. */
static void longest_list_of_drops_is_complete(void **state)
{
	struct fixture *f = *state;
	struct status_listener *listener = &f->status.listeners[0];

	for (int i = DROP_NONE + 1; i < DROP_REASONS; i++)
		listener->counters.dropped[i] = UINT64_MAX;
	listener->counters.dropped[DROP_NONE] = 0;
	listener->dropped = UINT64_MAX;
	summary_write(f->log.log, &f->status.source);
	assert_logged(&f->log, "=18446744073709551615) kernel_dropped=78\n");
}

static void datagram_log_may_be_off(void **state)
{
	struct fixture *f = *state;

	f->status.status.datagram_log.on = false;
	summary_write(f->log.log, &f->status.source);
	assert_logged(&f->log, "info: datagram log: off\n");
}

static void lack_of_memory_is_logged(void **state)
{
	struct fixture *f = *state;

	collected = NULL;
	summary_write(f->log.log, &f->status.source);
	assert_logged(&f->log, "error: cannot print the summary: out of memory\n");
}

#define test(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		test(each_part_has_a_line),
		test(drops_are_listed_by_reason),
		test(longest_list_of_drops_is_complete),
		test(datagram_log_may_be_off),
		test(lack_of_memory_is_logged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "client/load/load_report.h"

struct page {
	FILE *out;
	char *text;
	size_t size;
};

static void begin(struct page *page)
{
	page->out = open_memstream(&page->text, &page->size);
	assert_non_null(page->out);
}

static void end(struct page *page, const char *expected)
{
	fclose(page->out);
	assert_string_equal(page->text, expected);
	free(page->text);
}

static struct load_plan plan_of(unsigned rate, unsigned receivers)
{
	struct load_plan plan = {.flows = 2,
				 .size = 100,
				 .train = 1,
				 .rate = rate,
				 .depth = rate ? 0 : 4,
				 .receivers = receivers,
				 .duration_ns = 2000000000};

	assert_int_equal(address_parse(&plan.target, "127.0.0.1:7788"), 0);
	return plan;
}

/* Two seconds, of which each had 500 datagrams; ten of them came back later than the last was sent. */
static int set_up(void **state)
{
	struct load_result *result = calloc(1, sizeof(*result));

	if (!result)
		return 1;
	*state = result;
	result->sent = 1000;
	result->tally = (struct tally){.received = 990, .duplicated = 3, .reordered = 2, .misdelivered = 1};
	result->sending_ns = 2000000000;
	result->receiving_ns = 2500000000;
	for (uint64_t i = 1; i <= 990; i++)
		histogram_add(&result->latency, i < 990 ? 200 : 1500000);
	return 0;
}

static int tear_down(void **state)
{
	free(*state);
	return 0;
}

static void the_plan(void **state)
{
	struct load_plan closed = plan_of(0, 0), paced = plan_of(5000, 0);
	struct page page;

	(void)state;
	begin(&page);
	closed.flows = 1;
	load_report_plan(page.out, &closed);
	paced.idle = 70;
	paced.train = 5;
	paced.duration_ns = 1500000000;
	load_report_plan(page.out, &paced);
	end(&page, "127.0.0.1:7788: 1 flow, depth 4, 100 bytes, 2 s\n"
		   "127.0.0.1:7788: 2 flows and 70 idle, 5000 datagrams a second, 100 bytes, trains of 5, 1.5 s\n");
}

static void for_people(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct page page;

	begin(&page);
	load_report_text(page.out, &plan, *state);
	end(&page, "sent         1000 datagrams, 500 a second, 400 kbit/s\n"
		   "back         990 datagrams, 396 a second, 317 kbit/s\n"
		   "lost         10 (1 %)\n"
		   "duplicated   3, out of order 2, misdelivered 1\n"
		   "latency      min 200 ns, p50 200 ns, p90 200 ns, p99 200 ns, p99.9 1.50 ms, max 1.50 ms\n");
}

/* They took a time of their own. What comes to receivers is to come to each. */
static void greetings_are_no_load(void **state)
{
	struct load_plan plan = plan_of(0, 2);
	struct load_result *result = *state;
	struct page page;

	result->sent = 500;
	result->greetings = 100;
	result->greeted = 190;
	result->receiving_ns = 1000000000; /* there were no more, though there could have been */
	begin(&page);
	load_report_text(page.out, &plan, result);
	fclose(page.out);
	assert_non_null(strstr(page.text, "sent         400 datagrams, 200 a second, 160 kbit/s\n"));
	assert_non_null(strstr(page.text, "arrived      800 datagrams, 400 a second, 320 kbit/s\n"));
	assert_non_null(strstr(page.text, "lost         10 (1 %)\n"));
	free(page.text);
}

static void what_went_wrong(void **state)
{
	struct load_plan plan = plan_of(5000, 0);
	struct load_result *result = *state;
	struct page page;

	memset(result, 0, sizeof(*result));
	result->unsent = 20;
	result->refused = 7;
	begin(&page);
	load_report_text(page.out, &plan, result);
	end(&page, "sent         0 datagrams, 0 a second, 0.00 bit/s\n"
		   "back         0 datagrams, 0 a second, 0.00 bit/s\n"
		   "lost         0 (0 %)\n"
		   "duplicated   0, out of order 0, misdelivered 0\n"
		   "unsent       20 datagrams were due that this host could not send in time\n"
		   "refused      7 times, says ICMP\n");
}

static void for_programs(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct page page;

	begin(&page);
	load_report_json(page.out, &plan, *state);
	end(&page,
	    "{\"target\":\"127.0.0.1:7788\",\"flows\":2,\"idle\":0,\"depth\":4,\"size\":100,\"train\":1,\"sent\":1000,"
	    "\"received\":990,\"greeted\":0,\"lost\":10,\"duplicated\":3,\"reordered\":2,\"misdelivered\":1,\"unsent\":"
	    "0,"
	    "\"refused\":0,\"seconds\":2.000,\"lost_percent\":1.000,\"sent_per_second\":500.000,"
	    "\"received_per_second\":396.000,\"sent_bits_per_second\":400000.000,\"received_bits_per_second\":316800."
	    "000,"
	    "\"min_us\":0.200,\"p50_us\":0.200,\"p90_us\":0.200,\"p99_us\":0.200,\"p99_9_us\":1500.000,"
	    "\"max_us\":1500.000}\n");
}

/* Without answers there is no latency, not even of 0. */
static void for_programs_without_answers(void **state)
{
	struct load_plan plan = plan_of(5000, 0);
	struct load_result *result = *state;
	struct page page;

	memset(result, 0, sizeof(*result));
	result->sent = 2;
	begin(&page);
	load_report_json(page.out, &plan, result);
	fclose(page.out);
	assert_non_null(strstr(page.text, "\"rate\":5000,\"size\""));
	assert_null(strstr(page.text, "depth"));
	assert_non_null(strstr(page.text, "\"min_us\":null,\"p50_us\":null,"));
	assert_non_null(strstr(page.text, "\"lost_percent\":100.000,"));
	free(page.text);
}

/* Twice a second, of what has come since; it is gone in the end, if it ever was there. */
static void progress(void **state)
{
	struct load_plan plan = plan_of(0, 0);
	struct load_result *result = *state;
	struct load_progress unseen = {.plan = &plan}, seen = {.plan = &plan};
	struct page page;

	begin(&page);
	unseen.out = seen.out = page.out;
	load_progress_show(&unseen, result, 499999999);
	load_progress_end(&unseen);
	load_progress_show(&seen, result, 500000000);
	load_progress_show(&seen, result, 999999999);
	result->sent += 100;
	result->tally.received += 50;
	load_progress_show(&seen, result, 1500000000);
	load_progress_end(&seen);
	end(&page, "\r\033[K0.5 s of 2 s: 2000 sent/s, 1980 back/s, 1.58 Mbit/s"
		   "\r\033[K1.5 s of 2 s: 100 sent/s, 50 back/s, 40.0 kbit/s"
		   "\r\033[K");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_plan),
		cmocka_unit_test_setup_teardown(for_people, set_up, tear_down),
		cmocka_unit_test_setup_teardown(greetings_are_no_load, set_up, tear_down),
		cmocka_unit_test_setup_teardown(what_went_wrong, set_up, tear_down),
		cmocka_unit_test_setup_teardown(for_programs, set_up, tear_down),
		cmocka_unit_test_setup_teardown(for_programs_without_answers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(progress, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Reports of --explain for small configurations. The verdict must be the one that the daemon would record. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "admin/explain.h"
#include "tests/unit/support/config_text.h"

static const char config_text[] =
	"[listener:e]\naddress = 127.0.0.1:7\naction = echo\ndeny = 198.51.100.0/24\nmax_datagram = 8\n"
	"[listener:s]\naddress = 127.0.0.1:9000\naction = sink\nallow = 192.0.2.0/24\nencoding = ascii, latin-1\n"
	"[listener:f]\naddress = 127.0.0.1:9300\naction = forward\npeers = a, b\nerrors = strict\n"
	"[listener:r]\naddress = 127.0.0.1:9200\naction = relay\npeers = a, b\nbalance = failover\n"
	"[listener:rr]\naddress = 127.0.0.1:9201\naction = relay\npeers = a, b\nbalance = round-robin\n"
	"[listener:u]\naddress = unix:/run/u\naction = echo\n"
	"[peer:a]\naddress = 192.0.2.53:53\n"
	"[peer:b]\naddress = 192.0.2.54:53\nencoding = latin-1\n";

/* Returns the report, which the caller frees. payload may be NULL. */
static char *report_of(const char *flow, const char *payload)
{
	struct config *config = good(config_text);
	struct explain_query query;
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	assert_int_equal(explain_query_init(&query, config, flow, payload, NULL, stderr), 0);
	assert_int_equal(explain(config, &query, out), 0);
	assert_int_equal(fclose(out), 0);
	explain_query_finish(&query);
	config_destroy(config);
	return text;
}

static void assert_verdict(const char *text, const char *verdict)
{
	const char *last = strstr(text, "\n  verdict: ");

	assert_non_null(last);
	last += strlen("\n  verdict: ");
	if (strncmp(last, verdict, strlen(verdict)) || strcmp(last + strlen(verdict), "\n"))
		fail_msg("expected the verdict `%s` at the end of:\n%s", verdict, text);
}

/* facts: parts of the report in their order, up to NULL. */
static void assert_report(const char *flow, const char *payload, const char *verdict, const char *const facts[])
{
	char *text = report_of(flow, payload);
	const char *rest = text;

	for (; *facts; facts++) {
		const char *found = strstr(rest, *facts);

		if (!found)
			fail_msg("there is no `%s` in:\n%s", *facts, text);
		rest = found + strlen(*facts);
	}
	assert_verdict(text, verdict);
	free(text);
}

#define assert_facts(flow, payload, verdict, ...)                                                                      \
	assert_report(flow, payload, verdict, (const char *const[]){__VA_ARGS__, NULL})

static void admitted_source_is_echoed(void **state)
{
	(void)state;
	assert_facts(
		"192.0.2.7:4242 > e", "hello", "echoed", "192.0.2.7:4242 > 127.0.0.1:7, listener e (echo), t.ini:1\n",
		"  source: admitted: ", "  guard: passed: ", "  size: 5 bytes, of at most 8 (max_datagram, line 5)\n",
		"  reply: the same 5 bytes to 192.0.2.7:4242, from 127.0.0.1:7\n");
}

static void denied_source_is_dropped(void **state)
{
	(void)state;
	assert_facts("198.51.100.1:4242 > e", "hello", "dropped:source_denied",
		     "  source: refused by deny 198.51.100.0/24 (line 4)\n");
}

static void source_must_be_in_allow(void **state)
{
	(void)state;
	assert_facts("198.51.100.1:4242 > s", NULL, "dropped:source_denied",
		     "  source: refused: no prefix of allow matches (allow, line 9)\n");
	assert_facts("192.0.2.7:4242 > s", NULL, "sunk", "  source: admitted by allow 192.0.2.0/24 (line 9)\n",
		     "  guard: not needed: sink sends no replies (action, line 8)\n");
}

static void refused_port_is_dropped(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:19 > e", NULL, "dropped:source_port",
		     "  guard: refused: source port 19 gets no reply (refuse_source_ports, default: ");
}

static void own_address_is_a_loop(void **state)
{
	(void)state;
	assert_facts("127.0.0.1:9201 > e", NULL, "dropped:loop",
		     "  guard: refused: 127.0.0.1:9201 is one of our own addresses (loop_guard, default)\n");
}

static void unnamed_unix_sender_gets_no_reply(void **state)
{
	(void)state;
	assert_facts("unix: > u", NULL, "dropped:no_return",
		     "  source: admitted: allow and deny do not apply to unix: senders",
		     "  guard: refused: a unix: sender without a path ");
	assert_facts("unix:/c > u", NULL, "echoed", "  reply: the same bytes to unix:/c, from unix:/run/u\n");
}

static void large_payload_is_dropped(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > e", "123456789", "dropped:too_large",
		     "  size: 9 bytes, refused: more than 8 (max_datagram, line 5)\n");
}

static void first_encoding_that_decodes_is_logged(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > s", "hex: 41 ff", "sunk",
		     "  encoding ascii: does not decode: wrong from byte 2: ff\n",
		     "  encoding latin-1: decodes to \"A\303\277\"\n",
		     "  log: latin-1 \"A\303\277\", the first that decodes (encoding, line 10)\n");
}

static void forward_copies_to_each_peer(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > f", "h\303\244", "forwarded:2/2",
		     "  peers: a copy to each of 2 (peers, line 14)\n",
		     "  peer a: 192.0.2.53:53 (line 30), payload unchanged (encoding, default)\n",
		     "  peer b: 192.0.2.54:53 (line 32), converted to latin-1: 2B \"h\303\244\", hex: 68 e4 "
		     "(encoding, line 33)\n");
}

/* The euro sign has no code in latin-1, and errors = strict forbids a replacement. */
static void forward_drops_what_cannot_be_converted(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > f", "\342\202\254", "forwarded:1/2",
		     "  peer b: ", ", unconvertible to latin-1 (errors, line 15)");
}

static void relay_names_the_peer_of_the_session(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > r", "hello", "relayed:a", "  peers: one of 2 (peers, line 19)\n",
		     "  balance: failover (balance, line 20): a at 192.0.2.53:53, the first peer that is up\n",
		     "  session: at most 4096 per source (source_sessions, default)\n",
		     "  replies: unlimited (responses, default), to 192.0.2.7:4242, from 127.0.0.1:9200\n");
}

static void relay_lists_all_possible_verdicts(void **state)
{
	(void)state;
	assert_facts("192.0.2.7:4242 > rr", "hello", "relayed:a or relayed:b",
		     "  balance: round-robin (balance, line 25): ", "a at 192.0.2.53:53, b at 192.0.2.54:53\n");
}

static void relay_refuses_its_own_peer(void **state)
{
	(void)state;
	assert_facts(
		"192.0.2.53:53 > r", "hello", "dropped:loop",
		"  session: refused: 192.0.2.53:53 is the address of a peer of this relay (loop_guard, default)\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(admitted_source_is_echoed),
		cmocka_unit_test(denied_source_is_dropped),
		cmocka_unit_test(source_must_be_in_allow),
		cmocka_unit_test(refused_port_is_dropped),
		cmocka_unit_test(own_address_is_a_loop),
		cmocka_unit_test(unnamed_unix_sender_gets_no_reply),
		cmocka_unit_test(large_payload_is_dropped),
		cmocka_unit_test(first_encoding_that_decodes_is_logged),
		cmocka_unit_test(forward_copies_to_each_peer),
		cmocka_unit_test(forward_drops_what_cannot_be_converted),
		cmocka_unit_test(relay_names_the_peer_of_the_session),
		cmocka_unit_test(relay_lists_all_possible_verdicts),
		cmocka_unit_test(relay_refuses_its_own_peer),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

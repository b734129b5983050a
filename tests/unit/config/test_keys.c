#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pwd.h>

#include "config/keys.h"
#include "tests/unit/config/key_values.h"

static void workers(void **state)
{
	(void)state;
	assert_loaded(ECHO, "[udprelayd]\nworkers = 4", c->workers == 4);
	assert_loaded(ECHO, "[udprelayd]\nworkers = AUTO", c->workers == 0);
	assert_loaded(ECHO, "[udprelayd]\nworkers = 256", c->workers == 256);
	assert_rejected(ECHO "[udprelayd]\n", "workers", "0|257|-1|+1|two|1.5|1 2|99999999999999999999",
			"[udprelayd] workers: `");
}

static void log_keys(void **state)
{
	(void)state;
	assert_loaded(ECHO, "[log]\nlevel = error", c->log_level == LOG_LEVEL_ERROR);
	assert_loaded(ECHO, "[log]\nlevel = warning", c->log_level == LOG_LEVEL_WARNING);
	assert_loaded(ECHO, "[log]\nlevel = notice", c->log_level == LOG_LEVEL_NOTICE);
	assert_loaded(ECHO, "[log]\nlevel = info", c->log_level == LOG_LEVEL_INFO);
	assert_loaded(ECHO, "[log]\nlevel = Debug", c->log_level == LOG_LEVEL_DEBUG);
	assert_loaded(ECHO, "[log]\nformat = json", c->log_format == LOG_FORMAT_JSON);
	assert_loaded(ECHO, "[log]\nformat = text", c->log_format == LOG_FORMAT_TEXT);
	assert_rejected(ECHO "[log]\n", "level", "warn|3|info debug", "[log] level: `");
	assert_rejected(ECHO "[log]\n", "format", "xml", "[log] format: `xml` is not valid: write text or json");
}

static void datagram_log_keys(void **state)
{
	(void)state;
	assert_loaded(ECHO, "[datagram_log]\ntarget = off", c->datagram_log.target == LOG_TARGET_OFF);
	assert_loaded(ECHO, "[datagram_log]\ntarget = stderr", c->datagram_log.target == LOG_TARGET_STDERR);
	assert_loaded(ECHO, "[datagram_log]\ntarget = stdout", c->datagram_log.target == LOG_TARGET_STDOUT);
	assert_loaded(ECHO, "[datagram_log]\ntarget = /v/x y.log",
		      c->datagram_log.target == LOG_TARGET_FILE && !strcmp(c->datagram_log.path, "/v/x y.log"));
	assert_loaded(ECHO, "[datagram_log]\nformat = json", c->datagram_log.format == LOG_FORMAT_JSON);
	assert_loaded(ECHO, "[datagram_log]\npayload = 0", c->datagram_log.payload == 0);
	assert_loaded(ECHO, "[datagram_log]\npayload = 2k", c->datagram_log.payload == 2048);
	assert_loaded(ECHO, "[datagram_log]\npayload = 65527", c->datagram_log.payload == 65527);
	assert_loaded(ECHO, "[datagram_log]\nqueue = 16", c->datagram_log.queue == 16);
	assert_loaded(ECHO, "[datagram_log]\nqueue = 1048576", c->datagram_log.queue == 1 << 20);
	assert_rejected(ECHO "[datagram_log]\n", "target", "sdterr|log", "[datagram_log] target: `");
	assert_rejected(ECHO "[datagram_log]\n", "format", "csv",
			"[datagram_log] format: `csv` is not valid: write text or json");
	assert_rejected(ECHO "[datagram_log]\n", "payload", "65528|64K|-1|all", "[datagram_log] payload: `");
	assert_rejected(ECHO "[datagram_log]\n", "queue", "15|1048577|16K", "[datagram_log] queue: `");
}

static void actions(void **state)
{
	(void)state;
	assert_loaded("[listener:e]\naddress = *:1\n", "action = sink", listener(c)->action == ACTION_SINK);
	assert_loaded("[listener:e]\naddress = *:1\n", "action = echo", listener(c)->action == ACTION_ECHO);
	assert_loaded("[peer:p]\naddress = 192.0.2.1:1\n[listener:e]\naddress = *:1\npeers = p\n", "action = forward",
		      listener(c)->action == ACTION_FORWARD && listener(c)->peers[0] == peer(c));
	assert_loaded("[peer:p]\naddress = 192.0.2.1:1\n[listener:e]\naddress = *:1\npeers = p\n", "action = Relay",
		      listener(c)->action == ACTION_RELAY && listener(c)->peers[0] == peer(c));
	assert_rejected("[listener:e]\naddress = *:1\n", "action", "drop|relays", "[listener:e] action: `");
	assert_rejected("[listener:e]\naddress = *:1\n", "action", "drop",
			"[listener:e] action: `drop` is not valid: write sink, echo, forward or relay");
}

static void peers_of_a_listener(void **state)
{
	(void)state;
	assert_rejected(PEER "[listener:f]\naddress = *:1\naction = forward\n", "peers", "q|P",
			"[listener:f] peers: there is no peer `");
	assert_rejected(PEER "[listener:f]\naddress = *:1\naction = forward\n", "peers", "p, p",
			"[listener:f] peers: `p` is listed twice: remove one");
}

/* Keys under the names that other programs give them. */
static void synonyms_are_explained(void **state)
{
	(void)state;
	refused("[listener:e]\naction = echo\nlisten = 53\n",
		"3: [listener:e] listen: unknown key: write `address = *:53`");
	refused("[listener:e]\naction = echo\nlisten = [::1]:53\n",
		"3: [listener:e] listen: unknown key: write `address = [::1]:53`");
	assert_rejected(ECHO, "buffersize", "4M", "[listener:e] buffersize: unknown key: write `receive_buffer = 4M`");
	assert_rejected("[listener:e]\naddress = *:1\n", "mode", "echo",
			"[listener:e] mode: unknown key: write `action = echo`");
	refused("[listener:e]\naddress = *:1\naction = forward\nupstream = 192.0.2.1:5, 192.0.2.2:5\n",
		"4: [listener:e] upstream: unknown key: write `peers = 192.0.2.1:5, 192.0.2.2:5`");
}

static void quotes_are_explained(void **state)
{
	(void)state;
	refused("[listener:e]\naction = echo\naddress = \"127.0.0.1:53\"\n",
		"3: [listener:e] address: a value has no quotes: write `address = 127.0.0.1:53`");
	assert_rejected(ECHO, "encoding", "'gbk'|\"gbk\"",
			"[listener:e] encoding: a value has no quotes: write `encoding = gbk`");
	assert_rejected(ECHO, "encoding", "utf-8, \"gbk\"",
			"[listener:e] encoding: a value has no quotes: write `encoding = utf-8, gbk`");
	assert_rejected(ECHO "[datagram_log]\n", "target", "\"/tmp/x\"",
			"[datagram_log] target: a value has no quotes: write `target = /tmp/x`");
	assert_loaded(CHECKED, "check_send = \"PING\"",
		      peer(c)->check.send.size == 6 &&
			      strstr(c->warnings, "check_send: the quotes are part of the text"));
}

static void encodings(void **state)
{
	struct config *config = good(ECHO "encoding = gbk, Big5,\nhex\n");

	(void)state;
	assert_int_equal(listener(config)->encoding_count, 3);
	assert_string_equal(listener(config)->encodings[0], "gbk");
	assert_string_equal(listener(config)->encodings[1], "Big5");
	assert_string_equal(listener(config)->encodings[2], "hex");
	config_destroy(config);
	assert_rejected(ECHO, "encoding", "klingon|utf-8//TRANSLIT", "[listener:e] encoding: unknown charset `");
	assert_loaded(ECHO, "errors = strict", listener(c)->errors == CODEC_STRICT);
	assert_loaded(ECHO, "errors = replace", listener(c)->errors == CODEC_REPLACE);
	assert_loaded(ECHO, "errors = ignore", listener(c)->errors == CODEC_IGNORE);
	assert_loaded(ECHO, "errors = backslashreplace", listener(c)->errors == CODEC_BACKSLASHREPLACE);
	assert_rejected(ECHO, "errors", "xmlcharrefreplace",
			"[listener:e] errors: `xmlcharrefreplace` is not valid: write strict");
}

static void log_sampling(void **state)
{
	(void)state;
	assert_loaded(ECHO, "log = all", listener(c)->log_every == 1);
	assert_loaded(ECHO, "log = none", listener(c)->log_every == 0);
	assert_loaded(ECHO, "log = 1/1000", listener(c)->log_every == 1000);
	assert_rejected(ECHO, "log", "1/0|2/3|1/|1/-1|0.1|some|1/4294967296", "[listener:e] log: `");
}

static void sizes(void **state)
{
	(void)state;
	assert_loaded(ECHO, "receive_buffer = 4K", listener(c)->receive_buffer == 4096);
	assert_loaded(ECHO, "receive_buffer = 1023M", listener(c)->receive_buffer == 1023 << 20);
	assert_loaded(ECHO, "send_buffer = 8M", listener(c)->send_buffer == 8 << 20);
	assert_rejected(ECHO, "receive_buffer", "4095|1G|1072693249|2G|1T|4 M|0", "[listener:e] receive_buffer: `");
	assert_rejected(ECHO, "send_buffer", "17179869184G|big", "[listener:e] send_buffer: `");
	assert_loaded(ECHO, "max_datagram = 1", listener(c)->max_datagram == 1);
	assert_loaded(ECHO, "max_datagram = 65527", listener(c)->max_datagram == 65527);
	assert_rejected(ECHO, "max_datagram", "0|65528|64K", "[listener:e] max_datagram: `");
}

static void guard_keys(void **state)
{
	(void)state;
	assert_loaded(ECHO, "loop_guard = no", !listener(c)->loop_guard);
	assert_loaded(ECHO, "loop_guard = TRUE", listener(c)->loop_guard);
	assert_rejected(ECHO, "loop_guard", "none", "[listener:e] loop_guard: `none` is not valid: write on or off");
	assert_loaded(ECHO, "ring_guard = off", !listener(c)->ring_guard);
	assert_loaded(ECHO, "ring_guard = on", listener(c)->ring_guard);
	assert_loaded(ECHO, "source_limit = 0", !listener(c)->source_limit);
	assert_loaded(ECHO, "source_limit = 100", listener(c)->source_limit == 100 && !listener(c)->source_burst);
	assert_loaded(ECHO "source_burst = 200\n", "source_limit = 4294967295",
		      listener(c)->source_limit == UINT32_MAX && listener(c)->source_burst == 200);
	assert_rejected(ECHO, "source_limit", "-1|1K|4294967296", "[listener:e] source_limit: `");
	assert_rejected(ECHO "source_limit = 1\n", "source_burst", "many|-1", "[listener:e] source_burst: `");
	assert_loaded(ECHO, "refuse_source_ports = none", !port_set_has(listener(c)->refuse_source_ports, 0));
	assert_loaded(ECHO, "refuse_source_ports = 19, 100-102, 65535",
		      port_set_has(listener(c)->refuse_source_ports, 19) &&
			      port_set_has(listener(c)->refuse_source_ports, 102) &&
			      port_set_has(listener(c)->refuse_source_ports, 65535) &&
			      !port_set_has(listener(c)->refuse_source_ports, 103) &&
			      !port_set_has(listener(c)->refuse_source_ports, 7788));
	assert_rejected(ECHO, "refuse_source_ports", "65536|2-1|1-|-1|a|1;2", "[listener:e] refuse_source_ports: `");
	assert_rejected(ECHO, "refuse_source_ports", "1,|,1|1,,2",
			"[listener:e] refuse_source_ports: the list has an empty");
}

static void peer_encoding_and_resolve_interval(void **state)
{
	(void)state;
	assert_loaded(PEER, "encoding = gb18030", !strcmp(peer(c)->encoding, "gb18030"));
	assert_loaded(PEER, "", !peer(c)->encoding && peer(c)->resolve_interval_ms == 30000);
	assert_rejected(PEER, "encoding", "hex|klingon", "[peer:p] encoding: ");
	assert_rejected(PEER, "encoding", "utf-8, gbk", "[peer:p] encoding: `utf-8, gbk` is a list: write one charset");
	assert_loaded(PEER, "resolve_interval = 1s", peer(c)->resolve_interval_ms == 1000);
	assert_loaded(PEER, "resolve_interval = 24h", peer(c)->resolve_interval_ms == 24 * 3600 * 1000);
	assert_loaded(PEER, "resolve_interval = 2m", peer(c)->resolve_interval_ms == 120000);
	assert_rejected(PEER, "resolve_interval", "999ms|25h|30|0s|1.5s", "[peer:p] resolve_interval: `");
	assert_rejected(PEER, "resolve_interval", "10",
			"[peer:p] resolve_interval: `10` is not valid: write a duration from 1s to 24h, such as 30s");
}

static void relay_keys(void **state)
{
	(void)state;
	assert_loaded(RELAY, "balance = hash", listener(c)->balance == BALANCE_HASH);
	assert_loaded(RELAY, "balance = round-robin", listener(c)->balance == BALANCE_ROUND_ROBIN);
	assert_loaded(RELAY, "balance = random", listener(c)->balance == BALANCE_RANDOM);
	assert_loaded(RELAY, "balance = Least-Sessions", listener(c)->balance == BALANCE_LEAST_SESSIONS);
	assert_loaded(RELAY, "balance = failover", listener(c)->balance == BALANCE_FAILOVER);
	assert_rejected(RELAY, "balance", "roundrobin|0|hash, random", "[listener:e] balance: `");
	assert_loaded(RELAY, "idle_timeout = 1ms", listener(c)->idle_timeout_ms == 1);
	assert_loaded(RELAY, "idle_timeout = 24h", listener(c)->idle_timeout_ms == 24 * 3600 * 1000);
	assert_rejected(RELAY, "idle_timeout", "60|0s|86401s|1.5s|never", "[listener:e] idle_timeout: `");
	assert_loaded(RELAY, "max_sessions = 1", listener(c)->max_sessions == 1);
	assert_loaded(RELAY, "max_sessions = 1000000", listener(c)->max_sessions == 1000000);
	assert_loaded(RELAY, "source_sessions = 0", listener(c)->source_sessions == 0);
	assert_loaded(RELAY, "source_sessions = 1000000", listener(c)->source_sessions == 1000000);
	assert_loaded(RELAY, "max_sessions = 1001", listener(c)->source_sessions == 250);
	assert_loaded(RELAY, "max_sessions = 3", listener(c)->source_sessions == 1);
	assert_rejected(RELAY, "source_sessions", "-1|1000001|all", "[listener:e] source_sessions: `");
	assert_rejected(RELAY, "max_sessions", "0|1000001|16K|unlimited", "[listener:e] max_sessions: `");
}

/* 0 does not mean unlimited. */
static void responses(void **state)
{
	(void)state;
	assert_loaded(RELAY, "responses = 0", listener(c)->responses == 0);
	assert_loaded(RELAY, "responses = 1", listener(c)->responses == 1);
	assert_loaded(RELAY, "responses = 4294967294", listener(c)->responses == UINT32_MAX - 1);
	assert_loaded(RELAY, "responses = Unlimited", listener(c)->responses == RESPONSES_UNLIMITED);
	assert_rejected(RELAY, "responses", "-1|4294967295|all|1.5|1s", "[listener:e] responses: `");
	assert_rejected(
		RELAY, "responses", "auto",
		"[listener:e] responses: `auto` is not valid: write unlimited, or a number of datagrams from 0 to "
		"4294967294");
}

static void relay_keys_of_a_peer(void **state)
{
	(void)state;
	assert_loaded(PEER, "weight = 2", peer(c)->weight == 2);
	assert_loaded(PEER, "weight = 1000000", peer(c)->weight == 1000000);
	assert_rejected(PEER, "weight", "0|1000001|-1|1.5|heavy", "[peer:p] weight: `");
	assert_loaded(PEER, "backup = on", peer(c)->backup);
	assert_loaded(PEER, "backup = no", !peer(c)->backup);
	assert_rejected(PEER, "backup", "maybe|1", "[peer:p] backup: `");
	assert_loaded(PEER, "max_fails = 0", peer(c)->max_fails == 0);
	assert_loaded(PEER, "max_fails = 1000000", peer(c)->max_fails == 1000000);
	assert_rejected(PEER, "max_fails", "-1|1000001|none", "[peer:p] max_fails: `");
	assert_loaded(PEER, "fail_timeout = 1ms", peer(c)->fail_timeout_ms == 1);
	assert_loaded(PEER, "fail_timeout = 2m", peer(c)->fail_timeout_ms == 120000);
	assert_rejected(PEER, "fail_timeout", "10 s|0ms|25h|3", "[peer:p] fail_timeout: `");
}

static void check_keys(void **state)
{
	(void)state;
	assert_loaded(PEER, "check = on", peer(c)->check.on);
	assert_loaded(PEER, "check = off", !peer(c)->check.on);
	assert_rejected(PEER, "check", "udp|2", "[peer:p] check: `");
	assert_loaded(CHECKED, "check_interval = 24h", peer(c)->check.interval_ms == 24 * 3600 * 1000);
	assert_loaded(CHECKED "check_timeout = 1ms\n", "check_interval = 1ms",
		      peer(c)->check.interval_ms == 1 && peer(c)->check.timeout_ms == 1);
	assert_rejected(CHECKED, "check_interval", "5|0s|25h", "[peer:p] check_interval: `");
	assert_loaded(CHECKED, "check_timeout = 500ms", peer(c)->check.timeout_ms == 500);
	assert_rejected(CHECKED, "check_timeout", "1|0ms|25h", "[peer:p] check_timeout: `");
	assert_loaded(CHECKED, "check_rise = 1", peer(c)->check.rise == 1);
	assert_loaded(CHECKED, "check_rise = 1000", peer(c)->check.rise == 1000);
	assert_rejected(CHECKED, "check_rise", "0|1001|x", "[peer:p] check_rise: `");
	assert_loaded(CHECKED, "check_fall = 1", peer(c)->check.fall == 1);
	assert_loaded(CHECKED, "check_fall = 1000", peer(c)->check.fall == 1000);
	assert_rejected(CHECKED, "check_fall", "0|1001|-2", "[peer:p] check_fall: `");
}

static bool holds(const struct payload *payload, const char *bytes, size_t size)
{
	return payload->size == size && !memcmp(payload->bytes, bytes, size);
}

static void check_payloads_as_text(void **state)
{
	(void)state;
	assert_loaded(CHECKED, "", !peer(c)->check.send.bytes && !peer(c)->check.send.size);
	assert_loaded(CHECKED, "check_send = p",
		      holds(&peer(c)->check.send, "p", 1) && !peer(c)->check.expect.bytes &&
			      !peer(c)->check.expect.size);
	assert_loaded(CHECKED, "check_expect = pong",
		      holds(&peer(c)->check.expect, "pong", 4) && !peer(c)->check.send.bytes);
	assert_loaded(CHECKED, "check_send =  ping \\n, \xe4\xbd\xa0=0x1 ; for all",
		      holds(&peer(c)->check.send, "ping \\n, \xe4\xbd\xa0=0x1", 16));
	assert_loaded(CHECKED, "check_send = hexagon", holds(&peer(c)->check.send, "hexagon", 7));
	assert_loaded(CHECKED, "check_send = hex", holds(&peer(c)->check.send, "hex", 3));
	assert_rejected(CHECKED, "check_send", "", "[peer:p] check_send: the value is missing: write a text, or hex:");
}

static void check_payloads_as_hex(void **state)
{
	(void)state;
	assert_loaded(CHECKED, "check_send = hex:0009afAF", holds(&peer(c)->check.send, "\0\x09\xaf\xaf", 4));
	assert_loaded(CHECKED, "check_expect = HEX: 00 01  ff7f\tfe",
		      holds(&peer(c)->check.expect, "\0\1\xff\x7f\xfe", 5));
	assert_loaded(CHECKED, "check_send = hex: 00 01,\n 02 03,\n 04", holds(&peer(c)->check.send, "\0\1\2\3\4", 5));
	assert_rejected(CHECKED, "check_send", "hex:001|hex:00 1|hex:0 0|hex: f", "[peer:p] check_send: `");
	assert_rejected(CHECKED, "check_send", "hex:00 001 02",
			"[peer:p] check_send: `001` has an odd number of hex digits: write two for each byte");
	assert_rejected(CHECKED, "check_expect", "hex:00 zz|hex:zz00", "[peer:p] check_expect: `zz");
	assert_rejected(
		CHECKED, "check_expect", "hex:0x00|hex:00 0x00",
		"[peer:p] check_expect: `0x00` is not a hex number: write two digits for each byte, such as `00 ff`");
	assert_rejected(CHECKED, "check_expect", "hex:-1|hex:+1|hex:00:01|hex:0\xc3\xa9", "[peer:p] check_expect: `");
	assert_rejected(CHECKED, "check_send", "hex:|hex: ; 00",
			"[peer:p] check_send: the bytes after `hex:` are missing: write some, such as `hex: 00 ff`");
	assert_rejected(CHECKED, "check_send", "hex:00,,01|hex: 00,,01",
			"[peer:p] check_send: the list has an empty item");
}

/* Returns a configuration in which check_send has `count` lines of 64 bytes each, and then `last`. The caller frees it.
 */
static char *long_send(const char *prefix, const char *piece, int count, const char *last)
{
	char *text;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	fprintf(out, CHECKED "check_send = %s", prefix);
	while (count--)
		fprintf(out, "%s,\n", piece);
	fprintf(out, "%s\n", last);
	fclose(out);
	return text;
}

static void check_payload_size_is_limited(void **state)
{
	char piece[63] = {0}, hex[129] = {0}, last[66] = {0};
	char *texts[4];

	(void)state;
	memset(piece, 'a', 62);
	memset(hex, 'a', 128);
	memset(last, 'a', 64);
	texts[0] = long_send("", piece, 15, last);
	texts[1] = long_send("hex:", hex, 15, hex);
	texts[2] = long_send("", piece, 15, strcat(last, "a"));
	texts[3] = long_send("hex:", hex, 16, "aa");
	for (int i = 0; i < 2; i++) {
		struct config *config = good(texts[i]);

		assert_int_equal(peer(config)->check.send.size, 1024);
		assert_int_equal(peer(config)->check.send.bytes[1023], i ? 0xaa : 'a');
		config_destroy(config);
		refused(texts[i + 2], "7: [peer:p] check_send: 1025 bytes are too many: write at most 1024");
	}
	for (int i = 0; i < 4; i++)
		free(texts[i]);
}

static void users_and_groups(void **state)
{
	struct config *config = good(ECHO "[udprelayd]\nuser = nobody\n");

	(void)state;
	assert_string_equal(config->user.name, "nobody");
	assert_int_equal(config->user.uid, getpwnam("nobody")->pw_uid);
	assert_int_equal(config->user.gid, getpwnam("nobody")->pw_gid);
	config_destroy(config);
	config = good(ECHO "[udprelayd]\nuser = nobody\ngroup = root\n");
	assert_int_equal(config->user.gid, 0);
	config_destroy(config);
	assert_rejected(ECHO "[udprelayd]\n", "user", "a b|a,b|a:b|/", "[udprelayd] user: `");
	assert_rejected(ECHO "[udprelayd]\n", "user", "root|0", "[udprelayd] user: `");
	assert_rejected(ECHO "[udprelayd]\n", "user", "4294967295|-1|nobodyy", "[udprelayd] user: unknown user `");
	assert_rejected(ECHO "[udprelayd]\nuser = nobody\n", "group", "a b|a, b", "[udprelayd] group: `");
	assert_rejected(ECHO "[udprelayd]\nuser = nobody\n", "group", "4294967295|-1|nogroupp",
			"[udprelayd] group: unknown group `");
}

/* --- The table --- */

static void every_row_is_found_by_section_and_name(void **state)
{
	const struct config_key *key;
	size_t count = 0;

	(void)state;
	for (; (key = config_key_at(count)); count++) {
		assert_ptr_equal(config_key_find(key->section, key->name), key);
		assert_non_null(key->set);
		assert_true(key->expected && *key->expected);
	}
	assert_in_range(count, 40, 1000);
	assert_null(config_key_at(count));
	assert_null(config_key_at(SIZE_MAX));
	assert_null(config_key_find(SECTION_HTTP, "workers"));
}

/* The message about a wrong value lists the words by hand. */
static void messages_list_every_word_of_a_choice(void **state)
{
	const struct config_key *key;

	(void)state;
	for (size_t i = 0; (key = config_key_at(i)); i++) {
		for (const char *const *word = key->words; word && *word; word++) {
			if (!strstr(key->expected, *word))
				fail_msg("%s: `%s` is not in `%s`", key->name, *word, key->expected);
		}
	}
}

static void nearest_key_is_suggested(void **state)
{
	(void)state;
	assert_string_equal(config_key_nearest(SECTION_LISTENER, "adress")->name, "address");
	assert_string_equal(config_key_nearest(SECTION_LISTENER, "recv_buffer")->name, "receive_buffer");
	assert_string_equal(config_key_nearest(SECTION_LISTENER, "LOG")->name, "log");
	assert_string_equal(config_key_nearest(SECTION_PEER, "check_inverval")->name, "check_interval");
	assert_string_equal(config_key_nearest(SECTION_DAEMON, "worker")->name, "workers");
	assert_string_equal(config_key_nearest(SECTION_LISTENER, "adres")->name, "address");
	assert_string_equal(config_key_nearest(SECTION_LOG, "levle")->name, "level");
	assert_null(config_key_nearest(SECTION_LISTENER, "xyz"));
	assert_null(config_key_nearest(SECTION_LISTENER, "foo"));
	assert_null(config_key_nearest(SECTION_HTTP, "workers"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(workers),
		cmocka_unit_test(users_and_groups),
		cmocka_unit_test(log_keys),
		cmocka_unit_test(datagram_log_keys),
		cmocka_unit_test(actions),
		cmocka_unit_test(peers_of_a_listener),
		cmocka_unit_test(synonyms_are_explained),
		cmocka_unit_test(quotes_are_explained),
		cmocka_unit_test(encodings),
		cmocka_unit_test(log_sampling),
		cmocka_unit_test(sizes),
		cmocka_unit_test(guard_keys),
		cmocka_unit_test(peer_encoding_and_resolve_interval),
		cmocka_unit_test(relay_keys),
		cmocka_unit_test(responses),
		cmocka_unit_test(relay_keys_of_a_peer),
		cmocka_unit_test(check_keys),
		cmocka_unit_test(check_payloads_as_text),
		cmocka_unit_test(check_payloads_as_hex),
		cmocka_unit_test(check_payload_size_is_limited),
		cmocka_unit_test(every_row_is_found_by_section_and_name),
		cmocka_unit_test(messages_list_every_word_of_a_choice),
		cmocka_unit_test(nearest_key_is_suggested),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "config/keys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/xalloc.h"
#include "config/key_synonyms.h"
#include "config/setters.h"
#include "config/values.h"

/* --- Setters for plain values. Range and field come from the row in the table. --- */

static void *section_data(const struct config_field *field)
{
	if (field->listener)
		return field->listener;
	return field->peer ? (void *)field->peer : field->config;
}

static bool store_number(struct config_field *field)
{
	const struct config_key *key = field->key;
	char *data = (char *)section_data(field) + key->offset;

	if (key->size == sizeof(bool))
		memcpy(data, &(bool){field->number}, sizeof(bool));
	else if (key->size == sizeof(uint32_t))
		memcpy(data, &(uint32_t){(uint32_t)field->number}, sizeof(uint32_t));
	else if (key->size == sizeof(uint64_t))
		memcpy(data, &field->number, sizeof(uint64_t));
	return true;
}

static bool set_boolean(struct config_field *field, const char *value)
{
	bool on;

	if (!value_boolean(value, &on))
		return false;
	field->number = on;
	return store_number(field);
}

static bool set_choice(struct config_field *field, const char *value)
{
	unsigned choice;

	if (!value_choice(value, field->key->words, &choice))
		return false;
	field->number = choice;
	return store_number(field);
}

static bool set_number(struct config_field *field, const char *value)
{
	return value_number(value, field->key->min, field->key->max, &field->number) && store_number(field);
}

static bool set_size(struct config_field *field, const char *value)
{
	return value_size(value, field->key->min, field->key->max, &field->number) && store_number(field);
}

static bool set_duration(struct config_field *field, const char *value)
{
	return value_duration(value, field->key->min, field->key->max, &field->number) && store_number(field);
}

/* Accepts a number, or the single word of the key, such as `auto`, which stands for the number key->word. */
static bool set_word_or_number(struct config_field *field, const char *value)
{
	if (strcasecmp(value, field->key->words[0]))
		return set_number(field, value);
	field->number = field->key->word;
	return store_number(field);
}

/* --- The table --- */

static const char *const level_words[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const format_words[] = {"text", "json", NULL};
static const char *const balance_words[] = {"hash", "round-robin", "random", "least-sessions", "failover", NULL};
static const char *const auto_word[] = {"auto", NULL};
static const char *const unlimited_word[] = {"unlimited", NULL};

#define FIELD(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define CONFIG(member) FIELD(config, member)
#define LISTENER(member) FIELD(listener_config, member)
#define PEER(member) FIELD(peer_config, member)
#define RANGE(low, high) .min = low, .max = high

#define FORMAT set_choice, "text or json", .words = format_words
#define SWITCH set_boolean, "on or off"
#define BUFFER set_size, "a size from 4K to 1023M, such as 512K or 4M", RANGE(4096, 1023 << 20)
#define DURATION set_duration, "a duration from 1ms to 24h, such as 500ms, 5s or 2m", RANGE(1, 24 * 3600 * 1000)
#define POSITIVE set_number, "a number from 1 to 1000000", RANGE(1, 1000000)
#define CHECKS set_number, "a number of checks from 1 to 1000", RANGE(1, 1000)
#define PAYLOAD set_payload, "a text, or hex: and bytes such as `hex: 00 ff`"
#define PREFIXES set_prefixes, "prefixes such as 192.0.2.0/24, 2001:db8::/32"

static const struct config_key keys[] = {
	{SECTION_DAEMON, "workers", set_word_or_number, "auto, or a number from 1 to 256", RANGE(1, 256),
	 .words = auto_word, .word = 0, CONFIG(workers)},
	{SECTION_DAEMON, "user", set_user, "the name of a user, or a number"},
	{SECTION_DAEMON, "group", set_group, "the name of a group, or a number"},

	{SECTION_LOG, "level", set_choice, "error, warning, notice, info or debug", .words = level_words,
	 CONFIG(log_level)},
	{SECTION_LOG, "format", FORMAT, CONFIG(log_format)},

	{SECTION_DATAGRAM_LOG, "target", set_target,
	 "stderr, stdout, off, or the path of a file such as /var/log/datagrams or ./datagrams"},
	{SECTION_DATAGRAM_LOG, "format", FORMAT, CONFIG(datagram_log.format)},
	{SECTION_DATAGRAM_LOG, "payload", set_size, "a number of bytes from 0 to 65527", RANGE(0, CONFIG_DATAGRAM_MAX),
	 CONFIG(datagram_log.payload)},
	{SECTION_DATAGRAM_LOG, "queue", set_number, "a number of records from 16 to 1048576", RANGE(16, 1 << 20),
	 CONFIG(datagram_log.queue)},

	{SECTION_HTTP, "listen", set_http_listen, "off, or an address such as 127.0.0.1:9788"},
	{SECTION_HTTP, "hosts", set_http_hosts, "names and IP addresses of this host, without a port"},

	{SECTION_LISTENER, "address", set_listener_address,
	 "one or more of IPV4:PORT, [IPV6]:PORT, *:PORT and unix:/path"},
	{SECTION_LISTENER, "action", set_choice, ACTION_CHOICES, .words = action_names, LISTENER(action)},
	{SECTION_LISTENER, "peers", set_peers, "names of [peer:NAME] sections, or addresses such as 192.0.2.1:514"},
	{SECTION_LISTENER, "encoding", set_listener_encoding, "names of charsets"},
	{SECTION_LISTENER, "errors", set_choice, "strict, replace, ignore or backslashreplace",
	 .words = codec_errors_names, LISTENER(errors)},
	{SECTION_LISTENER, "log", set_log, "all, none, or a share of the datagrams such as 1/100"},
	{SECTION_LISTENER, "interface", set_interface, "the name of an interface (`ip link` lists them)"},
	{SECTION_LISTENER, "multicast", set_multicast, "groups to join, such as 239.1.2.3 or ff02::1234%eth0"},
	{SECTION_LISTENER, "freebind", SWITCH, LISTENER(freebind)},
	{SECTION_LISTENER, "receive_buffer", BUFFER, LISTENER(receive_buffer)},
	{SECTION_LISTENER, "send_buffer", BUFFER, LISTENER(send_buffer)},
	{SECTION_LISTENER, "max_datagram", set_size, "a number of bytes from 1 to 65527", RANGE(1, CONFIG_DATAGRAM_MAX),
	 LISTENER(max_datagram)},
	{SECTION_LISTENER, "loop_guard", SWITCH, LISTENER(loop_guard)},
	{SECTION_LISTENER, "refuse_source_ports", set_refuse_source_ports,
	 "ports and ranges such as `0-1023, 1900`, or none"},
	{SECTION_LISTENER, "allow", PREFIXES, LISTENER(allow)},
	{SECTION_LISTENER, "deny", PREFIXES, LISTENER(deny)},
	{SECTION_LISTENER, "ring_guard", SWITCH, LISTENER(ring_guard)},
	{SECTION_LISTENER, "source_limit", set_number, "a number of datagrams per second, 0 for no limit",
	 RANGE(0, UINT32_MAX), LISTENER(source_limit)},
	{SECTION_LISTENER, "source_burst", set_number, "a number of datagrams, 0 for as many as source_limit",
	 RANGE(0, UINT32_MAX), LISTENER(source_burst)},
	{SECTION_LISTENER, "balance", set_choice, "hash, round-robin, random, least-sessions or failover",
	 .words = balance_words, LISTENER(balance)},
	{SECTION_LISTENER, "idle_timeout", DURATION, LISTENER(idle_timeout_ms)},
	{SECTION_LISTENER, "max_sessions", POSITIVE, LISTENER(max_sessions)},
	{SECTION_LISTENER, "source_sessions", set_number, "a number of sessions from 1 to 1000000, 0 for no limit",
	 RANGE(0, 1000000), LISTENER(source_sessions)},
	{SECTION_LISTENER, "responses", set_word_or_number, "unlimited, or a number of datagrams from 0 to 4294967294",
	 RANGE(0, RESPONSES_UNLIMITED - 1), .words = unlimited_word, .word = RESPONSES_UNLIMITED, LISTENER(responses)},

	{SECTION_PEER, "address", set_peer_address,
	 "an address to send to: HOST:PORT, [IPV6]:PORT or unix:/path, with a port from 1 to 65535"},
	{SECTION_PEER, "encoding", set_peer_encoding, "the name of a charset"},
	{SECTION_PEER, "resolve_interval", set_duration, "a duration from 1s to 24h, such as 30s",
	 RANGE(1000, 24 * 3600 * 1000), PEER(resolve_interval_ms)},
	{SECTION_PEER, "weight", POSITIVE, PEER(weight)},
	{SECTION_PEER, "backup", SWITCH, PEER(backup)},
	{SECTION_PEER, "check", SWITCH, PEER(check.on)},
	{SECTION_PEER, "check_send", PAYLOAD, PEER(check.send)},
	{SECTION_PEER, "check_expect", PAYLOAD, PEER(check.expect)},
	{SECTION_PEER, "check_interval", DURATION, PEER(check.interval_ms)},
	{SECTION_PEER, "check_timeout", DURATION, PEER(check.timeout_ms)},
	{SECTION_PEER, "check_rise", CHECKS, PEER(check.rise)},
	{SECTION_PEER, "check_fall", CHECKS, PEER(check.fall)},
	{SECTION_PEER, "max_fails", set_number, "a number of errors from 0 to 1000000, 0 to ignore errors",
	 RANGE(0, 1000000), PEER(max_fails)},
	{SECTION_PEER, "fail_timeout", DURATION, PEER(fail_timeout_ms)},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

/* Indexed by enum section_kind. */
static const char *const section_texts[] = {"[udprelayd]", "[log]",           "[datagram_log]",
					    "[http]",      "[listener:NAME]", "[peer:NAME]"};

#define SECTION_COUNT (sizeof(section_texts) / sizeof(section_texts[0]))
#define SECTION_LIST_MAX 128 /* bytes; enough for a list of all section_texts, with " or " between them */

const char *config_section_text(enum section_kind kind)
{
	return section_texts[kind];
}

const struct config_key *config_key_at(size_t index)
{
	return index < KEY_COUNT ? &keys[index] : NULL;
}

const struct config_key *config_key_find(enum section_kind section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

const struct config_key *config_key_nearest(enum section_kind section, const char *name)
{
	const struct config_key *nearest = NULL;
	size_t least = SIZE_MAX;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t distance = value_distance(name, keys[i].name);

		/* Similar enough: about one wrong letter in three. */
		if (keys[i].section == section && distance <= (strlen(keys[i].name) + 1) / 3 && distance < least) {
			least = distance;
			nearest = &keys[i];
		}
	}
	return nearest;
}

/* Finds the key in a line such as "address *:7788". It lacks the '=', so libinih takes "address *" as the key. Returns
 * NULL if the first word is not a key of the section. */
static const struct config_key *find_first_word(enum section_kind section, const char *name)
{
	char *word = xcheck(strndup(name, strcspn(name, " \t")));
	const struct config_key *key = config_key_find(section, word);

	free(word);
	return key;
}

/* Other programs write a port, an address without a port, or a number of seconds. */
static bool report_synonym(struct config_field *field, enum section_kind section, const char *key, const char *value)
{
	bool number = *value && !value[strspn(value, "0123456789")], address = !strcmp(key, "address");
	bool port = number && address && section == SECTION_LISTENER;
	const char *end = "";

	if (address && !port && !strpbrk(value, ":,"))
		end = ":PORT";
	else if (number && config_key_find(section, key)->set == set_duration)
		end = "s";
	return config_field_error(field, "unknown key: write `%s = %s%s%s`", key, port ? "*:" : "", value, end);
}

/* Writes the sections that have a key of this name, such as "[log] or [datagram_log]"; "" if there are none. */
static void list_sections(const char *name, char sections[SECTION_LIST_MAX])
{
	char *end = sections;

	*end = '\0';
	for (unsigned kind = 0; kind < SECTION_COUNT; kind++) {
		if (config_key_find((enum section_kind)kind, name))
			end += sprintf(end, "%s%s", *sections ? " or " : "", section_texts[kind]);
	}
}

static bool report_unknown_key(struct config_field *field, enum section_kind section, const char *value)
{
	const struct config_key *nearest = config_key_nearest(section, field->name);
	const char *synonym = config_key_synonym(section, field->name);
	const struct config_key *word = field->colon ? find_first_word(section, field->name) : NULL;
	char sections[SECTION_LIST_MAX];

	list_sections(field->name, sections);
	if (synonym)
		return report_synonym(field, section, synonym, value);
	if (word)
		return config_field_error(field, "unknown key: write `=` between `%s` and its value", word->name);
	if (*sections)
		return config_field_error(field, "the key belongs to %s: write it there", sections);
	if (nearest)
		return config_field_error(field, "unknown key: did you mean `%s`?", nearest->name);
	if (field->colon && field->follows_entry)
		return config_field_error(field,
					  "unknown key: add a comma to the previous line if this is part of a list");
	return config_field_error(field, "unknown key in this section: remove it");
}

static bool is_quoted(const char *text)
{
	size_t length = strlen(text);

	return length > 1 && strchr("\"'", *text) && text[length - 1] == *text;
}

/* Returns whether the value or an item of the list begins and ends with the same quotation mark. Sets the line of the
 * field to that of the item. */
static bool has_quotes(struct config_field *field, const char *value)
{
	char *copy = xcheck(strdup(value)), *cursor = copy, *item;
	bool found = is_quoted(value);

	while (!found && (item = value_next_item(&cursor))) {
		found = is_quoted(item);
		if (found)
			field->line = ini_entry_line(field->entry, (size_t)(item - copy));
	}
	free(copy);
	return found;
}

static bool report_quotes(struct config_field *field, const char *value)
{
	char *plain = xcheck(strdup(value)), *out = plain;

	for (; *value; value++) {
		if (!strchr("\"'", *value))
			*out++ = *value;
	}
	*out = '\0';
	if (field->entry->continuation_count)
		config_field_error(field, "a value has no quotes: remove all quotes from the list");
	else
		config_field_error(field, "a value has no quotes: write `%s = %s`", field->name, plain);
	free(plain);
	return false;
}

bool config_key_set(struct config_field *field, enum section_kind section, const char *value)
{
	const struct config_key *key = field->key = config_key_find(section, field->name);

	if (!key)
		return report_unknown_key(field, section, value);
	if (!*value)
		return config_field_error(field, "the value is missing: write %s", key->expected);
	if (key->set != set_payload && has_quotes(field, value))
		return report_quotes(field, value);
	if (key->set(field, value))
		return true;
	return field->reported ? false : config_field_invalid(field, value);
}

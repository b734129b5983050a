#include "config_keys.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_value.h"

#define UNUSED(scope) ((void)(scope))

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

bool scope_wrong(struct scope *scope, const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	diagnostics_add(scope->diagnostics, scope->line, "[%s] %s: %s", scope->section, scope->key, text);
	free(text);
	scope->told = true;
	return false;
}

/* Calls take() for each item of a list; stops at the first that is wrong. */
static bool for_each(struct scope *scope, const char *value, bool (*take)(struct scope *scope, char *item))
{
	char *copy = must(strdup(value)), *cursor = copy, *item;
	bool good = true;

	while (good && (item = value_next(&cursor)))
		good = *item ? take(scope, item) : scope_wrong(scope, "`%s` has an empty item: remove a comma", value);
	free(copy);
	return good;
}

/* Another zeroed element at the end of an array. */
static void *append(void *array, size_t *count, size_t size)
{
	char *grown = must(realloc(*(void **)array, (*count + 1) * size));

	*(void **)array = grown;
	return memset(grown + (*count)++ * size, 0, size);
}

/* --- [udprelayd], [log], [datagram_log], [http] --- */

static bool set_workers(struct scope *scope, const char *value)
{
	uint64_t number = 0;

	if (strcasecmp(value, "auto") && !value_number(value, 1, 256, &number))
		return false;
	scope->config->workers = (unsigned)number;
	return true;
}

static bool set_level(struct scope *scope, const char *value)
{
	static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};
	unsigned level;

	if (!value_choice(value, levels, &level))
		return false;
	scope->config->log_level = level;
	return true;
}

static bool read_format(const char *value, enum log_format *format)
{
	static const char *const formats[] = {"text", "json", NULL};
	unsigned choice;

	if (!value_choice(value, formats, &choice))
		return false;
	*format = choice;
	return true;
}

static bool set_log_format(struct scope *scope, const char *value)
{
	return read_format(value, &scope->config->log_format);
}

static bool set_datagram_log_format(struct scope *scope, const char *value)
{
	return read_format(value, &scope->config->datagram_log.format);
}

static bool set_target(struct scope *scope, const char *value)
{
	static const char *const targets[] = {"off", "stderr", "stdout", NULL};
	unsigned target = LOG_TARGET_FILE;

	if (!value_choice(value, targets, &target)) {
		if (!*value)
			return false;
		scope->config->datagram_log.path = must(strdup(value));
	}
	scope->config->datagram_log.target = target;
	return true;
}

static bool set_payload(struct scope *scope, const char *value)
{
	uint64_t bytes;

	if (!value_size(value, 0, CONFIG_DATAGRAM_MAX, &bytes))
		return false;
	scope->config->datagram_log.payload = (uint32_t)bytes;
	return true;
}

static bool set_queue(struct scope *scope, const char *value)
{
	uint64_t records;

	if (!value_number(value, 16, 1 << 20, &records))
		return false;
	scope->config->datagram_log.queue = (uint32_t)records;
	return true;
}

static bool check_listen(struct scope *scope, const char *value)
{
	struct address address;

	UNUSED(scope);
	return !strcasecmp(value, "off") || address_parse(&address, value) == 0;
}

/* --- [listener:NAME] --- */

static bool take_bind(struct scope *scope, char *item)
{
	struct listener_config *listener = scope->listener;
	struct bind_config bind = {.line = scope->line};
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	if (!strncmp(item, "fd:", 3))
		return scope_wrong(scope,
				   "`%s`: not built yet: sockets from systemd come in a later version; write an "
				   "address",
				   item);
	if (!address_split(item, host, &port) && !strcmp(host, "*")) {
		bind.any = true;
		address_from_ip(&bind.address, "0.0.0.0", port);
	} else if (address_parse(&bind.address, item)) {
		return scope_wrong(scope,
				   "`%s` is no address to listen on: write IPV4:PORT, [IPV6]:PORT, *:PORT or "
				   "unix:/path, with a port from 0 to 65535",
				   item);
	}
	if (bind.address.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&bind.address.v6.sin6_addr))
		return scope_wrong(scope, "`%s` is an IPv4 address in IPv6 clothes: write the IPv4 address", item);
	bind.text = must(strdup(item));
	*(struct bind_config *)append(&listener->binds, &listener->bind_count, sizeof(bind)) = bind;
	return true;
}

static bool set_binds(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_bind);
}

static bool set_action(struct scope *scope, const char *value)
{
	static const char *const actions[] = {"sink", "echo", "forward", "relay", NULL};
	unsigned action;

	if (!value_choice(value, actions, &action))
		return false;
	if (action > ACTION_FORWARD)
		return scope_wrong(scope, "`%s`: not built yet: write sink, echo or forward", value);
	scope->listener->action = action;
	return true;
}

static bool take_peer(struct scope *scope, char *item)
{
	struct listener_config *listener = scope->listener;
	struct peer_config *peer = NULL;

	for (size_t i = 0; i < scope->config->peer_count; i++) {
		if (!strcmp(scope->config->peers[i].name, item))
			peer = &scope->config->peers[i];
	}
	if (!peer)
		return scope_wrong(scope, "there is no peer `%s`: add a section [peer:%s]", item, item);
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (listener->peers[i] == peer)
			return scope_wrong(scope, "`%s` is named twice: remove one", item);
	}
	*(struct peer_config **)append(&listener->peers, &listener->peer_count, sizeof(peer)) = peer;
	return true;
}

static bool set_peers(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_peer);
}

static bool take_encoding(struct scope *scope, char *item)
{
	struct listener_config *listener = scope->listener;

	if (strcasecmp(item, "hex") && !codec_known(item))
		return scope_wrong(scope, "`%s` is no charset that this system knows: `iconv -l` lists them", item);
	*(char **)append(&listener->encodings, &listener->encoding_count, sizeof(char *)) = must(strdup(item));
	return true;
}

static bool set_encodings(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_encoding);
}

static bool set_errors(struct scope *scope, const char *value)
{
	static const char *const rules[] = {"strict", "replace", "ignore", "backslashreplace", NULL};
	unsigned rule;

	if (!value_choice(value, rules, &rule))
		return false;
	scope->listener->errors = rule;
	return true;
}

static bool set_log(struct scope *scope, const char *value)
{
	static const char *const words[] = {"none", "all", NULL};
	uint64_t every;
	unsigned word;

	if (value_choice(value, words, &word))
		every = word;
	else if (strncmp(value, "1/", 2) || !value_number(value + 2, 1, UINT32_MAX, &every))
		return false;
	scope->listener->log_every = (uint32_t)every;
	return true;
}

static bool set_interface(struct scope *scope, const char *value)
{
	return value_interface(value, scope->listener->interface);
}

static bool take_group(struct scope *scope, char *item)
{
	struct listener_config *listener = scope->listener;
	struct multicast_config group = {0};
	char *zone = strchr(item, '%');

	if (zone)
		*zone++ = '\0';
	if (address_from_ip(&group.group, item, 0) || !address_is_multicast(&group.group))
		return scope_wrong(scope,
				   "`%s` is no multicast group: write one of 224.0.0.0/4 or ff00::/8, with "
				   "%%INTERFACE behind it where that matters",
				   item);
	if (zone && !value_interface(zone, group.interface))
		return scope_wrong(scope, "`%s` is no name of an interface: `ip link` lists them", zone);
	*(struct multicast_config *)append(&listener->groups, &listener->group_count, sizeof(group)) = group;
	return true;
}

static bool set_groups(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_group);
}

static bool set_freebind(struct scope *scope, const char *value)
{
	return value_boolean(value, &scope->listener->freebind);
}

static bool read_buffer(const char *value, int *bytes)
{
	uint64_t size;

	if (!value_size(value, 4096, 1 << 30, &size))
		return false;
	*bytes = (int)size;
	return true;
}

static bool set_receive_buffer(struct scope *scope, const char *value)
{
	return read_buffer(value, &scope->listener->receive_buffer);
}

static bool set_send_buffer(struct scope *scope, const char *value)
{
	return read_buffer(value, &scope->listener->send_buffer);
}

static bool set_max_datagram(struct scope *scope, const char *value)
{
	uint64_t bytes;

	if (!value_size(value, 1, CONFIG_DATAGRAM_MAX, &bytes))
		return false;
	scope->listener->max_datagram = (uint32_t)bytes;
	return true;
}

static bool set_loop_guard(struct scope *scope, const char *value)
{
	return value_boolean(value, &scope->listener->loop_guard);
}

static bool set_refuse_source_ports(struct scope *scope, const char *value)
{
	struct port_set set = {0};

	if (strcasecmp(value, "none") && !value_ports(value, &set))
		return false;
	scope->listener->refuse_source_ports = must(malloc(sizeof(set)));
	*scope->listener->refuse_source_ports = set;
	return true;
}

/* --- [peer:NAME] --- */

/* "192.168.1" is no name, though the resolver would make an address of it. */
static bool is_name(const char *host)
{
	return strcmp(host, "*") && strspn(host, "0123456789.") != strlen(host);
}

static bool set_peer_address(struct scope *scope, const char *value)
{
	struct peer_config *peer = scope->peer;
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	peer->line = scope->line;
	if (address_parse(&peer->address, value)) {
		if (address_split(value, host, &port) || !is_name(host))
			return false;
		peer->host = must(strdup(host));
		address_from_ip(&peer->address, "0.0.0.0", port);
	} else if (address_is_wildcard(&peer->address)) {
		return scope_wrong(scope, "`%s` is nobody's address: write where the peer listens", value);
	}
	if (peer->address.any.sa_family != AF_UNIX && !address_port(&peer->address))
		return scope_wrong(scope, "`%s` has port 0, which nobody listens on: write the peer's port", value);
	peer->address_text = must(strdup(value));
	return true;
}

static bool set_peer_encoding(struct scope *scope, const char *value)
{
	if (!strcasecmp(value, "hex"))
		return scope_wrong(scope, "`hex` shows bytes in a log: a peer needs a charset, or none");
	if (!codec_known(value))
		return scope_wrong(scope, "`%s` is no charset that this system knows: `iconv -l` lists them", value);
	scope->peer->encoding = must(strdup(value));
	return true;
}

static bool set_resolve_interval(struct scope *scope, const char *value)
{
	return value_duration(value, 1000, 24 * 3600 * 1000, &scope->peer->resolve_interval_ms);
}

/* --- What is only checked, until it is built --- */

static bool check_word(struct scope *scope, const char *value)
{
	UNUSED(scope);
	return *value && !strpbrk(value, " \t,");
}

static bool check_any(struct scope *scope, const char *value)
{
	UNUSED(scope);
	return *value;
}

static bool check_boolean(struct scope *scope, const char *value)
{
	bool result;

	UNUSED(scope);
	return value_boolean(value, &result);
}

static bool check_count(struct scope *scope, const char *value)
{
	uint64_t number;

	UNUSED(scope);
	return value_number(value, 0, UINT32_MAX, &number);
}

static bool check_positive(struct scope *scope, const char *value)
{
	uint64_t number;

	UNUSED(scope);
	return value_number(value, 1, 1000000, &number);
}

static bool check_duration(struct scope *scope, const char *value)
{
	uint64_t duration;

	UNUSED(scope);
	return value_duration(value, 1, 24 * 3600 * 1000, &duration);
}

static bool check_responses(struct scope *scope, const char *value)
{
	return !strcasecmp(value, "unlimited") || check_count(scope, value);
}

static bool check_balance(struct scope *scope, const char *value)
{
	static const char *const words[] = {"hash", "round-robin", "random", "least-sessions", "failover", NULL};
	unsigned word;

	UNUSED(scope);
	return value_choice(value, words, &word);
}

static bool take_prefix(struct scope *scope, char *item)
{
	char *slash = strchr(item, '/');
	struct address address;
	uint64_t bits;

	if (slash)
		*slash++ = '\0';
	if (address_from_ip(&address, item, 0))
		return scope_wrong(scope, "`%s` is no address: write prefixes such as 192.0.2.0/24 or 2001:db8::/32",
				   item);
	if (slash && !value_number(slash, 0, address.any.sa_family == AF_INET ? 32 : 128, &bits))
		return scope_wrong(scope, "`%s/%s` has no such length: IPv4 has up to 32 bits, IPv6 up to 128", item,
				   slash);
	return true;
}

static bool check_prefixes(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_prefix);
}

/* --- The table --- */

#define DURATION "a duration such as 500ms, 5s, 2m or 1h"
#define SWITCH "on or off"
#define BUFFER "a size from 4K to 1G, such as 512K or 4M"
#define FORMAT "text or json"

static const struct config_key keys[] = {
	{SECTION_DAEMON, "workers", set_workers, "auto, or a number from 1 to 256"},
	{SECTION_DAEMON, "user", check_word, "the name of a user", .later = true},
	{SECTION_DAEMON, "group", check_word, "the name of a group", .later = true},

	{SECTION_LOG, "level", set_level, "error, warning, notice, info or debug"},
	{SECTION_LOG, "format", set_log_format, FORMAT},

	{SECTION_DATAGRAM_LOG, "target", set_target, "stderr, stdout, off, or the path of a file"},
	{SECTION_DATAGRAM_LOG, "format", set_datagram_log_format, FORMAT},
	{SECTION_DATAGRAM_LOG, "payload", set_payload, "a number of bytes from 0 to 65527"},
	{SECTION_DATAGRAM_LOG, "queue", set_queue, "a number of records from 16 to 1048576"},

	{SECTION_HTTP, "listen", check_listen, "off, or an address such as 127.0.0.1:9100", true, "off"},

	{SECTION_LISTENER, "address", set_binds, "one or more addresses"},
	{SECTION_LISTENER, "action", set_action, "sink, echo or forward"},
	{SECTION_LISTENER, "peers", set_peers, "names of [peer:NAME] sections"},
	{SECTION_LISTENER, "encoding", set_encodings, "names of charsets"},
	{SECTION_LISTENER, "errors", set_errors, "strict, replace, ignore or backslashreplace"},
	{SECTION_LISTENER, "log", set_log, "all, none, or 1/N for each Nth datagram"},
	{SECTION_LISTENER, "interface", set_interface, "the name of an interface (`ip link` lists them)"},
	{SECTION_LISTENER, "multicast", set_groups, "groups to join"},
	{SECTION_LISTENER, "freebind", set_freebind, SWITCH},
	{SECTION_LISTENER, "receive_buffer", set_receive_buffer, BUFFER},
	{SECTION_LISTENER, "send_buffer", set_send_buffer, BUFFER},
	{SECTION_LISTENER, "max_datagram", set_max_datagram, "a number of bytes from 1 to 65527"},
	{SECTION_LISTENER, "loop_guard", set_loop_guard, SWITCH},
	{SECTION_LISTENER, "refuse_source_ports", set_refuse_source_ports,
	 "ports and ranges such as `0-1023, 1900`, or none"},
	{SECTION_LISTENER, "allow", check_prefixes, "prefixes", .later = true},
	{SECTION_LISTENER, "deny", check_prefixes, "prefixes", .later = true},
	{SECTION_LISTENER, "source_limit", check_count, "a number of datagrams a second, 0 for no limit", true, "0"},
	{SECTION_LISTENER, "source_burst", check_count, "a number of datagrams", true, "0"},
	{SECTION_LISTENER, "balance", check_balance, "hash, round-robin, random, least-sessions or failover",
	 .later = true},
	{SECTION_LISTENER, "idle_timeout", check_duration, DURATION, .later = true},
	{SECTION_LISTENER, "max_sessions", check_positive, "a number from 1 to 1000000", .later = true},
	{SECTION_LISTENER, "responses", check_responses, "unlimited, or a number of datagrams", .later = true},

	{SECTION_PEER, "address", set_peer_address,
	 "an address to send to: HOST:PORT, [IPV6]:PORT or unix:/path, with a port from 1 to 65535"},
	{SECTION_PEER, "encoding", set_peer_encoding, "the name of a charset"},
	{SECTION_PEER, "resolve_interval", set_resolve_interval, "a duration from 1s to 24h"},
	{SECTION_PEER, "weight", check_positive, "a number from 1 to 1000000", true, "1"},
	{SECTION_PEER, "backup", check_boolean, SWITCH, true, "off"},
	{SECTION_PEER, "check", check_boolean, SWITCH, true, "off"},
	{SECTION_PEER, "check_send", check_any, "what to send", .later = true},
	{SECTION_PEER, "check_expect", check_any, "what to expect", .later = true},
	{SECTION_PEER, "check_interval", check_duration, DURATION, .later = true},
	{SECTION_PEER, "check_timeout", check_duration, DURATION, .later = true},
	{SECTION_PEER, "check_rise", check_positive, "a number from 1 to 1000000", .later = true},
	{SECTION_PEER, "check_fall", check_positive, "a number from 1 to 1000000", .later = true},
	{SECTION_PEER, "max_fails", check_positive, "a number from 1 to 1000000", .later = true},
	{SECTION_PEER, "fail_timeout", check_duration, DURATION, .later = true},
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

const struct config_key *config_key_find(enum section_kind section, const char *name)
{
	for (size_t i = 0; i < KEY_COUNT; i++) {
		if (keys[i].section == section && !strcmp(keys[i].name, name))
			return &keys[i];
	}
	return NULL;
}

/* Letters to change, insert or remove to make b of a (Levenshtein); a large number for names that are too long. */
static size_t distance(const char *a, const char *b)
{
	enum { MAX = 48 };
	size_t row[MAX + 1], length = strlen(b);

	if (length > MAX || strlen(a) > MAX)
		return MAX;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 0; a[i]; i++) {
		size_t diagonal = row[0];

		row[0] = i + 1;
		for (size_t j = 0; j < length; j++) {
			size_t change = diagonal + (tolower((unsigned char)a[i]) != b[j]);
			size_t other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

			diagonal = row[j + 1];
			row[j + 1] = change < other ? change : other;
		}
	}
	return row[length];
}

const struct config_key *config_key_nearest(enum section_kind section, const char *name)
{
	const struct config_key *nearest = NULL;
	size_t least = strlen(name) / 3 + 1;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t d = distance(name, keys[i].name);

		if (keys[i].section == section && d <= least) {
			least = d - (d > 0);
			nearest = &keys[i];
		}
	}
	return nearest;
}

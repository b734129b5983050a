#include "config_keys.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config_value.h"
#include "must.h"

/* Tells that the scope's value is wrong; always false. */
static bool __attribute__((format(printf, 2, 3))) scope_wrong(struct scope *scope, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(scope->diagnostics, scope->line, scope->section, scope->name, format, arguments);
	va_end(arguments);
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

/* --- Plain values: the table has their ranges, and the fields that they go to --- */

static void *section_data(const struct scope *scope)
{
	if (scope->listener)
		return scope->listener;
	return scope->peer ? (void *)scope->peer : scope->config;
}

static bool store(struct scope *scope)
{
	const struct config_key *key = scope->key;
	char *field = (char *)section_data(scope) + key->offset;

	if (key->size == sizeof(bool))
		memcpy(field, &(bool){scope->number}, sizeof(bool));
	else if (key->size == sizeof(uint32_t))
		memcpy(field, &(uint32_t){(uint32_t)scope->number}, sizeof(uint32_t));
	else if (key->size == sizeof(uint64_t))
		memcpy(field, &scope->number, sizeof(uint64_t));
	return true;
}

static bool set_boolean(struct scope *scope, const char *value)
{
	bool on;

	if (!value_boolean(value, &on))
		return false;
	scope->number = on;
	return store(scope);
}

static bool set_choice(struct scope *scope, const char *value)
{
	unsigned choice;

	if (!value_choice(value, scope->key->words, &choice))
		return false;
	scope->number = choice;
	return store(scope);
}

static bool set_number(struct scope *scope, const char *value)
{
	return value_number(value, scope->key->min, scope->key->max, &scope->number) && store(scope);
}

static bool set_size(struct scope *scope, const char *value)
{
	return value_size(value, scope->key->min, scope->key->max, &scope->number) && store(scope);
}

static bool set_duration(struct scope *scope, const char *value)
{
	return value_duration(value, scope->key->min, scope->key->max, &scope->number) && store(scope);
}

/* Zero stands for the word of the table, such as auto. */
static bool set_word_or_number(struct scope *scope, const char *value)
{
	return !strcasecmp(value, scope->key->words[0]) ? store(scope) : set_number(scope, value);
}

/* --- [udprelayd], [datagram_log], [http] --- */

static bool check_word(struct scope *scope, const char *value)
{
	(void)scope;
	return !strpbrk(value, " \t,");
}

static bool check_any(struct scope *scope, const char *value)
{
	(void)scope;
	return *value;
}

static bool set_target(struct scope *scope, const char *value)
{
	static const char *const targets[] = {"off", "stderr", "stdout", NULL};
	unsigned target = LOG_TARGET_FILE;

	if (!value_choice(value, targets, &target)) {
		scope->config->datagram_log.path = must(strdup(value));
	}
	scope->config->datagram_log.target = target;
	return true;
}

static bool check_listen(struct scope *scope, const char *value)
{
	struct address address;

	scope->number = strcasecmp(value, "off") != 0;
	return !scope->number || address_parse(&address, value) == 0;
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

static bool set_refuse_source_ports(struct scope *scope, const char *value)
{
	struct port_set set = {0};

	if (strcasecmp(value, "none") && !value_ports(value, &set))
		return false;
	scope->listener->refuse_source_ports = must(malloc(sizeof(set)));
	*scope->listener->refuse_source_ports = set;
	return true;
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

static bool set_prefixes(struct scope *scope, const char *value)
{
	return for_each(scope, value, take_prefix);
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

/* --- The table --- */

static const char *const levels[] = {"error", "warning", "notice", "info", "debug", NULL};
static const char *const formats[] = {"text", "json", NULL};
static const char *const error_rules[] = {"strict", "replace", "ignore", "backslashreplace", NULL};
static const char *const balances[] = {"hash", "round-robin", "random", "least-sessions", "failover", NULL};
static const char *const automatic[] = {"auto", NULL};
static const char *const unlimited[] = {"unlimited", NULL};

#define FIELD(type, member) .offset = offsetof(struct type, member), .size = sizeof(((struct type *)NULL)->member)
#define CONFIG(member) FIELD(config, member)
#define LISTENER(member) FIELD(listener_config, member)
#define PEER(member) FIELD(peer_config, member)
#define RANGE(low, high) .min = low, .max = high
#define LATER .later = true, .nothing = UINT64_MAX
#define LATER_BUT(number) .later = true, .nothing = number

#define FORMAT set_choice, "text or json", .words = formats
#define SWITCH set_boolean, "on or off"
#define BUFFER set_size, "a size from 4K to 1G, such as 512K or 4M", RANGE(4096, 1 << 30)
#define DURATION set_duration, "a duration from 1ms to 24h, such as 500ms, 5s or 2m", RANGE(1, 24 * 3600 * 1000)
#define POSITIVE set_number, "a number from 1 to 1000000", RANGE(1, 1000000)
#define PREFIXES set_prefixes, "prefixes such as 192.0.2.0/24, 2001:db8::/32"

static const struct config_key keys[] = {
	{SECTION_DAEMON, "workers", set_word_or_number, "auto, or a number from 1 to 256", RANGE(1, 256),
	 .words = automatic, CONFIG(workers)},
	{SECTION_DAEMON, "user", check_word, "the name of a user", LATER},
	{SECTION_DAEMON, "group", check_word, "the name of a group", LATER},

	{SECTION_LOG, "level", set_choice, "error, warning, notice, info or debug", .words = levels, CONFIG(log_level)},
	{SECTION_LOG, "format", FORMAT, CONFIG(log_format)},

	{SECTION_DATAGRAM_LOG, "target", set_target, "stderr, stdout, off, or the path of a file"},
	{SECTION_DATAGRAM_LOG, "format", FORMAT, CONFIG(datagram_log.format)},
	{SECTION_DATAGRAM_LOG, "payload", set_size, "a number of bytes from 0 to 65527", RANGE(0, CONFIG_DATAGRAM_MAX),
	 CONFIG(datagram_log.payload)},
	{SECTION_DATAGRAM_LOG, "queue", set_number, "a number of records from 16 to 1048576", RANGE(16, 1 << 20),
	 CONFIG(datagram_log.queue)},

	{SECTION_HTTP, "listen", check_listen, "off, or an address such as 127.0.0.1:9100", LATER_BUT(0)},

	{SECTION_LISTENER, "address", set_binds, "one or more of IPV4:PORT, [IPV6]:PORT, *:PORT and unix:/path"},
	{SECTION_LISTENER, "action", set_action, "sink, echo or forward"},
	{SECTION_LISTENER, "peers", set_peers, "names of [peer:NAME] sections"},
	{SECTION_LISTENER, "encoding", set_encodings, "names of charsets"},
	{SECTION_LISTENER, "errors", set_choice, "strict, replace, ignore or backslashreplace", .words = error_rules,
	 LISTENER(errors)},
	{SECTION_LISTENER, "log", set_log, "all, none, or 1/N for each Nth datagram"},
	{SECTION_LISTENER, "interface", set_interface, "the name of an interface (`ip link` lists them)"},
	{SECTION_LISTENER, "multicast", set_groups, "groups to join, such as 239.1.2.3 or ff02::1234%eth0"},
	{SECTION_LISTENER, "freebind", SWITCH, LISTENER(freebind)},
	{SECTION_LISTENER, "receive_buffer", BUFFER, LISTENER(receive_buffer)},
	{SECTION_LISTENER, "send_buffer", BUFFER, LISTENER(send_buffer)},
	{SECTION_LISTENER, "max_datagram", set_size, "a number of bytes from 1 to 65527", RANGE(1, CONFIG_DATAGRAM_MAX),
	 LISTENER(max_datagram)},
	{SECTION_LISTENER, "loop_guard", SWITCH, LISTENER(loop_guard)},
	{SECTION_LISTENER, "refuse_source_ports", set_refuse_source_ports,
	 "ports and ranges such as `0-1023, 1900`, or none"},
	{SECTION_LISTENER, "allow", PREFIXES, LATER},
	{SECTION_LISTENER, "deny", PREFIXES, LATER},
	{SECTION_LISTENER, "source_limit", set_number, "a number of datagrams a second, 0 for no limit",
	 RANGE(0, UINT32_MAX), LATER_BUT(0)},
	{SECTION_LISTENER, "source_burst", set_number, "a number of datagrams", RANGE(0, UINT32_MAX), LATER_BUT(0)},
	{SECTION_LISTENER, "balance", set_choice, "hash, round-robin, random, least-sessions or failover",
	 .words = balances, LATER},
	{SECTION_LISTENER, "idle_timeout", DURATION, LATER},
	{SECTION_LISTENER, "max_sessions", POSITIVE, LATER},
	{SECTION_LISTENER, "responses", set_word_or_number, "unlimited, or a number of datagrams", RANGE(0, UINT32_MAX),
	 .words = unlimited, LATER},

	{SECTION_PEER, "address", set_peer_address,
	 "an address to send to: HOST:PORT, [IPV6]:PORT or unix:/path, with a port from 1 to 65535"},
	{SECTION_PEER, "encoding", set_peer_encoding, "the name of a charset"},
	{SECTION_PEER, "resolve_interval", set_duration, "a duration from 1s to 24h", RANGE(1000, 24 * 3600 * 1000),
	 PEER(resolve_interval_ms)},
	{SECTION_PEER, "weight", POSITIVE, LATER_BUT(1)},
	{SECTION_PEER, "backup", SWITCH, LATER_BUT(0)},
	{SECTION_PEER, "check", SWITCH, LATER_BUT(0)},
	{SECTION_PEER, "check_send", check_any, "what to send", LATER},
	{SECTION_PEER, "check_expect", check_any, "what to expect", LATER},
	{SECTION_PEER, "check_interval", DURATION, LATER},
	{SECTION_PEER, "check_timeout", DURATION, LATER},
	{SECTION_PEER, "check_rise", POSITIVE, LATER},
	{SECTION_PEER, "check_fall", POSITIVE, LATER},
	{SECTION_PEER, "max_fails", POSITIVE, LATER},
	{SECTION_PEER, "fail_timeout", DURATION, LATER},
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

const struct config_key *config_key_nearest(enum section_kind section, const char *name)
{
	const struct config_key *nearest = NULL;
	size_t least = strlen(name) / 3 + 2;

	for (size_t i = 0; i < KEY_COUNT; i++) {
		size_t distance = value_distance(name, keys[i].name);

		if (keys[i].section == section && distance < least) {
			least = distance;
			nearest = &keys[i];
		}
	}
	return nearest;
}

static bool unknown_key(struct scope *scope, enum section_kind section)
{
	const struct config_key *nearest = config_key_nearest(section, scope->name);

	if (nearest)
		return scope_wrong(scope, "there is no such key: did you mean `%s`?", nearest->name);
	return scope_wrong(scope, "there is no such key in this section: remove it");
}

bool config_key_set(struct scope *scope, enum section_kind section, const char *value)
{
	const struct config_key *key = scope->key = config_key_find(section, scope->name);

	if (!key)
		return unknown_key(scope, section);
	if (!*value)
		return scope_wrong(scope, "there is no value: write %s", key->expected);
	if (!key->set(scope, value))
		return scope->told ? false : scope_wrong(scope, "`%s` is wrong: write %s", value, key->expected);
	if (key->later && scope->number != key->nothing)
		return scope_wrong(scope, "not built yet: this version cannot do it; remove the line");
	return true;
}

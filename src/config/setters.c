#include "config/setters.h"

#include <ctype.h>
#include <grp.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/systemd.h"
#include "base/xalloc.h"
#include "build_config.h"
#include "config/values.h"

bool config_field_error(struct config_field *scope, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(scope->diagnostics, scope->line, scope->section, scope->name, format, arguments);
	va_end(arguments);
	scope->told = true;
	return false;
}

/* Calls take() for each item of a list, so that all that is wrong with it is told. */
static bool for_each(struct config_field *scope, const char *value,
		     bool (*take)(struct config_field *scope, char *item))
{
	char *copy = xcheck(strdup(value)), *cursor = copy, *item;
	bool good = true, empty = false;

	while ((item = value_next(&cursor))) {
		if (*item)
			good &= take(scope, item);
		else if (!empty)
			good = config_field_error(scope, "`%s` has an empty item: remove a comma", value);
		empty |= !*item;
	}
	free(copy);
	return good;
}

/* Another zeroed element at the end of an array. */
static void *append(void *array, size_t *count, size_t size)
{
	char *grown = xgrow(*(void **)array, *count, size);

	*(void **)array = grown;
	return memset(grown + (*count)++ * size, 0, size);
}

/* --- [udprelayd], [datagram_log], [http] --- */

/* The highest number stands for no user at all (setresuid(2)). */
#define ID_MAX (UINT32_MAX - 1)

/* Names and numbers have no blanks, and are no lists. */
static bool is_word(const char *value)
{
	return !strpbrk(value, " \t,:/");
}

/* Without an entry of its own, a user's number has no group. */
bool set_user(struct config_field *scope, const char *value)
{
	struct config *config = scope->config;
	uint64_t number = 0;
	bool numeric = value_number(value, 0, ID_MAX, &number);
	const struct passwd *user;

	if (!is_word(value))
		return false;
	user = numeric ? getpwuid((uid_t)number) : getpwnam(value);
	if (!user && !numeric)
		return config_field_error(scope,
					  "there is no user `%s`: create one (`useradd --system %s`), or name another",
					  value, value);
	config->user.uid = user ? user->pw_uid : (uid_t)number;
	if (config->user.uid == 0)
		return config_field_error(scope, "`%s` may do everything: name a user who may not, such as nobody",
					  value);
	if (user && !config->user.has_group) {
		config->user.gid = user->pw_gid;
		config->user.has_group = true;
	}
	config->user.name = xcheck(strdup(value));
	config->user.line = scope->line;
	return true;
}

bool set_group(struct config_field *scope, const char *value)
{
	struct config *config = scope->config;
	uint64_t number = 0;
	bool numeric = value_number(value, 0, ID_MAX, &number);
	const struct group *group;

	if (!is_word(value))
		return false;
	group = numeric ? NULL : getgrnam(value);
	if (!group && !numeric)
		return config_field_error(
			scope, "there is no group `%s`: create one (`groupadd --system %s`), or name another", value,
			value);
	config->user.gid = group ? group->gr_gid : (gid_t)number;
	config->user.has_group = true;
	return true;
}

/* A mistyped word must not become a file: a file's path has a slash. */
bool set_target(struct config_field *scope, const char *value)
{
	static const char *const targets[] = {"off", "stderr", "stdout", NULL};
	unsigned target = LOG_TARGET_FILE;

	if (!value_choice(value, targets, &target)) {
		if (!strchr(value, '/'))
			return false;
		scope->config->datagram_log.path = xcheck(strdup(value));
		scope->config->datagram_log.line = scope->line;
	}
	scope->config->datagram_log.target = target;
	return true;
}

static bool mapped(struct config_field *scope, const char *text)
{
	return config_field_error(scope, "`%s` is an IPv4 address in IPv6 clothes: write the IPv4 address", text);
}

/* "*:9100", "9100" and ":9100" name nobody who might ask. */
static bool names_no_host(const char *value)
{
	const char *digits = value + (*value == ':');
	char host[ADDRESS_HOST_MAX];
	uint16_t port;

	if (!address_split(value, host, &port) && !strcmp(host, "*"))
		return true;
	return *digits && !digits[strspn(digits, "0123456789")];
}

static bool open_to_all(struct config_field *scope, const char *value)
{
	return config_field_error(
		scope,
		"`%s` lets everybody ask, and who asks is told the names and addresses of listeners and "
		"peers: write one address, such as 127.0.0.1:9100",
		value);
}

static bool take_http_address(struct config_field *scope, const char *value, struct address *address)
{
	char fault[ADDRESS_FAULT_MAX];

	if (names_no_host(value))
		return open_to_all(scope, value);
	if (address_parse(address, value))
		return config_field_error(scope, "`%s`: %s", value, address_fault(value, false, fault));
	if (address_is_v4_mapped(address))
		return mapped(scope, value);
	if (address_is_wildcard(address))
		return open_to_all(scope, value);
	if (address_is_multicast(address))
		return config_field_error(scope, "`%s` is a multicast group: write an address of this host", value);
	if (address_lacks_zone(address))
		return config_field_error(scope, "`%s` is link-local: write its interface, as in [fe80::1%%eth0]:9100",
					  value);
	return true;
}

bool set_http_listen(struct config_field *scope, const char *value)
{
	struct config *config = scope->config;

	if (!strcasecmp(value, "off"))
		return true;
	if (!take_http_address(scope, value, &config->http.address))
		return false;
	if (!HAVE_LIBMICROHTTPD)
		return config_field_error(scope,
					  "this udprelayd was built without libmicrohttpd: write off, or build it with "
					  "libmicrohttpd-dev installed");
	config->http.text = xcheck(strdup(value));
	config->http.line = scope->line;
	return true;
}

/* --- [listener:NAME] --- */

static void add_bind(struct listener_config *listener, struct bind_config bind, const char *text)
{
	bind.text = xcheck(strdup(text));
	*(struct bind_config *)append(&listener->binds, &listener->bind_count, sizeof(bind)) = bind;
}

/* What FileDescriptorName= of systemd.socket(5) takes. */
static bool is_fd_name(const char *name)
{
	size_t length = strlen(name);

	for (const char *c = name; *c; c++) {
		if (*c <= ' ' || *c > '~' || *c == ':')
			return false;
	}
	return length && length <= 255;
}

static bool take_passed(struct config_field *scope, const char *item)
{
	const char *name = item + 3;

	if (!systemd_built_in())
		return config_field_error(scope, "`%s`: this udprelayd is built without systemd: write an address",
					  item);
	if (!is_fd_name(name))
		return config_field_error(
			scope, "`%s`: write fd:NAME, with the FileDescriptorName= of the .socket unit", item);
	add_bind(scope->listener, (struct bind_config){.line = scope->line, .fd_name = xcheck(strdup(name))}, item);
	return true;
}

static bool take_bind(struct config_field *scope, char *item)
{
	struct bind_config bind = {.line = scope->line};
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_FAULT_MAX];
	uint16_t port;

	if (!strncmp(item, "fd:", 3))
		return take_passed(scope, item);
	if (!address_split(item, host, &port) && !strcmp(host, "*")) {
		bind.any = true;
		address_from_ip(&bind.address, "0.0.0.0", port);
	} else if (address_parse(&bind.address, item)) {
		return config_field_error(scope, "`%s`: %s", item, address_fault(item, false, fault));
	}
	if (address_is_v4_mapped(&bind.address))
		return mapped(scope, item);
	add_bind(scope->listener, bind, item);
	return true;
}

bool set_listener_address(struct config_field *scope, const char *value)
{
	return for_each(scope, value, take_bind);
}

/* Whether there is such a peer is told where all keys are known. */
static bool take_peer(struct config_field *scope, char *item)
{
	struct listener_config *listener = scope->listener;
	struct peer_config *peer = NULL;

	for (size_t i = 0; i < scope->config->peer_count; i++) {
		if (!strcmp(scope->config->peers[i].name, item))
			peer = &scope->config->peers[i];
	}
	if (!peer)
		return true;
	for (size_t i = 0; i < listener->peer_count; i++) {
		if (listener->peers[i] == peer)
			return config_field_error(scope, "`%s` is named twice: remove one", item);
	}
	*(struct peer_config **)append(&listener->peers, &listener->peer_count, sizeof(peer)) = peer;
	return true;
}

bool set_peers(struct config_field *scope, const char *value)
{
	return for_each(scope, value, take_peer);
}

static bool take_encoding(struct config_field *scope, char *item)
{
	struct listener_config *listener = scope->listener;

	if (strcasecmp(item, "hex") && !codec_known(item))
		return config_field_error(scope, "`%s` is no charset that this system knows: `iconv -l` lists them",
					  item);
	*(char **)append(&listener->encodings, &listener->encoding_count, sizeof(char *)) = xcheck(strdup(item));
	return true;
}

bool set_listener_encoding(struct config_field *scope, const char *value)
{
	return for_each(scope, value, take_encoding);
}

bool set_log(struct config_field *scope, const char *value)
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

bool set_interface(struct config_field *scope, const char *value)
{
	scope->listener->interface_line = scope->line;
	return value_interface(value, scope->listener->interface);
}

static bool take_group(struct config_field *scope, char *item)
{
	struct listener_config *listener = scope->listener;
	struct multicast_config group = {0};
	char *zone = strchr(item, '%');

	if (zone)
		*zone++ = '\0';
	if (address_from_ip(&group.group, item, 0) || !address_is_multicast(&group.group))
		return config_field_error(scope,
					  "`%s` is no multicast group: write one of 224.0.0.0/4 or ff00::/8, with "
					  "%%INTERFACE behind it where that matters",
					  item);
	if (zone && !value_interface(zone, group.interface))
		return config_field_error(scope, "`%s` is no name of an interface: `ip link` lists them", zone);
	for (size_t i = 0; i < listener->group_count; i++) {
		const struct multicast_config *other = &listener->groups[i];

		if (address_equal(&other->group, &group.group) && !strcmp(other->interface, group.interface))
			return config_field_error(scope, "`%s%s%s` is listed twice: remove one", item, zone ? "%" : "",
						  group.interface);
	}
	*(struct multicast_config *)append(&listener->groups, &listener->group_count, sizeof(group)) = group;
	return true;
}

bool set_multicast(struct config_field *scope, const char *value)
{
	scope->listener->multicast_line = scope->line;
	return for_each(scope, value, take_group);
}

bool set_refuse_source_ports(struct config_field *scope, const char *value)
{
	struct port_set set = {0};

	if (strcasecmp(value, "none") && !value_ports(value, &set))
		return false;
	scope->listener->refuse_source_ports = xcheck(malloc(sizeof(set)));
	*scope->listener->refuse_source_ports = set;
	return true;
}

/* The prefixes of a list, as they are read. */
struct prefix_list {
	struct prefix *prefixes;
	size_t count, room;
};

static bool take_prefix(struct config_field *scope, struct prefix_list *list, const char *item)
{
	char fault[PREFIX_FAULT_MAX];
	struct prefix prefix;

	if (!*item)
		return config_field_error(scope, "the list has an empty item: remove a comma");
	if (!prefix_parse(&prefix, item, fault))
		return config_field_error(scope, "`%s`: %s", item, fault);
	prefix.line = scope->line;
	if (list->count == list->room) {
		list->room = 2 * list->room + 1;
		list->prefixes = xcheck(realloc(list->prefixes, list->room * sizeof(prefix)));
	}
	list->prefixes[list->count++] = prefix;
	return true;
}

/* The list may be long: what is wrong is told in the line of the item. */
bool set_prefixes(struct config_field *scope, const char *value)
{
	struct prefix_set **set = (void *)((char *)scope->listener + scope->key->offset);
	char *copy = xcheck(strdup(value)), *cursor = copy, *item;
	struct prefix_list list = {0};
	bool good = true;

	while ((item = value_next(&cursor))) {
		scope->line = ini_entry_line(scope->entry, (size_t)(item - copy));
		good &= take_prefix(scope, &list, item);
	}
	scope->line = scope->entry->line;
	if (good)
		*set = prefix_set_create(list.prefixes, list.count);
	free(list.prefixes);
	free(copy);
	return good;
}

/* --- [peer:NAME] --- */

/* "192.168.1" and "0x7f.1" are no names, though the resolver would make addresses of them: no name ends in a number. A
 * dot may end it. */
static bool is_name(const char *host)
{
	size_t length = strlen(host), digits;
	const char *last = host;

	for (size_t i = 0; i + 1 < length; i++) {
		if (host[i] == '.')
			last = host + i + 1;
	}
	digits = strncasecmp(last, "0x", 2) ? strspn(last, "0123456789")
					    : 2 + strspn(last + 2, "0123456789abcdefABCDEF");
	return isalnum((unsigned char)*host) && last[digits] && strcmp(last + digits, ".");
}

static bool nobody(struct config_field *scope, const char *value)
{
	return config_field_error(scope, "`%s` is nobody's address: write where the peer listens", value);
}

bool set_peer_address(struct config_field *scope, const char *value)
{
	struct peer_config *peer = scope->peer;
	char host[ADDRESS_HOST_MAX], fault[ADDRESS_FAULT_MAX];
	uint16_t port;

	peer->line = scope->line;
	if (address_parse(&peer->address, value)) {
		bool split = !address_split(value, host, &port);

		if (split && !strcmp(host, "*"))
			return nobody(scope, value);
		if (!split || !is_name(host))
			return config_field_error(scope, "`%s`: %s", value, address_fault(value, true, fault));
		peer->host = xcheck(strdup(host));
		address_from_ip(&peer->address, "0.0.0.0", port);
	} else if (address_is_wildcard(&peer->address)) {
		return nobody(scope, value);
	} else if (address_is_v4_mapped(&peer->address)) {
		return mapped(scope, value);
	}
	if (peer->address.any.sa_family != AF_UNIX && !address_port(&peer->address))
		return config_field_error(scope, "`%s` has port 0, which nobody listens on: write the peer's port",
					  value);
	peer->address_text = xcheck(strdup(value));
	return true;
}

bool set_peer_encoding(struct config_field *scope, const char *value)
{
	if (!strcasecmp(value, "hex"))
		return config_field_error(scope, "`hex` shows bytes in a log: a peer needs a charset, or none");
	if (strchr(value, ','))
		return config_field_error(scope, "`%s` is a list: write one charset", value);
	if (!codec_known(value))
		return config_field_error(scope, "`%s` is no charset that this system knows: `iconv -l` lists them",
					  value);
	scope->peer->encoding = xcheck(strdup(value));
	return true;
}

static struct payload *payload_of(const struct config_field *scope)
{
	return (void *)((char *)scope->peer + scope->key->offset);
}

/* Bytes that follow each other without a blank. */
static bool take_hex(struct config_field *scope, const char *digits)
{
	struct payload *payload = payload_of(scope);
	size_t count = strlen(digits) / 2;
	const char *fault;

	payload->bytes = xcheck(realloc(payload->bytes, payload->size + count + 1));
	fault = value_hex(digits, payload->bytes + payload->size);
	if (fault)
		return config_field_error(scope, "`%s` %s", digits, fault);
	payload->size += count;
	return true;
}

static bool take_hex_words(struct config_field *scope, char *item)
{
	bool good = true;
	char *word;

	while ((word = strsep(&item, " \t")))
		good &= take_hex(scope, word);
	return good;
}

/* A comma lets the bytes go on in the next line. */
static bool set_hex(struct config_field *scope, const char *value)
{
	value += strspn(value, " \t");
	if (!*value)
		return config_field_error(scope, "no bytes follow `hex:`: write some, such as `hex: 00 ff`");
	return for_each(scope, value, take_hex_words);
}

static void set_text(struct payload *payload, const char *value)
{
	payload->size = strlen(value);
	payload->bytes = xcheck(malloc(payload->size));
	memcpy(payload->bytes, value, payload->size);
}

bool set_payload(struct config_field *scope, const char *value)
{
	struct payload *payload = payload_of(scope);

	if (strncasecmp(value, "hex:", 4))
		set_text(payload, value);
	else if (!set_hex(scope, value + 4))
		return false;
	if (payload->size > CONFIG_PAYLOAD_MAX)
		return config_field_error(scope, "%zu bytes are too many: write at most %d", payload->size,
					  CONFIG_PAYLOAD_MAX);
	return true;
}

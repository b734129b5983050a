#include "config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "config_keys.h"
#include "config_value.h"
#include "diagnostics.h"
#include "ini_file.h"

#define NAME_MAX_LENGTH 32

/* A file under way to a configuration. Listeners and peers stand in the order of their sections. */
struct loader {
	struct config *config;
	struct ini_file file;
	struct diagnostics diagnostics;
	unsigned *listener_lines, *peer_lines; /* of the sections */
	bool *has_action; /* by listener */
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* --- Sections --- */

static const char *const fixed_sections[] = {"udprelayd", "log", "datagram_log", "http"};

static bool after_prefix(const char *name, const char *prefix, const char **rest)
{
	size_t length = strlen(prefix);

	*rest = name + length;
	return !strncmp(name, prefix, length);
}

/* Returns false where there is no such section; *name is what follows "listener:" or "peer:". */
static bool section_kind(const char *section, enum section_kind *kind, const char **name)
{
	*name = NULL;
	for (unsigned i = 0; i < sizeof(fixed_sections) / sizeof(fixed_sections[0]); i++) {
		*kind = (enum section_kind)i;
		if (!strcmp(section, fixed_sections[i]))
			return true;
	}
	*kind = SECTION_LISTENER;
	if (after_prefix(section, "listener:", name))
		return true;
	*kind = SECTION_PEER;
	return after_prefix(section, "peer:", name);
}

static bool is_good_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strspn(name, letters);

	return length && length <= NAME_MAX_LENGTH && !name[length];
}

static struct listener_config listener_defaults(char *name, size_t index)
{
	return (struct listener_config){.name = name,
					.index = index,
					.errors = CODEC_BACKSLASHREPLACE,
					.log_every = 1,
					.receive_buffer = 4 << 20,
					.send_buffer = 4 << 20,
					.max_datagram = 65507,
					.loop_guard = true};
}

static void begin_section(struct loader *loader, const struct ini_section *section)
{
	struct config *config = loader->config;
	enum section_kind kind;
	const char *name;

	if (!section_kind(section->name, &kind, &name)) {
		diagnostics_add(
			&loader->diagnostics, section->line,
			"[%s]: there is no such section: write udprelayd, log, datagram_log, http, listener:NAME "
			"or peer:NAME",
			section->name);
		return;
	}
	if (name && !is_good_name(name))
		diagnostics_add(&loader->diagnostics, section->line,
				"[%s]: the name is to have 1 to %d letters, digits, '-', '_' and '.'", section->name,
				NAME_MAX_LENGTH);
	if (kind == SECTION_LISTENER) {
		size_t i = config->listener_count++;

		config->listeners[i] = listener_defaults(must(strdup(name)), i);
		loader->listener_lines[i] = section->line;
	} else if (kind == SECTION_PEER) {
		size_t i = config->peer_count++;

		config->peers[i] =
			(struct peer_config){.name = must(strdup(name)), .index = i, .resolve_interval_ms = 30 * 1000};
		loader->peer_lines[i] = section->line;
	}
}

static void begin_sections(struct loader *loader)
{
	size_t count = loader->file.section_count + 1;
	struct config *config = loader->config;

	config->listeners = must(calloc(count, sizeof(*config->listeners)));
	config->peers = must(calloc(count, sizeof(*config->peers)));
	loader->listener_lines = must(calloc(count, sizeof(unsigned)));
	loader->peer_lines = must(calloc(count, sizeof(unsigned)));
	loader->has_action = must(calloc(count, sizeof(bool)));
	for (size_t i = 0; i < loader->file.section_count; i++)
		begin_section(loader, &loader->file.sections[i]);
}

/* --- Entries --- */

static void tell_unknown_key(struct scope *scope, enum section_kind kind)
{
	const struct config_key *nearest = config_key_nearest(kind, scope->key);

	if (nearest)
		scope_wrong(scope, "there is no such key: did you mean `%s`?", nearest->name);
	else
		scope_wrong(scope, "there is no such key in this section: remove it");
}

static void set_entry(struct scope *scope, enum section_kind kind, const char *value)
{
	const struct config_key *key = config_key_find(kind, scope->key);

	if (!key) {
		tell_unknown_key(scope, kind);
		return;
	}
	if (!key->set(scope, value)) {
		if (!scope->told)
			scope_wrong(scope, "`%s` is wrong: write %s", value, key->expected);
		return;
	}
	if (key->later && !(key->nothing && !strcasecmp(key->nothing, value)))
		scope_wrong(scope, "not built yet: this version cannot do it; remove the line");
}

/* The last of this name: a repeated section was refused before it got here. */
static size_t index_of_section(const struct loader *loader, size_t section, enum section_kind kind)
{
	size_t index = 0;

	for (size_t i = 0; i < section; i++) {
		enum section_kind other;
		const char *name;

		index += section_kind(loader->file.sections[i].name, &other, &name) && other == kind;
	}
	return index;
}

static void read_entry(struct loader *loader, const struct ini_entry *entry)
{
	struct config *config = loader->config;
	struct scope scope = {.config = config,
			      .diagnostics = &loader->diagnostics,
			      .section = loader->file.sections[entry->section].name,
			      .key = entry->key,
			      .line = entry->line};
	enum section_kind kind;
	const char *name;
	size_t index;

	if (!section_kind(scope.section, &kind, &name))
		return;
	index = index_of_section(loader, entry->section, kind);
	if (kind == SECTION_LISTENER) {
		scope.listener = &config->listeners[index];
		loader->has_action[index] |= !strcmp(entry->key, "action");
	} else if (kind == SECTION_PEER) {
		scope.peer = &config->peers[index];
	}
	set_entry(&scope, kind, entry->value);
}

/* --- What must hold between keys --- */

/* The line of a key, or of the section where the key is not written. */
static unsigned line_of(const struct loader *loader, const char *section, const char *key)
{
	unsigned line = 0;

	for (size_t i = 0; i < loader->file.section_count; i++) {
		if (!strcmp(loader->file.sections[i].name, section))
			line = loader->file.sections[i].line;
	}
	for (size_t i = 0; i < loader->file.entry_count; i++) {
		const struct ini_entry *entry = &loader->file.entries[i];

		if (!strcmp(loader->file.sections[entry->section].name, section) && !strcmp(entry->key, key))
			line = entry->line;
	}
	return line;
}

static void __attribute__((format(printf, 4, 5)))
wrong(struct loader *loader, const char *section, const char *key, const char *format, ...)
{
	struct scope scope = {.diagnostics = &loader->diagnostics,
			      .section = section,
			      .key = key,
			      .line = line_of(loader, section, key)};
	va_list arguments;
	char *text;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		abort();
	va_end(arguments);
	scope_wrong(&scope, "%s", text);
	free(text);
}

static char *section_of(const char *kind, const char *name, char text[64])
{
	snprintf(text, 64, "%s:%s", kind, name);
	return text;
}

static bool has_family(const struct listener_config *listener, int family)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		const struct bind_config *bind = &listener->binds[i];

		if (bind->address.any.sa_family == family || (bind->any && family == AF_INET6))
			return true;
	}
	return false;
}

static void check_network_keys(struct loader *loader, const struct listener_config *listener, const char *section)
{
	bool networked = has_family(listener, AF_INET) || has_family(listener, AF_INET6);

	if (listener->interface[0] && !networked)
		wrong(loader, section, "interface", "unix: addresses have no interface: remove it");
	for (size_t i = 0; i < listener->group_count; i++) {
		int family = listener->groups[i].group.any.sa_family;

		if (!has_family(listener, family))
			wrong(loader, section, "multicast",
			      "a group is %s, and no address of the listener is: add `%s`",
			      family == AF_INET ? "IPv4" : "IPv6", family == AF_INET ? "0.0.0.0:PORT" : "[::]:PORT");
	}
}

static void check_peers(struct loader *loader, const struct listener_config *listener, const char *section)
{
	bool hex = false;

	if (listener->action == ACTION_FORWARD && !listener->peer_count && !line_of(loader, section, "peers"))
		return;
	for (size_t i = 0; i < listener->encoding_count; i++)
		hex |= !strcasecmp(listener->encodings[i], "hex");
	for (size_t i = 0; hex && i < listener->peer_count; i++) {
		if (listener->peers[i]->encoding)
			wrong(loader, section, "encoding",
			      "`hex` is no charset that peer `%s` could get %s from: remove it from the list",
			      listener->peers[i]->name, listener->peers[i]->encoding);
	}
}

static bool was_written(const struct loader *loader, const char *section, const char *key)
{
	for (size_t i = 0; i < loader->file.entry_count; i++) {
		const struct ini_entry *entry = &loader->file.entries[i];

		if (!strcmp(loader->file.sections[entry->section].name, section) && !strcmp(entry->key, key))
			return true;
	}
	return false;
}

static void check_listener(struct loader *loader, struct listener_config *listener)
{
	char section[64];

	section_of("listener", listener->name, section);
	if (!was_written(loader, section, "address"))
		wrong(loader, section, "address", "missing: write where to listen, such as `address = *:7788`");
	if (!loader->has_action[listener->index])
		wrong(loader, section, "action", "missing: write what to do, sink, echo or forward");
	else if (listener->action == ACTION_FORWARD && !was_written(loader, section, "peers"))
		wrong(loader, section, "peers", "missing: forward needs to know to whom");
	if (listener->action != ACTION_FORWARD && listener->peer_count)
		wrong(loader, section, "peers", "only forward sends to peers: remove it, or write `action = forward`");
	check_peers(loader, listener, section);
	check_network_keys(loader, listener, section);
	if (!listener->encoding_count) {
		listener->encodings = must(calloc(1, sizeof(char *)));
		listener->encodings[listener->encoding_count++] = must(strdup("utf-8"));
	}
}

/* Whether both would be bound to the same address and port. */
static bool binds_clash(const struct bind_config *a, const struct bind_config *b)
{
	uint16_t port = address_port(&a->address);

	if (a->address.any.sa_family == AF_UNIX || b->address.any.sa_family == AF_UNIX)
		return address_equal(&a->address, &b->address);
	if (!port || port != address_port(&b->address))
		return false;
	if (a->any || b->any)
		return address_is_wildcard(&a->address) && address_is_wildcard(&b->address);
	return address_equal(&a->address, &b->address);
}

static void check_clashes(struct loader *loader, const struct listener_config *listener, size_t i)
{
	const struct bind_config *bind = &listener->binds[i];
	char section[64];

	for (size_t l = 0; l <= listener->index; l++) {
		const struct listener_config *other = &loader->config->listeners[l];
		size_t count = other == listener ? i : other->bind_count;

		for (size_t j = 0; j < count; j++) {
			if (!binds_clash(bind, &other->binds[j]))
				continue;
			wrong(loader, section_of("listener", listener->name, section), "address",
			      "`%s` is taken by listener `%s` (`%s`): choose another address", bind->text, other->name,
			      other->binds[j].text);
			return;
		}
	}
}

static bool is_loopback(const struct address *address)
{
	if (address->any.sa_family == AF_INET)
		return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
	return address->any.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
}

/* A datagram to this peer would come back to the listener. */
static bool leads_to(const struct peer_config *peer, const struct bind_config *bind)
{
	const struct address *to = &peer->address;

	if (peer->host)
		return false;
	if (address_equal(to, &bind->address))
		return true;
	return is_loopback(to) && address_port(to) == address_port(&bind->address) &&
	       address_is_wildcard(&bind->address) && (bind->any || to->any.sa_family == bind->address.any.sa_family);
}

static void check_peer(struct loader *loader, const struct peer_config *peer)
{
	char section[64];

	section_of("peer", peer->name, section);
	if (!was_written(loader, section, "address"))
		wrong(loader, section, "address", "missing: write where to send to, such as `address = 192.0.2.1:514`");
	for (size_t l = 0; peer->address_text && l < loader->config->listener_count; l++) {
		const struct listener_config *listener = &loader->config->listeners[l];

		for (size_t i = 0; i < listener->bind_count; i++) {
			if (leads_to(peer, &listener->binds[i]))
				wrong(loader, section, "address",
				      "`%s` is our own listener `%s`: datagrams would go round in circles; write "
				      "another program's address",
				      peer->address_text, listener->name);
		}
	}
}

/* Ports below 1024 are servers', who might answer an echo; and so are other echo services. */
static void refuse_default_ports(struct config *config, struct listener_config *listener)
{
	struct port_set *set;

	if (listener->refuse_source_ports || listener->action != ACTION_ECHO)
		return;
	set = listener->refuse_source_ports = must(calloc(1, sizeof(*set)));
	memset(set->bits, 0xff, 1024 / 8);
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *other = &config->listeners[l];

		for (size_t i = 0; other->action == ACTION_ECHO && i < other->bind_count; i++) {
			uint16_t port = address_port(&other->binds[i].address);
			set->bits[port / 64] |= UINT64_C(1) << (port % 64);
		}
	}
}

static void check_whole(struct loader *loader)
{
	struct config *config = loader->config;

	if (!config->listener_count)
		diagnostics_add(&loader->diagnostics, 0,
				"there is no listener: add a section [listener:NAME] with an address and an action");
	for (size_t i = 0; i < config->listener_count; i++) {
		struct listener_config *listener = &config->listeners[i];

		check_listener(loader, listener);
		for (size_t j = 0; j < listener->bind_count; j++)
			check_clashes(loader, listener, j);
		refuse_default_ports(config, listener);
	}
	for (size_t i = 0; i < config->peer_count; i++)
		check_peer(loader, &config->peers[i]);
}

/* --- Loading --- */

static struct config *config_create(const char *path)
{
	struct config *config = must(calloc(1, sizeof(*config)));

	config->path = must(strdup(path));
	config->log_level = LOG_LEVEL_INFO;
	config->datagram_log.target = LOG_TARGET_STDERR;
	config->datagram_log.payload = 256;
	config->datagram_log.queue = 16384;
	return config;
}

struct config *config_load_stream(const char *path, FILE *in, FILE *errors)
{
	struct loader loader = {.config = config_create(path), .diagnostics = {.path = path}};
	struct config *config = loader.config;

	ini_file_read(&loader.file, in, &loader.diagnostics);
	if (ferror(in))
		diagnostics_add(&loader.diagnostics, 0, "reading failed: %s", strerror(errno));
	begin_sections(&loader);
	for (size_t i = 0; i < loader.file.entry_count; i++)
		read_entry(&loader, &loader.file.entries[i]);
	check_whole(&loader);

	diagnostics_write(&loader.diagnostics, errors);
	if (loader.diagnostics.count) {
		config_destroy(config);
		config = NULL;
	}
	diagnostics_finish(&loader.diagnostics);
	ini_file_finish(&loader.file);
	free(loader.listener_lines);
	free(loader.peer_lines);
	free(loader.has_action);
	return config;
}

struct config *config_load(const char *path, FILE *errors)
{
	FILE *in = fopen(path, "re");
	struct config *config = NULL;
	struct stat status;

	if (!in)
		fprintf(errors, "%s: cannot be opened: %s\n", path, strerror(errno));
	else if (!fstat(fileno(in), &status) && S_ISDIR(status.st_mode))
		fprintf(errors, "%s: is a directory: name the file in it, such as %s/udprelayd.ini\n", path, path);
	else
		config = config_load_stream(path, in, errors);
	if (in)
		fclose(in);
	return config;
}

static void listener_finish(struct listener_config *listener)
{
	for (size_t i = 0; i < listener->bind_count; i++)
		free(listener->binds[i].text);
	for (size_t i = 0; i < listener->encoding_count; i++)
		free(listener->encodings[i]);
	free(listener->name);
	free(listener->binds);
	free(listener->peers);
	free(listener->encodings);
	free(listener->groups);
	free(listener->refuse_source_ports);
}

void config_destroy(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->listener_count; i++)
		listener_finish(&config->listeners[i]);
	for (size_t i = 0; i < config->peer_count; i++) {
		free(config->peers[i].name);
		free(config->peers[i].address_text);
		free(config->peers[i].host);
		free(config->peers[i].encoding);
	}
	free(config->listeners);
	free(config->peers);
	free(config->datagram_log.path);
	free(config->path);
	free(config);
}

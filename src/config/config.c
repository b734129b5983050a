#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/keys.h"
#include "config/validate.h"
#include "config/values.h"

#define NAME_MAX_LENGTH 32

/* A file under way to a configuration. Listeners and peers stand in the order of their sections. */
struct loader {
	struct config *config;
	struct ini_file file;
	struct config_place *places; /* one for each section of the file */
	struct diagnostics diagnostics;
};

/* --- Sections --- */

/* By section_kind. */
static const char *const sections[] = {"udprelayd", "log", "datagram_log", "http", "listener", "peer"};

#define SECTION_COUNT (sizeof(sections) / sizeof(sections[0]))

static bool is_named(unsigned kind)
{
	return kind == SECTION_LISTENER || kind == SECTION_PEER;
}

/* The name of "listener:NAME" and "peer:NAME", NULL in other sections. */
static const char *find_name(const char *section)
{
	const char *colon = strchr(section, ':');

	return colon ? colon + 1 : NULL;
}

/* Letters of the section before its name. */
static size_t kind_length(const char *section)
{
	return strcspn(section, ":");
}

static bool find_kind(const char *section, enum section_kind *kind)
{
	size_t length = kind_length(section);

	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		if (strncmp(section, sections[i], length) || sections[i][length] || is_named(i) != !!section[length])
			continue;
		*kind = (enum section_kind)i;
		return true;
	}
	return false;
}

static bool is_good_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strspn(name, letters);

	return length && length <= NAME_MAX_LENGTH && !name[length];
}

static void tell_unknown_section(struct loader *loader, const struct ini_section *section)
{
	char *kind = xcheck(strndup(section->name, kind_length(section->name)));
	unsigned nearest = 0;

	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		if (value_distance(kind, sections[i]) < value_distance(kind, sections[nearest]))
			nearest = i;
	}
	if (value_distance(kind, sections[nearest]) <= (strlen(sections[nearest]) + 1) / 3)
		diagnostics_add(&loader->diagnostics, section->line, "[%s]: there is no such section: did you mean %s?",
				section->name, config_section_text((enum section_kind)nearest));
	else
		diagnostics_add(&loader->diagnostics, section->line,
				"[%s]: there is no such section: write udprelayd, log, datagram_log, http, "
				"listener:NAME or peer:NAME",
				section->name);
	free(kind);
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
					.loop_guard = true,
					.ring_guard = true,
					.balance = BALANCE_HASH,
					.idle_timeout_ms = 60 * 1000,
					.max_sessions = 16384,
					.responses = RESPONSES_UNLIMITED};
}

static struct peer_config peer_defaults(char *name, size_t index)
{
	return (struct peer_config){.name = name,
				    .index = index,
				    .resolve_interval_ms = 30 * 1000,
				    .weight = 1,
				    .max_fails = 3,
				    .fail_timeout_ms = 10 * 1000,
				    .check = {.interval_ms = 5 * 1000, .timeout_ms = 2 * 1000, .rise = 2, .fall = 3}};
}

static void add_named(struct config *config, struct config_place *place, const char *name, unsigned line)
{
	if (place->kind == SECTION_LISTENER) {
		place->index = config->listener_count++;
		config->listeners[place->index] = listener_defaults(xcheck(strdup(name)), place->index);
		config->listeners[place->index].lines.line = line;
	} else {
		place->index = config->peer_count++;
		config->peers[place->index] = peer_defaults(xcheck(strdup(name)), place->index);
		config->peers[place->index].lines.line = line;
	}
}

static void begin_section(struct loader *loader, const struct ini_section *section, struct config_place *place)
{
	const char *name = find_name(section->name);

	place->known = find_kind(section->name, &place->kind);
	if (!place->known) {
		tell_unknown_section(loader, section);
		return;
	}
	if (!name)
		return;
	if (!is_good_name(name))
		diagnostics_add(&loader->diagnostics, section->line,
				"[%s]: the name is to have 1 to %d letters, digits, '-', '_' and '.'", section->name,
				NAME_MAX_LENGTH);
	add_named(loader->config, place, name, section->line);
}

static void begin_sections(struct loader *loader)
{
	size_t count = loader->file.section_count + 1;

	loader->config->listeners = xcheck(calloc(count, sizeof(*loader->config->listeners)));
	loader->config->peers = xcheck(calloc(count, sizeof(*loader->config->peers)));
	loader->places = xcheck(calloc(count, sizeof(*loader->places)));
	for (size_t i = 0; i < loader->file.section_count; i++)
		begin_section(loader, &loader->file.sections[i], &loader->places[i]);
}

/* --- Entries --- */

/* The table of all keys has names that stay. */
static void keep_line(struct section_lines *lines, const struct config_field *scope)
{
	lines->keys = xcheck(realloc(lines->keys, (lines->count + 1) * sizeof(*lines->keys)));
	lines->keys[lines->count++] = (struct key_line){scope->key->name, scope->entry->line};
}

size_t config_bind_addresses(const struct bind_config *bind, struct address addresses[BIND_ADDRESSES_MAX])
{
	if (bind->fd_name)
		return 0;
	addresses[0] = bind->address;
	if (!bind->any)
		return 1;
	address_from_ip(&addresses[1], "::", address_port(&bind->address));
	return 2;
}

unsigned config_line(const struct section_lines *lines, const char *key)
{
	for (size_t i = 0; i < lines->count; i++) {
		if (!strcmp(lines->keys[i].key, key))
			return lines->keys[i].line;
	}
	return 0;
}

static void take_entry(struct config_field *scope, enum section_kind kind, struct ini_entry *entry)
{
	if (!config_key_set(scope, kind, entry->value)) {
		free(entry->value);
		entry->value = NULL;
	} else if (scope->listener) {
		keep_line(&scope->listener->lines, scope);
	} else if (scope->peer) {
		keep_line(&scope->peer->lines, scope);
	}
}

static void read_entry(struct loader *loader, size_t i)
{
	struct ini_entry *entry = &loader->file.entries[i];
	const struct config_place *place = &loader->places[entry->section];
	struct config *config = loader->config;
	struct config_field scope = {.config = config,
				     .diagnostics = &loader->diagnostics,
				     .section = loader->file.sections[entry->section].name,
				     .name = entry->key,
				     .line = entry->line,
				     .entry = entry,
				     .colon = entry->colon,
				     .follows = i && entry[-1].section == entry->section};

	if (!place->known || !entry->value)
		return;
	if (place->kind == SECTION_LISTENER)
		scope.listener = &config->listeners[place->index];
	else if (place->kind == SECTION_PEER)
		scope.peer = &config->peers[place->index];
	take_entry(&scope, place->kind, entry);
}

/* --- Defaults that rest on other keys --- */

/* Ports below 1024 are servers', who might answer an echo; and so are other echo services. */
static void refuse_default_ports(struct config *config, struct listener_config *listener)
{
	struct port_set *set;

	if (listener->refuse_source_ports || !action_traits(listener->action)->reflects)
		return;
	set = listener->refuse_source_ports = xcheck(calloc(1, sizeof(*set)));
	listener->refuses_default_ports = true;
	for (uint16_t port = 0; port < 1024; port++)
		port_set_add(set, port);
	for (size_t l = 0; l < config->listener_count; l++) {
		const struct listener_config *other = &config->listeners[l];

		for (size_t i = 0; action_traits(other->action)->reflects && i < other->bind_count; i++)
			port_set_add(set, address_port(&other->binds[i].address));
	}
}

static void complete(struct config *config)
{
	for (size_t i = 0; i < config->listener_count; i++) {
		struct listener_config *listener = &config->listeners[i];

		if (!listener->encoding_count) {
			listener->encodings = xcheck(calloc(1, sizeof(char *)));
			listener->encodings[listener->encoding_count++] = xcheck(strdup("utf-8"));
		}
		refuse_default_ports(config, listener);
	}
}

/* --- Loading --- */

static struct config *config_create(const char *path)
{
	struct config *config = xcheck(calloc(1, sizeof(*config)));

	config->path = xcheck(strdup(path));
	config->log_level = LOG_LEVEL_INFO;
	config->datagram_log.target = LOG_TARGET_STDERR;
	config->datagram_log.payload = 256;
	config->datagram_log.queue = 16384;
	return config;
}

static void read_all(struct loader *loader, FILE *in)
{
	if (!ini_file_read(&loader->file, in, &loader->diagnostics))
		return;
	begin_sections(loader);
	for (size_t i = 0; i < loader->file.entry_count; i++)
		read_entry(loader, i);
	if (!loader->config->listener_count)
		diagnostics_add(&loader->diagnostics, 0,
				"there is no listener: add a section [listener:NAME] with an address and an action");
	config_validate(loader->config, &loader->file, loader->places, &loader->diagnostics);
}

struct config *config_load_stream(const char *path, FILE *in, FILE *errors)
{
	struct loader loader = {.config = config_create(path), .diagnostics = {.path = path}};
	struct config *config = loader.config;

	read_all(&loader, in);
	diagnostics_write(&loader.diagnostics, errors);
	if (loader.diagnostics.count) {
		config_destroy(config);
		config = NULL;
	} else {
		complete(config);
	}
	diagnostics_finish(&loader.diagnostics);
	ini_file_finish(&loader.file);
	free(loader.places);
	return config;
}

#define NOT_REGULAR "is a device, a pipe or a socket: name a regular file"

static void __attribute__((format(printf, 3, 4))) tell(FILE *errors, const char *path, const char *format, ...)
{
	struct diagnostics diagnostics = {.path = path};
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(&diagnostics, 0, NULL, NULL, format, arguments);
	va_end(arguments);
	diagnostics_write(&diagnostics, errors);
	diagnostics_finish(&diagnostics);
}

/* ENXIO is that of a socket, or of a device without a driver. */
static void tell_unopened(const char *path, int error, FILE *errors)
{
	if (error == ENXIO)
		tell(errors, path, NOT_REGULAR);
	else
		tell(errors, path, "cannot be opened: %s: %s", strerror(error),
		     error == ENOENT ? "write it, or name another file" : "make it a file that this user may read");
}

/* Whether it is a regular file; what else there is may have no end, or never begin. */
static bool check_kind(const char *path, int fd, FILE *errors)
{
	struct stat status;

	if (fstat(fd, &status)) {
		tell_unopened(path, errno, errors);
		return false;
	}
	if (S_ISDIR(status.st_mode))
		tell(errors, path, "is a directory: name the file in it, such as %s/udprelayd.ini", path);
	else if (!S_ISREG(status.st_mode))
		tell(errors, path, NOT_REGULAR);
	return S_ISREG(status.st_mode);
}

struct config *config_load(const char *path, FILE *errors)
{
	struct config *config;
	FILE *in;
	int fd;

	if (!*path) {
		fputs("\"\": is no name of a file: write one, such as udprelayd.ini\n", errors);
		return NULL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		tell_unopened(path, errno, errors);
		return NULL;
	}
	if (!check_kind(path, fd, errors)) {
		close(fd);
		return NULL;
	}
	in = xcheck(fdopen(fd, "r"));
	config = config_load_stream(path, in, errors);
	fclose(in);
	return config;
}

static void listener_finish(struct listener_config *listener)
{
	for (size_t i = 0; i < listener->bind_count; i++) {
		free(listener->binds[i].text);
		free(listener->binds[i].fd_name);
	}
	for (size_t i = 0; i < listener->encoding_count; i++)
		free(listener->encodings[i]);
	free(listener->name);
	free(listener->lines.keys);
	free(listener->binds);
	free(listener->peers);
	free(listener->encodings);
	free(listener->groups);
	free(listener->refuse_source_ports);
	prefix_set_destroy(listener->allow);
	prefix_set_destroy(listener->deny);
}

static void peer_finish(struct peer_config *peer)
{
	free(peer->name);
	free(peer->lines.keys);
	free(peer->address_text);
	free(peer->host);
	free(peer->encoding);
	free(peer->check.send.bytes);
	free(peer->check.expect.bytes);
}

size_t config_find_listener(const struct config *config, const char *name)
{
	size_t i = 0;

	while (i < config->listener_count && strcmp(config->listeners[i].name, name) != 0)
		i++;
	return i;
}

size_t config_find_peer(const struct config *config, const char *name)
{
	size_t i = 0;

	while (i < config->peer_count && strcmp(config->peers[i].name, name) != 0)
		i++;
	return i;
}

void config_destroy(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->listener_count; i++)
		listener_finish(&config->listeners[i]);
	for (size_t i = 0; i < config->peer_count; i++)
		peer_finish(&config->peers[i]);
	free(config->listeners);
	free(config->peers);
	free(config->user.name);
	free(config->datagram_log.path);
	free(config->http.text);
	free(config->path);
	free(config);
}

uint64_t config_max_sessions(const struct config *config)
{
	uint64_t sessions = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (action_traits(config->listeners[i].action)->has_sessions)
			sessions += config->listeners[i].max_sessions;
	}
	return sessions;
}

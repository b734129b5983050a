/* Loads a configuration in four steps: ini_file.c reads the file into sections and entries; this file creates a
 * listener or peer for each section; keys.c and the setters store the value of each entry; validate.c checks that the
 * values fit together. All steps add their errors to one struct diagnostics, and continue after an error. defaults.c
 * has the default values. */
#include "config/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/xalloc.h"
#include "config/defaults.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/keys.h"
#include "config/validate.h"
#include "config/values.h"

#define SECTION_NAME_MAX 32

/* The state while one file is loaded. */
struct loader {
	struct config *config;
	struct ini_file file;
	struct config_section *sections; /* one for each section of the file, in the same order */
	struct diagnostics diagnostics, warnings;
	bool means_listener; /* an unknown section is similar to a listener */
};

/* --- Sections --- */

/* Indexed by enum section_kind. */
static const char *const section_names[] = {"udprelayd", "log", "datagram_log", "http", "listener", "peer"};

#define SECTION_COUNT (sizeof(section_names) / sizeof(section_names[0]))

static bool is_named_kind(unsigned kind)
{
	return kind == SECTION_LISTENER || kind == SECTION_PEER;
}

/* Returns NAME of "listener:NAME" or "peer:NAME", or NULL if the section has no colon. */
static const char *find_section_name(const char *section)
{
	const char *colon = strchr(section, ':');

	return colon ? colon + 1 : NULL;
}

/* Returns the number of bytes before the colon, or of the whole text if it has none. */
static size_t kind_length(const char *section)
{
	return strcspn(section, ":");
}

static bool find_kind(const char *section, enum section_kind *kind)
{
	size_t length = kind_length(section);

	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		bool same_kind = !strncmp(section, section_names[i], length) && !section_names[i][length];

		if (same_kind && is_named_kind(i) == !!section[length]) {
			*kind = (enum section_kind)i;
			return true;
		}
	}
	return false;
}

static bool is_valid_name(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
	size_t length = strspn(name, letters);

	return length && length <= SECTION_NAME_MAX && !name[length];
}

static void report_unknown_section(struct loader *loader, const struct ini_section *section)
{
	char *kind = xcheck(strndup(section->name, kind_length(section->name)));
	const char *name = find_section_name(section->name);
	unsigned nearest = 0;

	for (unsigned i = 0; i < SECTION_COUNT; i++) {
		if (value_distance(kind, section_names[i]) < value_distance(kind, section_names[nearest]))
			nearest = i;
	}
	if (value_distance(kind, section_names[nearest]) > (strlen(section_names[nearest]) + 1) / 3) {
		diagnostics_add(&loader->diagnostics, section->line,
				"[%s]: unknown section: write [udprelayd], [log], [datagram_log], [http], "
				"[listener:NAME] or [peer:NAME], or remove the section",
				section->name);
	} else if (is_named_kind(nearest)) {
		diagnostics_add(&loader->diagnostics, section->line, "[%s]: unknown section: did you mean `[%s:%s]`?",
				section->name, section_names[nearest], name && *name ? name : "NAME");
		loader->means_listener |= nearest == SECTION_LISTENER;
	} else {
		diagnostics_add(&loader->diagnostics, section->line, "[%s]: unknown section: did you mean `[%s]`?",
				section->name, section_names[nearest]);
	}
	free(kind);
}

static void create_named_section(struct config *config, struct config_section *section, const char *name, unsigned line)
{
	if (section->kind == SECTION_LISTENER) {
		section->index = config->listener_count++;
		config->listeners[section->index] = config_default_listener(xcheck(strdup(name)), section->index);
		config->listeners[section->index].lines.line = line;
	} else {
		section->index = config->peer_count++;
		config->peers[section->index] = config_default_peer(xcheck(strdup(name)), section->index);
		config->peers[section->index].lines.line = line;
	}
}

/* Creates the listener or peer even if its name is invalid, so that its keys are checked too. */
static void create_section(struct loader *loader, const struct ini_section *section, struct config_section *result)
{
	const char *name = find_section_name(section->name);

	result->known = find_kind(section->name, &result->kind);
	if (!result->known) {
		report_unknown_section(loader, section);
		return;
	}
	if (!name)
		return;
	if (!is_valid_name(name))
		diagnostics_add(&loader->diagnostics, section->line,
				"[%s]: not a valid name: write 1 to %d letters, digits, `-`, `_` and `.`",
				section->name, SECTION_NAME_MAX);
	create_named_section(loader->config, result, name, section->line);
}

/* Returns the number of items in all lists of peers. */
static size_t count_listed_peers(const struct ini_file *file)
{
	size_t count = 0;

	for (size_t i = 0; i < file->entry_count; i++) {
		const char *item = strcmp(file->entries[i].key, "peers") ? NULL : file->entries[i].value;

		for (; item && *item; item = strchr(item + 1, ','))
			count++;
	}
	return count;
}

/* Reserves room for all listeners and peers, because setters keep pointers to peers. A list may add a peer for each
 * item. */
static void create_sections(struct loader *loader)
{
	size_t count = loader->file.section_count + 1;
	size_t peer_count = count + count_listed_peers(&loader->file);

	loader->config->listeners = xcheck(calloc(count, sizeof(*loader->config->listeners)));
	loader->config->peers = xcheck(calloc(peer_count, sizeof(*loader->config->peers)));
	loader->sections = xcheck(calloc(count, sizeof(*loader->sections)));
	for (size_t i = 0; i < loader->file.section_count; i++)
		create_section(loader, &loader->file.sections[i], &loader->sections[i]);
}

/* --- Entries --- */

static void record_key_line(struct section_lines *lines, const struct config_field *field)
{
	lines->keys = xgrow(lines->keys, lines->count, sizeof(*lines->keys));
	lines->keys[lines->count++] = (struct key_line){field->key->name, field->entry->line};
}

/* The value of an entry that is rejected becomes NULL, so that config_validate() skips it. */
static void set_entry(struct config_field *field, enum section_kind kind, struct ini_entry *entry)
{
	if (!config_key_set(field, kind, entry->value)) {
		free(entry->value);
		entry->value = NULL;
	} else if (field->listener) {
		record_key_line(&field->listener->lines, field);
	} else if (field->peer) {
		record_key_line(&field->peer->lines, field);
	}
}

static void load_entry(struct loader *loader, size_t i)
{
	struct ini_entry *entry = &loader->file.entries[i];
	const struct config_section *section = &loader->sections[entry->section];
	struct config *config = loader->config;
	struct config_field field = {.config = config,
				     .diagnostics = &loader->diagnostics,
				     .section = loader->file.sections[entry->section].name,
				     .name = entry->key,
				     .line = entry->line,
				     .entry = entry,
				     .colon = entry->colon,
				     .follows_entry = i && entry[-1].section == entry->section};

	if (!section->known || !entry->value)
		return;
	if (section->kind == SECTION_LISTENER)
		field.listener = &config->listeners[section->index];
	else if (section->kind == SECTION_PEER)
		field.peer = &config->peers[section->index];
	set_entry(&field, section->kind, entry);
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

static void load_file(struct loader *loader, FILE *in)
{
	if (!ini_file_read(&loader->file, in, &loader->diagnostics))
		return;
	create_sections(loader);
	for (size_t i = 0; i < loader->file.entry_count; i++)
		load_entry(loader, i);
	if (!loader->config->listener_count && !loader->means_listener)
		diagnostics_add(
			&loader->diagnostics, 0,
			"no listener is configured: add a section [listener:NAME] with an address and an action");
	config_validate(loader->config, &loader->file, loader->sections, &loader->diagnostics, &loader->warnings);
}

static char *format_warnings(struct diagnostics *warnings)
{
	char *text;
	size_t size;
	FILE *out = xcheck(open_memstream(&text, &size));

	diagnostics_write(warnings, out);
	fclose(out);
	return xcheck(text);
}

struct config *config_load_stream(const char *path, FILE *in, FILE *errors)
{
	struct loader loader = {
		.config = config_create(path), .diagnostics = {.path = path}, .warnings = {.path = path}};
	struct config *config = loader.config;

	load_file(&loader, in);
	diagnostics_write(&loader.diagnostics, errors);
	if (loader.diagnostics.count) {
		config_destroy(config);
		config = NULL;
	} else {
		config_apply_defaults(config);
		config->warnings = format_warnings(&loader.warnings);
	}
	diagnostics_finish(&loader.diagnostics);
	diagnostics_finish(&loader.warnings);
	ini_file_finish(&loader.file);
	free(loader.sections);
	return config;
}

#define NOT_REGULAR "is a device, a pipe or a socket: name a regular file"

static void config_report_file_error(FILE *errors, const char *path, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Reports an error that prevents reading the file at all. */
static void config_report_file_error(FILE *errors, const char *path, const char *format, ...)
{
	struct diagnostics diagnostics = {.path = path};
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(&diagnostics, 0, NULL, NULL, format, arguments);
	va_end(arguments);
	diagnostics_write(&diagnostics, errors);
	diagnostics_finish(&diagnostics);
}

/* open(2) fails with ENXIO for a socket and for a device without a driver. */
static void config_report_open_error(const char *path, int error, FILE *errors)
{
	if (error == ENXIO)
		config_report_file_error(errors, path, NOT_REGULAR);
	else
		config_report_file_error(errors, path, "cannot be opened: %s: %s", strerror(error),
					 error == ENOENT ? "create it, or name another file"
							 : "make it a file that this user may read");
}

/* Reports an error and returns false if the file is not a regular one: a device may be endless, and a pipe may have no
 * writer. */
static bool is_regular_file(const char *path, int fd, FILE *errors)
{
	struct stat status;

	if (fstat(fd, &status)) {
		config_report_open_error(path, errno, errors);
		return false;
	}
	if (S_ISDIR(status.st_mode))
		config_report_file_error(errors, path, "is a directory: name the file in it, such as %s/udprelayd.ini",
					 path);
	else if (!S_ISREG(status.st_mode))
		config_report_file_error(errors, path, NOT_REGULAR);
	return S_ISREG(status.st_mode);
}

struct config *config_load(const char *path, FILE *errors)
{
	struct config *config;
	FILE *in;
	int fd;

	if (!*path) {
		fputs("\"\": the file name is empty: write one, such as udprelayd.ini\n", errors);
		return NULL;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		config_report_open_error(path, errno, errors);
		return NULL;
	}
	if (!is_regular_file(path, fd, errors)) {
		close(fd);
		return NULL;
	}
	in = xcheck(fdopen(fd, "r"));
	config = config_load_stream(path, in, errors);
	fclose(in);
	return config;
}

/* --- Lookups --- */

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

static size_t host_name_length(const char *name)
{
	size_t length = strlen(name);

	return length && name[length - 1] == '.' ? length - 1 : length;
}

bool peer_config_same_name(const struct peer_config *a, const struct peer_config *b)
{
	size_t length = a->host ? host_name_length(a->host) : 0;

	return length && b->host && length == host_name_length(b->host) && !strncasecmp(a->host, b->host, length) &&
	       address_port(&a->address) == address_port(&b->address);
}

uint64_t config_max_sessions(const struct config *config)
{
	uint64_t sessions = 0;

	for (size_t i = 0; i < config->listener_count; i++) {
		if (action_traits[config->listeners[i].action].has_sessions)
			sessions += config->listeners[i].max_sessions;
	}
	return sessions;
}

/* --- Destruction --- */

static void listener_config_finish(struct listener_config *listener)
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

static void peer_config_finish(struct peer_config *peer)
{
	free(peer->name);
	free(peer->lines.keys);
	free(peer->address_text);
	free(peer->host);
	free(peer->encoding);
	free(peer->check.send.bytes);
	free(peer->check.expect.bytes);
}

void config_destroy(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->listener_count; i++)
		listener_config_finish(&config->listeners[i]);
	for (size_t i = 0; i < config->peer_count; i++)
		peer_config_finish(&config->peers[i]);
	free(config->listeners);
	free(config->peers);
	free(config->user.name);
	free(config->datagram_log.path);
	for (size_t i = 0; i < config->http.host_count; i++)
		free(config->http.hosts[i]);
	free(config->http.hosts);
	free(config->http.text);
	free(config->warnings);
	free(config->path);
	free(config);
}

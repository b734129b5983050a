#include "ini_file.h"

#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t\r\n"

struct reader {
	struct ini_file *file;
	struct diagnostics *diagnostics;
	FILE *in;
	char *line; /* of getline(3) */
	size_t room;
	unsigned number;
	bool goes_on; /* the last value ended in a comma */
	bool skip; /* the section that we are in was refused */
};

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* --- Lines, before libinih sees them --- */

static struct ini_section *find_section(const struct ini_file *file, const char *name)
{
	for (size_t i = 0; i < file->section_count; i++) {
		if (!strcmp(file->sections[i].name, name))
			return &file->sections[i];
	}
	return NULL;
}

static void add_section(struct reader *reader, const char *name)
{
	struct ini_file *file = reader->file;
	const struct ini_section *before = find_section(file, name);

	if (before) {
		diagnostics_add(reader->diagnostics, reader->number,
				"[%s]: the section is in line %u already: write all of its keys there", name,
				before->line);
		reader->skip = true;
		return;
	}
	file->sections = must(realloc(file->sections, (file->section_count + 1) * sizeof(*file->sections)));
	file->sections[file->section_count++] = (struct ini_section){must(strdup(name)), reader->number};
}

/* "[name]", with at most a comment after it. */
static bool read_section(struct reader *reader, char *line)
{
	char *end = strchr(line, ']'), *rest;

	reader->skip = false;
	if (!end) {
		diagnostics_add(reader->diagnostics, reader->number,
				"%s: the section's name is not closed: write [name]", line);
		reader->skip = true;
		return false;
	}
	*end = '\0';
	rest = end + 1 + strspn(end + 1, BLANKS);
	if (*rest && *rest != ';' && *rest != '#') {
		diagnostics_add(reader->diagnostics, reader->number,
				"[%s]: `%s` follows the section's name: put it in a line of its own", line + 1, rest);
		reader->skip = true;
		return false;
	}
	add_section(reader, line + 1);
	return !reader->skip;
}

/* What libinih may see of a line. Returns false where it is a comment or was refused. */
static bool check_line(struct reader *reader, char *line, size_t length)
{
	if (!*line || *line == ';' || *line == '#')
		return false;
	if (length > INI_FILE_LINE_MAX) {
		diagnostics_add(
			reader->diagnostics, reader->number,
			"the line has %zu bytes, more than the %d that can be read: shorten it; a list may go on "
			"in the next line after a comma",
			length, INI_FILE_LINE_MAX);
		return false;
	}
	if (*line == '[') {
		reader->goes_on = false;
		return read_section(reader, strdupa(line));
	}
	if (reader->skip)
		return false;
	if (!reader->goes_on && !strpbrk(line, "=:")) {
		diagnostics_add(
			reader->diagnostics, reader->number,
			"`%s` is neither [section] nor key = value: complete it, or begin it with ; to make it a "
			"comment",
			line);
		return false;
	}
	return true;
}

static bool has_controls(struct reader *reader, const char *line, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)line[i];

		if (byte >= ' ' && byte != 0x7f)
			continue;
		if (strchr(BLANKS, byte) && byte)
			continue;
		diagnostics_add(reader->diagnostics, reader->number,
				"column %zu is the control character 0x%02x: remove it", i + 1, byte);
		return true;
	}
	return false;
}

/* libinih takes an indented line for the rest of the value before it. Here that is what follows a comma, and nothing
 * else: so a line goes without its blanks, or with one. */
static char *read_line(char *out, int room, void *stream)
{
	struct reader *reader = stream;
	ssize_t size = getline(&reader->line, &reader->room, reader->in);
	char *line = reader->line;
	size_t length;

	if (size < 0)
		return NULL;
	reader->number++;
	strcpy(out, "\n");
	if (reader->number == 1 && size >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) {
		line += 3;
		size -= 3;
	}
	if (has_controls(reader, line, (size_t)size))
		return out;
	line[size] = '\0';
	line += strspn(line, BLANKS);
	for (length = strlen(line); length && strchr(BLANKS, line[length - 1]); length--)
		line[length - 1] = '\0';
	if (check_line(reader, line, length))
		snprintf(out, (size_t)room, "%s%s\n", reader->goes_on ? " " : "", line);
	return out;
}

/* --- Entries, as libinih finds them --- */

static void extend_value(struct ini_entry *entry, const char *more)
{
	char *value = must(malloc(strlen(entry->value) + strlen(more) + 2));

	sprintf(value, "%s %s", entry->value, more);
	free(entry->value);
	entry->value = value;
}

static bool is_repeated(struct reader *reader, size_t section, const char *key)
{
	const struct ini_file *file = reader->file;

	for (size_t i = file->entry_count; i-- && file->entries[i].section == section;) {
		if (strcmp(file->entries[i].key, key))
			continue;
		diagnostics_add(reader->diagnostics, reader->number,
				"[%s] %s: the key is in line %u already: remove one", file->sections[section].name, key,
				file->entries[i].line);
		return true;
	}
	return false;
}

static void add_entry(struct reader *reader, const char *key, const char *value)
{
	struct ini_file *file = reader->file;
	size_t section = file->section_count - 1;

	if (!file->section_count) {
		diagnostics_add(reader->diagnostics, reader->number,
				"%s: the key stands before any section: write [udprelayd] or another section above it",
				key);
		return;
	}
	if (is_repeated(reader, section, key))
		return;
	file->entries = must(realloc(file->entries, (file->entry_count + 1) * sizeof(*file->entries)));
	file->entries[file->entry_count++] =
		(struct ini_entry){section, must(strdup(key)), must(strdup(value)), reader->number};
}

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	struct reader *reader = user;
	struct ini_file *file = reader->file;
	size_t length = strlen(value);

	(void)section;
	if (reader->goes_on && file->entry_count)
		extend_value(&file->entries[file->entry_count - 1], value);
	else
		add_entry(reader, key, value);
	reader->goes_on = length && value[length - 1] == ',';
	return 1;
}

void ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics)
{
	struct reader reader = {.file = file, .diagnostics = diagnostics, .in = in};

	ini_parse_stream(read_line, &reader, on_entry, &reader);
	free(reader.line);
}

void ini_file_finish(struct ini_file *file)
{
	for (size_t i = 0; i < file->section_count; i++)
		free(file->sections[i].name);
	for (size_t i = 0; i < file->entry_count; i++) {
		free(file->entries[i].key);
		free(file->entries[i].value);
	}
	free(file->sections);
	free(file->entries);
	*file = (struct ini_file){0};
}

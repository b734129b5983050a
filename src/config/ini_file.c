#include "config/ini_file.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/xalloc.h"

#define BLANKS " \t"
#define BYTE_ORDER_MARK "\xef\xbb\xbf"

/* Longest name of a section that is stored, in bytes. Every error of the section repeats the name. */
#define SECTION_NAME_STORED_MAX 400

struct ini_reader {
	struct ini_file *file;
	struct diagnostics *diagnostics;
	FILE *in;
	char *line; /* the buffer of the current line */
	size_t line_capacity;
	unsigned line_number;
	size_t section; /* index of the current section */
	struct ini_entry *entry; /* the most recent entry; NULL: it was rejected and not stored */
	size_t value_length, value_capacity; /* bytes of the value of that entry */
	bool expects_continuation; /* the previous line ends in a comma */
	bool is_continuation; /* the current line continues the value of the most recent entry */
	bool colon; /* ':' and not '=' ends the key of the current line */
	size_t bytes_read;
	int read_error; /* errno of a failed read, or 0 */
	const char *fatal; /* the error that aborts reading, a static text; NULL: none */
};

/* --- Errors --- */

static const char *section_name(const struct ini_reader *reader)
{
	return reader->file->section_count ? reader->file->sections[reader->section].name : NULL;
}

static void report_line_error(struct ini_reader *reader, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void report_line_error(struct ini_reader *reader, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(reader->diagnostics, reader->line_number, section_name(reader), key, format, arguments);
	va_end(arguments);
}

/* --- Sections --- */

static void add_section(struct ini_reader *reader, const char *name)
{
	struct ini_file *file = reader->file;

	reader->entry = NULL;
	for (size_t i = 0; i < file->section_count; i++) {
		if (strcmp(file->sections[i].name, name))
			continue;
		reader->section = i;
		report_line_error(reader, NULL, "the section exists in line %u already: write all its keys there",
				  file->sections[i].line);
		return;
	}
	if (file->section_count == INI_FILE_SECTIONS_MAX) {
		reader->fatal = "the file has too many sections: remove the lines that are not configuration";
		return;
	}
	file->sections = xgrow(file->sections, file->section_count, sizeof(*file->sections));
	reader->section = file->section_count++;
	file->sections[reader->section] = (struct ini_section){.name = xcheck(strndup(name, SECTION_NAME_STORED_MAX)),
							       .line = reader->line_number,
							       .first = file->entry_count};
}

/* --- Entries --- */

struct ini_entry *ini_file_find(const struct ini_file *file, size_t section, const char *key)
{
	const struct ini_section *wanted = section < file->section_count ? &file->sections[section] : NULL;
	size_t left = wanted ? wanted->entry_count : 0;

	for (size_t i = wanted ? wanted->first : 0; left; i++) {
		if (file->entries[i].section != section)
			continue;
		if (!strcmp(file->entries[i].key, key))
			return &file->entries[i];
		left--;
	}
	return NULL;
}

/* The value is NULL if it was rejected. The entry is stored with this NULL, so that the key does not count as
 * missing. */
static void add_entry(struct ini_reader *reader, const char *key, const char *value)
{
	struct ini_file *file = reader->file;
	const struct ini_entry *before = ini_file_find(file, reader->section, key);

	reader->entry = NULL;
	if (!file->section_count) {
		report_line_error(
			reader, key,
			"the key is not in a section: write the name of its section above it, such as [udprelayd]");
		return;
	}
	if (before) {
		report_line_error(reader, key, "the key exists in line %u already: remove one", before->line);
		return;
	}
	if (file->sections[reader->section].entry_count == INI_FILE_KEYS_MAX) {
		reader->fatal = "the section has too many keys: remove the lines that are not configuration";
		return;
	}
	file->entries = xgrow(file->entries, file->entry_count, sizeof(*file->entries));
	reader->entry = &file->entries[file->entry_count++];
	file->sections[reader->section].entry_count++;
	*reader->entry = (struct ini_entry){.section = reader->section,
					    .key = xcheck(strdup(key)),
					    .value = value ? xcheck(strdup(value)) : NULL,
					    .line = reader->line_number,
					    .colon = reader->colon};
	reader->value_length = value ? strlen(value) : 0;
	reader->value_capacity = reader->value_length + 1;
}

static void discard_value(struct ini_entry *entry)
{
	free(entry->value);
	entry->value = NULL;
}

static void add_continuation(struct ini_reader *reader, size_t offset)
{
	struct ini_entry *entry = reader->entry;

	entry->continuations = xgrow(entry->continuations, entry->continuation_count, sizeof(*entry->continuations));
	entry->continuations[entry->continuation_count++] = (struct ini_continuation){offset, reader->line_number};
}

/* A list can have tens of thousands of lines. So the buffer doubles when it is full, and the length of the value is
 * stored. */
static void extend_value(struct ini_reader *reader, const char *more)
{
	struct ini_entry *entry = reader->entry;
	size_t length = strlen(more);

	if (reader->value_length + length + 2 > reader->value_capacity) {
		reader->value_capacity = 2 * (reader->value_length + length + 2);
		entry->value = xcheck(realloc(entry->value, reader->value_capacity));
	}
	entry->value[reader->value_length] = ' ';
	add_continuation(reader, reader->value_length + 1);
	memcpy(entry->value + reader->value_length + 1, more, length + 1);
	reader->value_length += length + 1;
}

/* Binary search: the continuations are sorted by offset. */
unsigned ini_entry_line(const struct ini_entry *entry, size_t offset)
{
	size_t low = 0, high = entry->continuation_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (entry->continuations[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? entry->continuations[low - 1].line : entry->line;
}

/* --- Lines, before they are passed to libinih --- */

/* Ends the line after its key and returns the key, or NULL if the line has none. */
static char *cut_key(char *line)
{
	size_t length = strcspn(line, "=:");

	if (!line[length] || *line == '[')
		return NULL;
	while (length && strchr(BLANKS, line[length - 1]))
		length--;
	line[length] = '\0';
	return length ? line : NULL;
}

/* Reads "[name]". A malformed header still starts a section, so that the entries below it are checked too. A
 * key in the same line does not count as missing. */
static void read_section(struct ini_reader *reader, char *line)
{
	char *end = strchrnul(line, ']');
	bool closed = *end;
	char *rest = end + closed, *key;

	*end = '\0';
	add_section(reader, line + 1);
	if (reader->fatal)
		return;
	rest += strspn(rest, BLANKS);
	if (!closed)
		report_line_error(reader, NULL, "the `]` after the section name is missing: write [%s]", line + 1);
	else if (*rest && *rest != ';' && *rest != '#') {
		report_line_error(reader, NULL, "unexpected `%s` after the section name: write it in a separate line",
				  rest);
		key = cut_key(rest);
		if (key)
			add_entry(reader, key, NULL);
	}
}

/* Reports an error in a line of an entry. The line is not passed to libinih. */
static void reject_line(struct ini_reader *reader, char *line, const char *message)
{
	char *key = reader->is_continuation ? NULL : cut_key(line);

	if (reader->is_continuation && reader->entry) {
		report_line_error(reader, reader->entry->key, "%s", message);
		discard_value(reader->entry);
		return;
	}
	report_line_error(reader, key, "%s", message);
	if (key && reader->file->section_count && !ini_file_find(reader->file, reader->section, key))
		add_entry(reader, key, NULL);
	else
		reader->entry = NULL;
}

/* Returns the fix for a line that is neither section nor entry. The line is probably an item of a list if it has only
 * one word, or a comma after its first word. */
static const char *stray_line_hint(const struct ini_reader *reader, const char *line)
{
	const struct ini_file *file = reader->file;
	bool follows_entry = file->entry_count && file->entries[file->entry_count - 1].section == reader->section;
	const char *rest = line + strcspn(line, BLANKS ",");

	rest += strspn(rest, BLANKS);
	if (follows_entry && (!*rest || *rest == ','))
		return "add a comma to the previous line if it is part of a list, or begin it with ; if it is "
		       "a comment";
	return "complete it, or begin it with ; to make it a comment";
}

/* Reports an error and returns false if the line must not be passed to libinih. The line is not a section header. */
static bool check_line(struct ini_reader *reader, char *line)
{
	size_t length = strlen(line);
	char message[400];

	if (length > INI_FILE_LINE_MAX) {
		snprintf(message, sizeof(message),
			 "the line has %zu bytes, but the maximum is %d: shorten it; a list may continue in the "
			 "next line after a comma",
			 length, INI_FILE_LINE_MAX);
	} else if (!reader->is_continuation && (*line == '=' || (*line == ':' && line[1] != ':'))) {
		snprintf(message, sizeof(message), "the key before `%c` is missing: write it, as in `key = value`",
			 *line);
	} else if (!reader->is_continuation && (strchr("[:", *line) || !strpbrk(line, "=:"))) {
		snprintf(message, sizeof(message), "`%.*s` is neither [section] nor key = value: %s", INI_FILE_LINE_MAX,
			 line, stray_line_hint(reader, line));
		reader->expects_continuation = false;
	} else {
		return true;
	}
	reject_line(reader, line, message);
	return false;
}

/* "[2001:db8::1]:7788" is not a section header but an item of a list that continues over several lines, or an item that
 * lacks the comma before it. */
static bool is_section_line(const struct ini_reader *reader, const char *line)
{
	const char *end = strchrnul(line, ']');
	bool is_address = *end && end[1] == ':' && (reader->expects_continuation || isdigit((unsigned char)end[2]));

	return *line == '[' && !is_address;
}

/* Writes to out the line that libinih parses instead of the original one. libinih appends an indented line to the value
 * before it; here a line continues a value only after a comma. So an entry loses its indentation, and a continuation
 * gets one blank. A section header becomes "[section]", because its name is stored here. `error` is an error in the
 * line that was found before, or NULL. */
static void process_line(struct ini_reader *reader, char *line, const char *error, char *out, size_t out_size)
{
	if (is_section_line(reader, line)) {
		reader->expects_continuation = false;
		read_section(reader, line);
		if (error)
			report_line_error(reader, NULL, "%s", error);
		snprintf(out, out_size, "[section]\n");
		return;
	}
	reader->is_continuation = reader->expects_continuation && !strchr(line, '=');
	reader->colon = line[strcspn(line, "=:")] == ':';
	reader->expects_continuation = line[strlen(line) - 1] == ',';
	if (error)
		reject_line(reader, line, error);
	else if (reader->is_continuation && !(reader->entry && reader->entry->value))
		return;
	else if (check_line(reader, line))
		snprintf(out, out_size, "%s%s\n", reader->is_continuation ? " " : "", line);
}

/* As getline(3), but with a limit, so that an endless file does not use all memory. */
static ssize_t read_raw_line(struct ini_reader *reader)
{
	size_t length = 0;
	int c = 0;

	while (c != '\n' && (c = getc_unlocked(reader->in)) != EOF) {
		if (reader->bytes_read++ == INI_FILE_SIZE_MAX) {
			reader->fatal = "the file is larger than 16 MiB: name a configuration file";
			return -1;
		}
		if (length + 1 >= reader->line_capacity) {
			reader->line_capacity = 2 * reader->line_capacity + 256;
			reader->line = xcheck(realloc(reader->line, reader->line_capacity));
		}
		reader->line[length++] = (char)c;
	}
	if (!length)
		return -1;
	reader->line[length] = '\0';
	return (ssize_t)length;
}

/* Reads the next line, without its line end and without a byte order mark. The line can contain NUL bytes. Returns
 * false at the end of the file or after an error. */
static bool next_line(struct ini_reader *reader, char **line, size_t *length)
{
	ssize_t size = read_raw_line(reader);

	if (size < 0 && reader->fatal) {
		reader->line_number++;
		return false;
	}
	if (size < 0) {
		if (!feof(reader->in))
			reader->read_error = errno;
		return false;
	}
	*line = reader->line;
	*length = (size_t)size;
	if (*length && (*line)[*length - 1] == '\n')
		--*length;
	if (*length && (*line)[*length - 1] == '\r')
		--*length;
	(*line)[*length] = '\0';
	if (++reader->line_number == 1 && !strncmp(*line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK))) {
		*line += strlen(BYTE_ORDER_MARK);
		*length -= strlen(BYTE_ORDER_MARK);
	}
	return true;
}

/* Returns the index of the first control character other than a tab, or the length if there is none. */
static size_t find_control_character(const char *line, size_t length)
{
	size_t i = 0;

	while (i < length && (((unsigned char)line[i] >= ' ' && line[i] != 0x7f) || line[i] == '\t'))
		i++;
	return i;
}

/* Removes the comment and the blanks around the line, in place. Returns its new beginning. */
static char *ini_trim_line(char *line)
{
	char *end;

	line += strspn(line, BLANKS);
	for (end = line; *end; end++) {
		if (strchr(";#", *end) && (end == line || strchr(BLANKS, end[-1])))
			break;
	}
	while (end > line && strchr(BLANKS, end[-1]))
		end--;
	*end = '\0';
	return line;
}

/* The ini_reader callback of libinih, used as fgets(3): writes one line of at most out_size bytes to out. Returns NULL
 * at the end. A line that libinih must not see becomes an empty line, so that libinih counts the lines correctly.
 */
static char *ini_read_line(char *out, int out_size, void *stream)
{
	struct ini_reader *reader = stream;
	char *line, message[80], *error = NULL;
	size_t length, control;

	if (reader->fatal || !next_line(reader, &line, &length))
		return NULL;
	if (!reader->file->section_count && memchr(line, '\0', length))
		reader->fatal = "this is not a text file: save it as UTF-8";
	if (reader->fatal)
		return NULL;
	snprintf(out, (size_t)out_size, "\n");
	control = find_control_character(line, length);
	if (control < length) {
		snprintf(message, sizeof(message), "column %zu is the control character 0x%02x: remove it", control + 1,
			 (unsigned)line[control]);
		error = message;
	}
	line = ini_trim_line(line);
	if (*line)
		process_line(reader, line, error, out, (size_t)out_size);
	else if (error)
		report_line_error(reader, NULL, "%s", error);
	return out;
}

/* --- Callbacks of libinih --- */

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	struct ini_reader *reader = user;

	(void)section;
	if (reader->is_continuation)
		extend_value(reader, value);
	else
		add_entry(reader, key, value);
	return 1;
}

bool ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics)
{
	struct ini_reader reader = {.file = file, .diagnostics = diagnostics, .in = in};
	int line = ini_parse_stream(ini_read_line, &reader, on_entry, &reader);

	if (reader.fatal) {
		diagnostics_finish(diagnostics);
		diagnostics_add(diagnostics, reader.line_number, "%s", reader.fatal);
	} else if (reader.read_error) {
		diagnostics_finish(diagnostics);
		diagnostics_add(diagnostics, 0, "reading failed after line %u: %s: name a file that can be read",
				reader.line_number, strerror(reader.read_error));
	} else if (line) {
		diagnostics_add(diagnostics, line > 0 ? (unsigned)line : 0, "the line cannot be read: write it again");
	}
	free(reader.line);
	return !reader.fatal && !reader.read_error;
}

void ini_file_finish(struct ini_file *file)
{
	for (size_t i = 0; i < file->section_count; i++)
		free(file->sections[i].name);
	for (size_t i = 0; i < file->entry_count; i++) {
		free(file->entries[i].key);
		free(file->entries[i].value);
		free(file->entries[i].continuations);
	}
	free(file->sections);
	free(file->entries);
	*file = (struct ini_file){0};
}

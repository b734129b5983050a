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

/* Of a section's name. It is told with each error in the section. */
#define NAME_SHOWN_MAX 400

struct reader {
	struct ini_file *file;
	struct diagnostics *diagnostics;
	FILE *in;
	char *line;
	size_t room; /* of line */
	unsigned number;
	size_t section; /* the one that we are in */
	struct ini_entry *entry; /* the last one; NULL where it could not be kept */
	size_t length, value_room; /* bytes of its value */
	size_t turn_room;
	bool goes_on; /* the last line ended in a comma */
	bool continuation; /* this line goes on with the value before */
	bool colon; /* ends the key of this line */
	size_t size; /* bytes read */
	const char *fatal; /* why reading ended before the file did */
};

/* --- Telling --- */

static const char *section_name(const struct reader *reader)
{
	return reader->file->section_count ? reader->file->sections[reader->section].name : NULL;
}

static void __attribute__((format(printf, 3, 4))) tell(struct reader *reader, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(reader->diagnostics, reader->number, section_name(reader), key, format, arguments);
	va_end(arguments);
}

/* --- Sections --- */

static void add_section(struct reader *reader, const char *name)
{
	struct ini_file *file = reader->file;

	reader->entry = NULL;
	for (size_t i = 0; i < file->section_count; i++) {
		if (strcmp(file->sections[i].name, name))
			continue;
		reader->section = i;
		tell(reader, NULL, "the section is in line %u already: write all of its keys there",
		     file->sections[i].line);
		return;
	}
	if (file->section_count == INI_FILE_SECTIONS_MAX) {
		reader->fatal = "the file has too many sections: take what is no configuration out of it";
		return;
	}
	file->sections = xgrow(file->sections, file->section_count, sizeof(*file->sections));
	reader->section = file->section_count++;
	file->sections[reader->section] = (struct ini_section){
		.name = xcheck(strndup(name, NAME_SHOWN_MAX)), .line = reader->number, .first = file->entry_count};
}

/* "[name]". One that is written wrongly is a section all the same: its entries are checked in the same go. */
static void read_section(struct reader *reader, char *line)
{
	char *end = strchrnul(line, ']');
	bool closed = *end;
	const char *rest = end + closed;

	*end = '\0';
	add_section(reader, line + 1);
	if (reader->fatal)
		return;
	rest += strspn(rest, BLANKS);
	if (!closed)
		tell(reader, NULL, "the section's name is not closed: write [name]");
	else if (*rest && *rest != ';' && *rest != '#')
		tell(reader, NULL, "`%s` follows the section's name: put it in a line of its own", rest);
}

/* --- Entries --- */

struct ini_entry *ini_file_find(const struct ini_file *file, size_t section, const char *key)
{
	const struct ini_section *home = section < file->section_count ? &file->sections[section] : NULL;
	size_t left = home ? home->entry_count : 0;

	for (size_t i = home ? home->first : 0; left; i++) {
		if (file->entries[i].section != section)
			continue;
		if (!strcmp(file->entries[i].key, key))
			return &file->entries[i];
		left--;
	}
	return NULL;
}

/* The value is NULL for one that was refused: that it was written counts. */
static void add_entry(struct reader *reader, const char *key, const char *value)
{
	struct ini_file *file = reader->file;
	const struct ini_entry *before = ini_file_find(file, reader->section, key);

	reader->entry = NULL;
	if (!file->section_count) {
		tell(reader, key, "the key stands before any section: write [udprelayd] or another section above it");
		return;
	}
	if (before) {
		tell(reader, key, "the key is in line %u already: remove one", before->line);
		return;
	}
	if (file->sections[reader->section].entry_count == INI_FILE_KEYS_MAX) {
		reader->fatal = "the section has too many keys: take what is no configuration out of it";
		return;
	}
	file->entries = xgrow(file->entries, file->entry_count, sizeof(*file->entries));
	reader->entry = &file->entries[file->entry_count++];
	file->sections[reader->section].entry_count++;
	*reader->entry = (struct ini_entry){.section = reader->section,
					    .key = xcheck(strdup(key)),
					    .value = value ? xcheck(strdup(value)) : NULL,
					    .line = reader->number,
					    .colon = reader->colon};
	reader->length = value ? strlen(value) : 0;
	reader->value_room = reader->length + 1;
	reader->turn_room = 0;
}

static void refuse_value(struct ini_entry *entry)
{
	free(entry->value);
	entry->value = NULL;
}

static void add_turn(struct reader *reader, size_t at)
{
	struct ini_entry *entry = reader->entry;

	if (entry->turn_count == reader->turn_room) {
		reader->turn_room = 2 * reader->turn_room + 1;
		entry->turns = xcheck(realloc(entry->turns, reader->turn_room * sizeof(*entry->turns)));
	}
	entry->turns[entry->turn_count++] = (struct ini_continuation){at, reader->number};
}

/* Lists have tens of thousands of lines: room grows by factors, and nothing is read again. */
static void extend_value(struct reader *reader, const char *more)
{
	struct ini_entry *entry = reader->entry;
	size_t length = strlen(more);

	if (reader->length + length + 2 > reader->value_room) {
		reader->value_room = 2 * (reader->length + length + 2);
		entry->value = xcheck(realloc(entry->value, reader->value_room));
	}
	entry->value[reader->length] = ' ';
	add_turn(reader, reader->length + 1);
	memcpy(entry->value + reader->length + 1, more, length + 1);
	reader->length += length + 1;
}

unsigned ini_entry_line(const struct ini_entry *entry, size_t offset)
{
	size_t low = 0, high = entry->turn_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (entry->turns[middle].at <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? entry->turns[low - 1].line : entry->line;
}

/* --- Lines, before libinih sees them --- */

/* The line's key, cut out of it; NULL where it has none. */
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

/* A line that belongs to an entry, of which libinih is to see nothing. */
static void refuse_line(struct reader *reader, char *line, const char *why)
{
	char *key = reader->continuation ? NULL : cut_key(line);

	if (reader->continuation && reader->entry) {
		tell(reader, reader->entry->key, "%s", why);
		refuse_value(reader->entry);
		return;
	}
	tell(reader, key, "%s", why);
	if (key && reader->file->section_count && !ini_file_find(reader->file, reader->section, key))
		add_entry(reader, key, NULL);
	else
		reader->entry = NULL;
}

/* For a line that is neither section nor entry. In a list, the first word stands alone or has a comma behind it. */
static const char *stray_remedy(const struct reader *reader, const char *line)
{
	const struct ini_file *file = reader->file;
	bool follows = file->entry_count && file->entries[file->entry_count - 1].section == reader->section;
	const char *behind = line + strcspn(line, BLANKS ",");

	behind += strspn(behind, BLANKS);
	if (follows && (!*behind || *behind == ','))
		return "does the line before it lack a comma? To make it a comment, begin it with ;";
	return "complete it, or begin it with ; to make it a comment";
}

/* Whether libinih may see the line, which is no section. */
static bool check_line(struct reader *reader, char *line)
{
	size_t length = strlen(line);
	char why[400];

	if (length > INI_FILE_LINE_MAX) {
		snprintf(why, sizeof(why),
			 "the line has %zu bytes, more than the %d that can be read: shorten it; a list may go on in "
			 "the next line after a comma",
			 length, INI_FILE_LINE_MAX);
	} else if (!reader->continuation && (*line == '=' || (*line == ':' && line[1] != ':'))) {
		snprintf(why, sizeof(why), "there is no key before `%c`: write key = value", *line);
	} else if (!reader->continuation && (strchr("[:", *line) || !strpbrk(line, "=:"))) {
		snprintf(why, sizeof(why), "`%.*s` is neither [section] nor key = value: %s", INI_FILE_LINE_MAX, line,
			 stray_remedy(reader, line));
		reader->goes_on = false;
	} else {
		return true;
	}
	refuse_line(reader, line, why);
	return false;
}

/* "[2001:db8::1]:7788" is no section but of a list that goes on over lines, or would with a comma. */
static bool is_section(const struct reader *reader, const char *line)
{
	const char *end = strchrnul(line, ']');
	bool address = *end && end[1] == ':' && (reader->goes_on || isdigit((unsigned char)end[2]));

	return *line == '[' && !address;
}

/* libinih takes an indented line for the rest of the value before it. Here that is what follows a comma: so a line goes
 * on to libinih without its blanks, or with one. */
static void take_line(struct reader *reader, char *line, const char *refusal, char *out, size_t room)
{
	if (is_section(reader, line)) {
		reader->goes_on = false;
		read_section(reader, line);
		if (refusal)
			tell(reader, NULL, "%s", refusal);
		snprintf(out, room, "[section]\n");
		return;
	}
	reader->continuation = reader->goes_on && !strchr(line, '=');
	reader->colon = line[strcspn(line, "=:")] == ':';
	reader->goes_on = line[strlen(line) - 1] == ',';
	if (refusal)
		refuse_line(reader, line, refusal);
	else if (reader->continuation && !(reader->entry && reader->entry->value))
		return;
	else if (check_line(reader, line))
		snprintf(out, room, "%s%s\n", reader->continuation ? " " : "", line);
}

/* As getline(3), but a file without end does not get all of the memory. */
static ssize_t get_line(struct reader *reader)
{
	size_t length = 0;
	int c = 0;

	while (c != '\n' && (c = getc_unlocked(reader->in)) != EOF) {
		if (reader->size++ == INI_FILE_SIZE_MAX) {
			reader->fatal = "the file has more than 16 MiB: name one that is a configuration";
			return -1;
		}
		if (length + 1 >= reader->room) {
			reader->room = 2 * reader->room + 256;
			reader->line = xcheck(realloc(reader->line, reader->room));
		}
		reader->line[length++] = (char)c;
	}
	if (!length)
		return -1;
	reader->line[length] = '\0';
	return (ssize_t)length;
}

/* The next line without its end and without a byte order mark. */
static bool next_line(struct reader *reader, char **line, size_t *length)
{
	ssize_t size = get_line(reader);

	if (size < 0 && reader->fatal) {
		reader->number++;
		return false;
	}
	if (size < 0) {
		if (!feof(reader->in))
			diagnostics_add(reader->diagnostics, 0, "reading failed after line %u: %s", reader->number,
					strerror(errno));
		return false;
	}
	*line = reader->line;
	*length = (size_t)size;
	if (*length && (*line)[*length - 1] == '\n')
		--*length;
	if (*length && (*line)[*length - 1] == '\r')
		--*length;
	(*line)[*length] = '\0';
	if (++reader->number == 1 && !strncmp(*line, BYTE_ORDER_MARK, strlen(BYTE_ORDER_MARK))) {
		*line += strlen(BYTE_ORDER_MARK);
		*length -= strlen(BYTE_ORDER_MARK);
	}
	return true;
}

/* The first control character but tab, or the length. */
static size_t find_control(const char *line, size_t length)
{
	size_t i = 0;

	while (i < length && (((unsigned char)line[i] >= ' ' && line[i] != 0x7f) || line[i] == '\t'))
		i++;
	return i;
}

/* Removes blanks around the line, and its comment. */
static char *trim(char *line)
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

static char *read_line(char *out, int room, void *stream)
{
	struct reader *reader = stream;
	char *line, why[80], *refusal = NULL;
	size_t length, control;

	if (reader->fatal || !next_line(reader, &line, &length))
		return NULL;
	if (!reader->file->section_count && memchr(line, '\0', length))
		reader->fatal = "this is no text file: save it as UTF-8";
	if (reader->fatal)
		return NULL;
	snprintf(out, (size_t)room, "\n");
	control = find_control(line, length);
	if (control < length) {
		snprintf(why, sizeof(why), "column %zu is the control character 0x%02x: remove it", control + 1,
			 (unsigned)line[control]);
		refusal = why;
	}
	line = trim(line);
	if (*line)
		take_line(reader, line, refusal, out, (size_t)room);
	else if (refusal)
		tell(reader, NULL, "%s", refusal);
	return out;
}

/* --- Entries, as libinih finds them --- */

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
	struct reader *reader = user;

	(void)section;
	if (reader->continuation)
		extend_value(reader, value);
	else
		add_entry(reader, key, value);
	return 1;
}

bool ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics)
{
	struct reader reader = {.file = file, .diagnostics = diagnostics, .in = in};
	int line = ini_parse_stream(read_line, &reader, on_entry, &reader);

	if (reader.fatal) {
		diagnostics_finish(diagnostics);
		diagnostics_add(diagnostics, reader.number, "%s", reader.fatal);
	} else if (line) {
		diagnostics_add(diagnostics, line > 0 ? (unsigned)line : 0, "the line cannot be read: write it anew");
	}
	free(reader.line);
	return !reader.fatal;
}

void ini_file_finish(struct ini_file *file)
{
	for (size_t i = 0; i < file->section_count; i++)
		free(file->sections[i].name);
	for (size_t i = 0; i < file->entry_count; i++) {
		free(file->entries[i].key);
		free(file->entries[i].value);
		free(file->entries[i].turns);
	}
	free(file->sections);
	free(file->entries);
	*file = (struct ini_file){0};
}

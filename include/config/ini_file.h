/* An INI file as sections and entries with their lines: libinih, with the checks that it leaves to others. */
#ifndef UDPRELAYD_CONFIG_INI_FILE_H
#define UDPRELAYD_CONFIG_INI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/diagnostics.h"

/* Bytes of an entry's line, blanks around it and comments not counted. libinih, as Debian builds it, has room for 200.
 */
#define INI_FILE_LINE_MAX 196

/* Beyond these a file is refused unread: a list of all prefixes of the internet is smaller. */
#define INI_FILE_SIZE_MAX (16 << 20)
#define INI_FILE_SECTIONS_MAX 10000
#define INI_FILE_KEYS_MAX 1000 /* in one section; there are not fifty to know */

struct ini_section {
	char *name;
	unsigned line;
	size_t first; /* entry, if it has any */
	size_t entry_count;
};

/* Where a value goes on in another line. */
struct ini_continuation {
	size_t at; /* offset in the value */
	unsigned line;
};

struct ini_entry {
	size_t section; /* index */
	char *key;
	char *value; /* NULL: it was refused, and the diagnostics tell why */
	unsigned line; /* of the key */
	struct ini_continuation *turns; /* for the lines after that; each is kept from the value before by a blank */
	size_t turn_count;
	bool colon; /* ends the key, not '=' */
};

/* Zeroed memory is empty. */
struct ini_file {
	struct ini_section *sections;
	size_t section_count;
	struct ini_entry *entries;
	size_t entry_count;
};

/* Reads all of the stream. A comment begins with ';' or '#', at the beginning of a line or after a blank. A value that
 * ends in a comma goes on in the next line, unless that one has a '=' or is a section. What cannot be read is told to
 * diagnostics: lines that are too long, NUL and control characters, lines that are neither section nor entry, repeated
 * sections (their entries join the first), repeated keys (the first stays), entries before any section. Returns whether
 * all of the file was read; where it is no text, which a NUL byte before the first section shows, or too large, only
 * that is told. */
bool ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics);

/* The entry of that section and key, or NULL. */
struct ini_entry *ini_file_find(const struct ini_file *file, size_t section, const char *key);

/* The line that this offset in the value stands in. */
unsigned ini_entry_line(const struct ini_entry *entry, size_t offset);

void ini_file_finish(struct ini_file *file);

#endif

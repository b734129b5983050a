/* Reads an INI file into sections and entries that know their lines.
 *
 * libinih parses the lines; this module checks each line first, because libinih accepts errors silently (lines that are
 * too long, repeated keys, control characters). The caller owns struct ini_file and the diagnostics. Size and number of
 * entries are bounded, so that any input is rejected quickly. Allocation failures abort the program. */
#ifndef UDPRELAYD_CONFIG_INI_FILE_H
#define UDPRELAYD_CONFIG_INI_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "config/diagnostics.h"

/* Longest line of an entry in bytes, without the blanks around it and without comments. libinih, as Debian builds it,
 * has a line buffer of 200 bytes. */
#define INI_FILE_LINE_MAX 196

/* A file beyond these limits is rejected as a whole. A list of all prefixes of the internet is smaller. */
#define INI_FILE_SIZE_MAX (16 << 20) /* bytes */
#define INI_FILE_SECTIONS_MAX 10000
#define INI_FILE_KEYS_MAX 1000 /* per section; the configuration has fewer than 50 keys per section */

struct ini_section {
	char *name; /* without brackets; at most 400 bytes, the rest is cut off */
	unsigned line;
	size_t first; /* index of its first entry, if it has any */
	size_t entry_count;
};

/* The start of a further line in a value that spans several lines. */
struct ini_continuation {
	size_t offset; /* in the value */
	unsigned line;
};

struct ini_entry {
	size_t section; /* index */
	char *key;
	char *value; /* NULL: rejected, and the error is in the diagnostics */
	unsigned line; /* line of the key */
	struct ini_continuation *continuations; /* sorted; one blank separates two lines of the value */
	size_t continuation_count;
	bool colon; /* ':' and not '=' separates key and value */
};

/* Zeroed memory is an empty file. */
struct ini_file {
	struct ini_section *sections;
	size_t section_count;
	struct ini_entry *entries;
	size_t entry_count;
};

/* Reads the stream up to its end into *file, which must be empty. A comment begins with ';' or '#', at the beginning of
 * a line or after a blank. A value that ends in a comma continues in the next line, unless that line contains '=' or is
 * a section header.
 *
 * Adds errors to diagnostics: lines that are too long, NUL and other control characters, lines that are neither section
 * nor entry, repeated sections (their entries are added to the first one), repeated keys (the first one counts),
 * entries before the first section, and read errors. A rejected entry stays in *file with the value NULL.
 *
 * Returns true if the file was read, even with errors. Returns false if reading was aborted, because the file is not
 * text (a NUL byte before the first section), exceeds a limit, or cannot be read; then diagnostics contain only this
 * error. In both cases the caller calls ini_file_finish(). */
bool ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics);

/* Returns the entry with this key in the section with this index, or NULL if there is none. The pointer is valid until
 * the file is finished. */
struct ini_entry *ini_file_find(const struct ini_file *file, size_t section, const char *key);

/* Returns the line of the byte at this offset in the value. */
unsigned ini_entry_line(const struct ini_entry *entry, size_t offset);

/* Frees the contents and leaves an empty file. */
void ini_file_finish(struct ini_file *file);

#endif

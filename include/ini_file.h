/* An INI file as sections and entries with their lines: libinih, with the checks that it leaves to others. */
#ifndef UDPRELAYD_INI_FILE_H
#define UDPRELAYD_INI_FILE_H

#include <stddef.h>
#include <stdio.h>

#include "diagnostics.h"

/* Bytes of a line that is no comment, blanks around it not counted. libinih, as Debian builds it, has room for 200. */
#define INI_FILE_LINE_MAX 196

struct ini_section {
	char *name;
	unsigned line;
};

struct ini_entry {
	size_t section; /* index */
	char *key, *value;
	unsigned line;
};

/* Zeroed memory is empty. */
struct ini_file {
	struct ini_section *sections;
	size_t section_count;
	struct ini_entry *entries;
	size_t entry_count;
};

/* Reads all of the stream. A line that begins with ';' or '#' is a comment, as is what follows " ;". A value that ends
 * in a comma goes on in the next line. What cannot be read is told to diagnostics: lines that are too long, NUL and
 * control characters, lines that are neither section nor entry, repeated sections, repeated keys, entries before any
 * section. */
void ini_file_read(struct ini_file *file, FILE *in, struct diagnostics *diagnostics);

void ini_file_finish(struct ini_file *file);

#endif

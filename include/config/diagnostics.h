/* The errors of one file, collected so that all of them can be reported together.
 *
 * The module that reads a file owns a struct diagnostics and adds errors in any order; diagnostics_write() sorts them
 * by line. After 1000 errors, further ones are only counted, so that memory is bounded. Allocation failures abort the
 * program. */
#ifndef UDPRELAYD_CONFIG_DIAGNOSTICS_H
#define UDPRELAYD_CONFIG_DIAGNOSTICS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct diagnostic {
	unsigned line; /* 0: the error concerns the whole file */
	char *text; /* escaped */
};

/* The owner initialises it to zero and sets the path. */
struct diagnostics {
	const char *path; /* borrowed */
	struct diagnostic *items;
	size_t count;
	size_t suppressed; /* errors beyond the bound, which are counted but not stored */
};

/* Returns a copy of the text in which invisible characters, control characters and bytes that are not valid UTF-8 are
 * written as \xNN. The caller frees it with free(). */
char *diagnostics_escape(const char *text);

/* Adds an error. The text may quote the file: it is escaped, and loses its middle if it is longer than about 1000
 * bytes. Drops the error if one of the errors just added has the same line and the same text. */
void diagnostics_add(struct diagnostics *diagnostics, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As diagnostics_add(), with "[SECTION] KEY: " before the text. A part that is NULL is left out. */
void diagnostics_add_entry(struct diagnostics *diagnostics, unsigned line, const char *section, const char *key,
			   const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));

/* Writes one error per line as "PATH:LINE: TEXT", sorted by line; errors of one line keep the order in which they were
 * added. If there are more than 20, writes the first 20 and the number of the others. Errors that are only counted are
 * never among the first 20, regardless of their line. */
void diagnostics_write(struct diagnostics *diagnostics, FILE *out);

/* Frees all errors and keeps the path. The struct can be used again. */
void diagnostics_finish(struct diagnostics *diagnostics);

#endif

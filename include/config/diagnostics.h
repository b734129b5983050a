/* What is wrong with a file, collected so that it can be told in one go. */
#ifndef UDPRELAYD_CONFIG_DIAGNOSTICS_H
#define UDPRELAYD_CONFIG_DIAGNOSTICS_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

struct diagnostic {
	unsigned line; /* 0: the file as a whole */
	char *text;
};

/* Zeroed memory, but for the path, is ready for use. */
struct diagnostics {
	const char *path; /* borrowed */
	struct diagnostic *items;
	size_t count;
	size_t suppressed; /* of a file that is wrong all over: only counted */
};

/* A copy, to be freed, in which characters that cannot be seen, and bytes that are no UTF-8, are written as \xNN. */
char *diagnostics_escape(const char *text);

/* The text may quote the file: it is escaped, and cut in its middle where it is long. A line is not told the same
 * twice.
 */
void diagnostics_add(struct diagnostics *diagnostics, unsigned line, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* The same with "[SECTION] KEY: " before the text; either may be NULL. */
void diagnostics_add_entry(struct diagnostics *diagnostics, unsigned line, const char *section, const char *key,
			   const char *format, va_list arguments) __attribute__((format(printf, 5, 0)));

/* One line each, "PATH:LINE: TEXT", in the order of the lines; of many the first 20, and how many more there are. Of
 * more than a thousand, those that were told last are not among the first. */
void diagnostics_write(struct diagnostics *diagnostics, FILE *out);

/* Leaves none, and the path. */
void diagnostics_finish(struct diagnostics *diagnostics);

#endif

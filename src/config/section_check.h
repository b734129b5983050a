/* The checks of one section: the keys that the file sets, and the errors about them. Both validate*.c use it. */
#ifndef UDPRELAYD_CONFIG_SECTION_CHECK_H
#define UDPRELAYD_CONFIG_SECTION_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/section_kind.h"

/* The section that is being checked. */
struct section_check {
	const struct config *config;
	const struct ini_file *file;
	struct diagnostics *errors, *warnings;
	size_t section; /* index */
};

/* Returns the entry of the key, also if its value was rejected, or NULL if the section does not have the key. */
const struct ini_entry *section_entry(const struct section_check *check, const char *key);

/* Returns whether the section has the key with a value that was not rejected. */
bool section_accepts(const struct section_check *check, const char *key);

/* Returns whether the section sets the key, or sets it in a way that is an error already: by the name that other
 * programs use, or without the `=`. */
bool section_intends(const struct section_check *check, enum section_kind kind, const char *key);

/* Adds an error with the line of the key, or the line of the section if the key is missing. */
void section_error(const struct section_check *check, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Adds an error with this line, for an item of a list. */
void section_error_at(const struct section_check *check, unsigned line, const char *key, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* Adds a warning in the same way as section_error(). If key is NULL, the warning is about the whole section. */
void section_warning(const struct section_check *check, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#endif

#include "config/section_check.h"

#include <stdarg.h>
#include <string.h>

#include "config/key_synonyms.h"

const struct ini_entry *section_entry(const struct section_check *check, const char *key)
{
	return ini_file_find(check->file, check->section, key);
}

bool section_accepts(const struct section_check *check, const char *key)
{
	const struct ini_entry *found = section_entry(check, key);

	return found && found->value;
}

bool section_intends(const struct section_check *check, enum section_kind kind, const char *key)
{
	for (size_t i = 0; i < check->file->entry_count; i++) {
		const struct ini_entry *entry = &check->file->entries[i];
		const char *synonym = config_key_synonym(kind, entry->key);
		size_t length = entry->colon ? strcspn(entry->key, " \t") : strlen(entry->key);

		if (entry->section == check->section && ((strlen(key) == length && !strncmp(entry->key, key, length)) ||
							 (synonym && !strcmp(synonym, key))))
			return true;
	}
	return false;
}

static void section_report(const struct section_check *check, struct diagnostics *diagnostics, const char *key,
			   const char *format, va_list arguments) __attribute__((format(printf, 4, 0)));

static void section_report(const struct section_check *check, struct diagnostics *diagnostics, const char *key,
			   const char *format, va_list arguments)
{
	const struct ini_section *section = &check->file->sections[check->section];
	const struct ini_entry *found = key ? section_entry(check, key) : NULL;

	diagnostics_add_entry(diagnostics, found ? found->line : section->line, section->name, key, format, arguments);
}

void section_error(const struct section_check *check, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	section_report(check, check->errors, key, format, arguments);
	va_end(arguments);
}

void section_error_at(const struct section_check *check, unsigned line, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	diagnostics_add_entry(check->errors, line, check->file->sections[check->section].name, key, format, arguments);
	va_end(arguments);
}

void section_warning(const struct section_check *check, const char *key, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	section_report(check, check->warnings, key, format, arguments);
	va_end(arguments);
}

/* The table of all configuration keys: the section of each key, its type, its range, and the field that it sets.
 *
 * A plain value (switch, choice, number, size, duration) needs only a row in keys.c. Other values need a function in
 * setters.c or setters_address.c. The rows are static and live as long as the program. */
#ifndef UDPRELAYD_CONFIG_KEYS_H
#define UDPRELAYD_CONFIG_KEYS_H

#include <stdbool.h>

#include "config/config.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/section_kind.h"

struct config_key;

/* One entry of the file while it is read: the objects that its value goes to, and its location for messages. All
 * pointers are borrowed. */
struct config_field {
	struct config *config;
	struct listener_config *listener; /* for SECTION_LISTENER, otherwise NULL */
	struct peer_config *peer; /* for SECTION_PEER, otherwise NULL */
	struct diagnostics *diagnostics;
	const char *section, *name; /* the section and the key as written in the file */
	unsigned line; /* line for messages: the line of the key or, in a list, of the current item */
	const struct ini_entry *entry;
	bool colon; /* ':' and not '=' separates key and value */
	bool follows_entry; /* the entry before this one is in the same section */
	const struct config_key *key; /* set by config_key_set(); NULL: unknown key */
	uint64_t number; /* the value of a switch, choice, number, size or duration */
	void *list; /* the items of a list while its setter reads them */
	bool reported; /* an error was added to diagnostics */
};

struct config_key {
	enum section_kind section;
	const char *name;
	bool (*set)(struct config_field *field, const char *value);
	const char *expected; /* the fix in the generic message, used if set() returns false without adding an error */
	uint64_t min, max; /* for a number, size or duration */
	const char *const *words; /* the words of a choice, ended by NULL; or one word instead of a number */
	size_t offset, size; /* place of the field in the section's struct; size 0: only the setter knows the field */
	uint64_t word; /* the number that the single word stands for */
};

/* Returns "[log]" or "[peer:NAME]", a static string. */
const char *config_section_text(enum section_kind kind);

/* Returns row number index of the table, counted from 0, or NULL after the last row. */
const struct config_key *config_key_at(size_t index);

/* Returns the key with exactly this name in the section, or NULL. */
const struct config_key *config_key_find(enum section_kind section, const char *name);

/* Returns the key of the section whose name is most similar to a mistyped name, or NULL if none is similar enough. */
const struct config_key *config_key_nearest(enum section_kind section, const char *name);

/* Looks up the key field->name in the section and stores the value in the configuration. Sets field->key. Returns true,
 * or false after adding at least one error to field->diagnostics. */
bool config_key_set(struct config_field *field, enum section_kind section, const char *value);

#endif

/* Every key of the configuration: its section, what reads it, and what it takes. */
#ifndef UDPRELAYD_CONFIG_KEYS_H
#define UDPRELAYD_CONFIG_KEYS_H

#include <stdbool.h>

#include "config/config.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"

enum section_kind {
	SECTION_DAEMON,
	SECTION_LOG,
	SECTION_DATAGRAM_LOG,
	SECTION_HTTP,
	SECTION_LISTENER,
	SECTION_PEER,
};

struct config_key;

/* Where a value goes, and where it stands. */
struct config_field {
	struct config *config;
	struct listener_config *listener; /* of SECTION_LISTENER */
	struct peer_config *peer; /* of SECTION_PEER */
	struct diagnostics *diagnostics;
	const char *section, *name;
	unsigned line;
	const struct ini_entry *entry; /* what is read */
	bool colon; /* ':' was written for '=' */
	bool follows; /* another entry of the section */
	const struct config_key *key;
	uint64_t number; /* what a plain value came to */
	bool told; /* something is wrong, and was told */
};

struct config_key {
	enum section_kind section;
	const char *name;
	bool (*set)(struct config_field *scope, const char *value);
	const char *expected; /* for the message where set() returned false and told nothing */
	uint64_t min, max; /* of a number, size or duration */
	const char *const *words; /* of a choice */
	size_t offset, size; /* of the field in the section's structure; without a size the value is only checked */
	uint64_t word; /* the number that a word stands for where both are taken */
};

/* "[log]" or "[peer:NAME]". */
const char *config_section_text(enum section_kind kind);

/* The table, key by key from 0; NULL behind its end. */
const struct config_key *config_key_at(size_t index);

/* NULL where there is none. */
const struct config_key *config_key_find(enum section_kind section, const char *name);

/* The key of the section whose name is closest to a mistyped one, or NULL where none is close. */
const struct config_key *config_key_nearest(enum section_kind section, const char *name);

/* Takes one entry into the configuration, or tells what is wrong with it and returns false. */
bool config_key_set(struct config_field *scope, enum section_kind section, const char *value);

#endif

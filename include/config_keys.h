/* Every key of the configuration: its section, what reads it, and what it takes. */
#ifndef UDPRELAYD_CONFIG_KEYS_H
#define UDPRELAYD_CONFIG_KEYS_H

#include <stdbool.h>

#include "config.h"
#include "diagnostics.h"

enum section_kind {
	SECTION_DAEMON,
	SECTION_LOG,
	SECTION_DATAGRAM_LOG,
	SECTION_HTTP,
	SECTION_LISTENER,
	SECTION_PEER,
};

/* Where a value goes, and where it stands. */
struct scope {
	struct config *config;
	struct listener_config *listener; /* of SECTION_LISTENER */
	struct peer_config *peer; /* of SECTION_PEER */
	struct diagnostics *diagnostics;
	const char *section, *key;
	unsigned line;
	bool told; /* the key's own function has told what is wrong */
};

struct config_key {
	enum section_kind section;
	const char *name;
	bool (*set)(struct scope *scope, const char *value);
	const char *expected; /* for the message where set() returned false and told nothing */
	bool later; /* checked, and refused until it is built */
	const char *nothing; /* of these, the value that asks for nothing, and is taken */
};

/* NULL where there is none. */
const struct config_key *config_key_find(enum section_kind section, const char *name);

/* The key of the section whose name is closest to a mistyped one, or NULL where none is close. */
const struct config_key *config_key_nearest(enum section_kind section, const char *name);

/* Tells that the scope's value is wrong; always false. */
bool scope_wrong(struct scope *scope, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

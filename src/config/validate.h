/* Checks that need more than one key: missing keys, keys that exclude each other, addresses that conflict, peers that
 * are listeners of this daemon. A check of a single value belongs to its setter. */
#ifndef UDPRELAYD_CONFIG_VALIDATE_H
#define UDPRELAYD_CONFIG_VALIDATE_H

#include <stdbool.h>

#include "config/config.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/keys.h"

/* The meaning of one section of the file. */
struct config_section {
	bool known; /* the kind is valid */
	enum section_kind kind;
	size_t index; /* in config.listeners or config.peers */
};

/* Adds all errors, and warnings about valid but suspicious values. `sections` has one element for each section of the
 * file, in the same order. The value of an entry that was rejected before is NULL; errors that only follow from it are
 * not added. */
void config_validate(const struct config *config, const struct ini_file *file, const struct config_section *sections,
		     struct diagnostics *errors, struct diagnostics *warnings);

#endif

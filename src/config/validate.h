/* What must hold between the keys of a configuration. */
#ifndef UDPRELAYD_CONFIG_VALIDATE_H
#define UDPRELAYD_CONFIG_VALIDATE_H

#include <stdbool.h>

#include "config/config.h"
#include "config/diagnostics.h"
#include "config/ini_file.h"
#include "config/keys.h"

/* What a section of the file is. */
struct config_place {
	bool known;
	enum section_kind kind;
	size_t index; /* in config.listeners or config.peers */
};

/* Tells all that is wrong. places has one for each section of the file, and the value of each entry that was refused is
 * NULL: nothing more is told of it. */
void config_validate(const struct config *config, const struct ini_file *file, const struct config_place *places,
		     struct diagnostics *diagnostics);

#endif
